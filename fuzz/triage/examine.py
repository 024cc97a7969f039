"""Run programs on a target and judge them: what stability and shrinking ask, again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from conformance.model.policy import DEFAULT_POLICY, Policy
from conformance.model.predict import predict
from conformance.oracle.identity import KERNEL, Identity, identify
from conformance.oracle.judge import judge
from conformance.oracle.verdict import Verdict
from conformance.program.outcome import Outcome
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.target.target import Target

BATCH_MAX: Final = 64  # programs handed to a target at once

# The fullest look: alone in a fresh process, VmFlags from smaps, a snapshot after every step
# (so that the difference is told of the step that made it), every readable page read.
FULL_LOOK: Final = Observe.ISOLATED | Observe.SMAPS | Observe.EACH_STEP | Observe.READ_ALL
# The same run as the first one, but alone: for what only the plainer look shows.
ALONE: Final = Observe.ISOLATED

# Each run that takes a guest's kernel down costs a new guest: 0.3 s (uml), 1 s (lean), 8 s (debug).
# What shows in 4 of 5 runs shows twice in two with 64 %, at least once with 96 %.
CRASH_RUNS: Final = 2

StillFails = Callable[[Sequence[Program]], list[bool]]


def examine(
    target: Target,
    programs: Sequence[Program],
    observe: Observe = FULL_LOOK,
    policy: Policy = DEFAULT_POLICY,
) -> list[Verdict]:
    """One verdict for each program, in order. Raises TargetError."""
    out: list[Verdict] = []
    for first in range(0, len(programs), BATCH_MAX):
        batch = programs[first : first + BATCH_MAX]
        for program, outcome in zip(batch, target.run_batch(batch, observe), strict=True):
            prediction = predict(program, target.facts, policy, outcome.outside, int(observe))
            out.append(judge(program, outcome, prediction))
    return out


def examine_again(
    target: Target,
    program: Program,
    runs: int,
    observe: Observe = FULL_LOOK,
    policy: Policy = DEFAULT_POLICY,
) -> list[Verdict]:
    """Verdicts of `runs` runs of one program; of at most CRASH_RUNS when the first of them makes
    the kernel itself accuse itself, each of which is handed over alone. Raises TargetError."""
    first = examine(target, [program], observe, policy)
    if not first[0].log:
        return [*first, *examine(target, [program] * (runs - 1), observe, policy)]
    for _ in range(min(runs, CRASH_RUNS) - 1):
        first += examine(target, [program], observe, policy)
    return first


def still_fails(
    target: Target,
    identity: Identity,
    observe: Observe = FULL_LOOK,
    runs: int = 1,
    policy: Policy = DEFAULT_POLICY,
) -> StillFails:
    """Asks of programs whether they show the same bug (Identity.alike). runs: for a flaky
    finding, how often each is run; one run that shows it is enough."""
    if identity.surface != KERNEL:
        observe |= Observe.NO_LEAKS  # the kernel's log tells of leaks, too

    def ask(programs: Sequence[Program]) -> list[bool]:
        repeated = [program for program in programs for _ in range(runs)]
        verdicts = examine(target, repeated, observe, policy)
        shown = [
            verdict.bad and identify(program, verdict).alike(identity)
            for program, verdict in zip(repeated, verdicts, strict=True)
        ]
        return [any(shown[i : i + runs]) for i in range(0, len(shown), runs)]

    return ask


def outcome_of(
    target: Target,
    program: Program,
    identity: Identity,
    observe: Observe,
    runs: int,
    policy: Policy = DEFAULT_POLICY,
) -> Outcome | None:
    """What a program does when it shows a bug: the first of at most `runs` runs alone that does.
    Raises TargetError."""
    for _ in range(runs):
        (outcome,) = target.run_batch([program], observe)
        prediction = predict(program, target.facts, policy, outcome.outside, int(observe))
        verdict = judge(program, outcome, prediction)
        if verdict.bad and identify(program, verdict) == identity:
            return outcome
    return None
