"""Does a class show again, and by which smallest program? Asked of both kernels together."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from ci.gate.compare import ALONE, FULL_LOOK, Compared, Comparer, Seen
from ci.gate.state import Example, Group, Settled
from conformance.model.predict import predict
from conformance.oracle.judge import judge
from conformance.oracle.kernel_said import kind_of, title_of
from conformance.oracle.verdict import VerdictKind
from conformance.program.program import Program
from conformance.program.text import dumps, loads
from conformance.program.wire import Observe
from conformance.target.target import Target
from fuzz.triage.shrink import BATCH, ShrinkBudget, shrink

# Pairs of runs, alone. What shows in 4 of 5 runs is seen twice in 5 with 99.3 %, what shows in one
# of 20 with 2.3 %: two are taken for evidence, one is not.
RUNS: Final = 5
SHOWN_ENOUGH: Final = 2
CRASH_RUNS: Final = 2  # each costs a new guest
CANDIDATES: Final = 3  # examples of a class that are asked, the smallest first
EVALUATIONS_MAX: Final = 3000
HANG: Final = "/hang"  # how the identity of a call that does not return ends
SMALL: Final = (1, 1)  # mappings and steps that nothing is worth shrinking below


class Settler:
    """Runs programs on a pair of kernels, alone, and compares."""

    def __init__(self, base: Target, head: Target, comparer: Comparer) -> None:
        self._targets = (base, head)
        self._comparer = comparer

    def settle(self, group: Group, seconds: float) -> Settled:
        """What comes of a class, within some seconds. Raises TargetError."""
        end = time.monotonic() + seconds
        best: tuple[int, int, Compared, Example, Observe] | None = None
        runs = CRASH_RUNS if group.first.log else RUNS
        for observe in (FULL_LOOK, ALONE):
            for example in group.examples[:CANDIDATES]:
                program = loads(example.text.encode(), example.name, guest=True).program
                shown, compared = self._shown(group, program, runs, observe)
                if best is None or shown > best[0]:
                    best = (shown, runs, compared, example, observe)
                if shown == runs or time.monotonic() >= end:
                    break
            if best is not None and best[0] >= SHOWN_ENOUGH:
                break
        assert best is not None  # a class has at least one example
        shown, runs, compared, example, observe = best
        program = loads(example.text.encode(), example.name, guest=True).program
        if shown == runs and time.monotonic() < end and _large(program) and not _hangs(group):
            small = self._shrunk(group, program, observe, end - time.monotonic())
            if small != program:
                again, now = self._shown(group, small, runs, observe)
                if again == runs:
                    program, compared = small, now
        return Settled(
            shown, runs, compared, Example(example.name, dumps(program)),
            len(program.layout), len(program.steps),
        )  # fmt: skip

    def compare(self, programs: Sequence[Program], observe: Observe) -> list[Compared]:
        """What is to be said of each program. Raises TargetError."""
        for target in self._targets:
            target.submit(programs, observe)
        sides = [target.collect() for target in self._targets]
        out = []
        for program, base, head in zip(programs, *sides, strict=True):
            seen = []
            for target, outcome in zip(self._targets, (base, head), strict=True):
                prediction = predict(
                    program, target.facts, outside=outcome.outside, observe=int(observe)
                )
                seen.append(Seen(outcome, judge(program, outcome, prediction)))
            out.append(self._comparer.compare(program, seen[0], seen[1], observe))
        return out

    def _shown(
        self, group: Group, program: Program, runs: int, observe: Observe
    ) -> tuple[int, Compared]:
        """How many pairs of runs show the class, and what they show."""
        seen: list[Compared] = []
        while len(seen) < runs:
            many = 1 if group.first.log else runs - len(seen)
            seen += self.compare([program] * many, observe)
        shows = [compared for compared in seen if compared.key == group.first.key]
        if not shows:
            return 0, seen[0]
        (key, _), *_ = Counter(compared.identity for compared in shows).most_common(1)
        return len(shows), next(one for one in shows if one.identity == key)

    def _shrunk(self, group: Group, program: Program, observe: Observe, seconds: float) -> Program:
        crashes = bool(group.first.log)
        budget = ShrinkBudget(EVALUATIONS_MAX, seconds, 1 if crashes else BATCH)
        return shrink(program, self._asks(group, observe), budget)

    def _asks(self, group: Group, observe: Observe) -> Callable[[Sequence[Program]], list[bool]]:
        def ask(programs: Sequence[Program]) -> list[bool]:
            return [compared.key == group.first.key for compared in self.compare(programs, observe)]

        return ask


def _hangs(group: Group) -> bool:
    """Does every run wait for a deadline? Then nobody can wait for it to be made small."""
    first = group.first
    if first.log:
        return kind_of(title_of(first.log)) is VerdictKind.HANG
    return first.identity.endswith(HANG)


def _large(program: Program) -> bool:
    return (len(program.layout), len(program.steps)) > SMALL or len(program.steps) > SMALL[1]


def flaky(settled: Settled) -> bool:
    """Did not every pair of runs show it?"""
    return settled.shown < settled.runs


def is_evidence(settled: Settled) -> bool:
    """Did it show again often enough to count?"""
    return settled.shown >= min(SHOWN_ENOUGH, settled.runs)
