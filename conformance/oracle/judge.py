"""judge(): one outcome against its prediction. The fast path first: nearly all are conformant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from conformance.model.prediction import Prediction
from conformance.oracle.compare_effects import compare_snapshot, same_snapshot
from conformance.oracle.compare_results import compare_peeks, compare_result
from conformance.oracle.explain import Steps, signal_name
from conformance.oracle.kernel_said import accused, kernel_difference, kind_of, title_of
from conformance.oracle.resync import known_until, open_steps, took_alternative
from conformance.oracle.verdict import CONFORMANT, Difference, Verdict, VerdictKind, conformant
from conformance.program.outcome import Outcome, Status
from conformance.program.program import Program
from conformance.spec.cite import cite

DONE: Final = Status.DONE
SIGBUS: Final = 7
SIGSEGV: Final = 11
LEAK_FIELDS: Final = frozenset({"stats.leak", "per_range.leak"})
ABI_CHAPTERS: Final = ("abi-", "version-")  # what abi-mishandling means, by requirement id


def judge(program: Program, outcome: Outcome, prediction: Prediction) -> Verdict:
    """The verdict on one run. The prediction must be of this program, for the target's facts and
    the observe flags of the run.

    Raises nothing for whatever a target hands in: an outcome that has not the shape of the
    prediction is a harness-error with its reason.
    """
    if prediction.reorder is not None:
        from conformance.oracle.linear import judge_race  # it judges by this module

        return judge_race(program, outcome, prediction, judge_one)
    return judge_one(program, outcome, prediction)


def judge_one(program: Program, outcome: Outcome, prediction: Prediction) -> Verdict:
    """As judge(); of a program with a race, against one order of its actors' steps."""
    if (
        outcome.status is DONE
        and not outcome.log
        and tuple(prediction.results) == outcome.results
        and tuple(prediction.peeks) == outcome.peeks
        and not prediction.skip
        and prediction.dies_at < 0
        and _same_snapshots(prediction, outcome)
    ):
        known = prediction.judged_until
        if known == len(prediction.results) and not prediction.unspecified:
            return CONFORMANT
        return conformant(open_steps(prediction, known))
    verdict = _judge_slowly(program, outcome, prediction)
    if prediction.again is None or outcome.log or not verdict.differences:
        return verdict
    if fault_happened(outcome, prediction):
        return _judge_faults(program, outcome, prediction.again, verdict)
    return verdict


def fault_happened(outcome: Outcome, prediction: Prediction) -> bool:
    """Did the allocation fail that was to? If the process died in that call, it may have."""
    at = prediction.peek_names.index("fault") if "fault" in prediction.peek_names else -1
    return at >= len(outcome.peeks) or not any(outcome.peeks[at])


def _judge_faults(
    program: Program, outcome: Outcome, again: Callable[[int], Prediction], verdict: Verdict
) -> Verdict:
    """One of the predictions must fit, each with another of the model's allocations failing. If
    none does: the verdict by the one that holds longest, and has the result right."""
    place = 1
    prediction = again(place)
    while prediction.fault_reached:
        other = judge(program, outcome, prediction)
        if not other.differences:
            return other
        if _holds_longer(other, verdict):
            verdict = other
        place += 1
        prediction = again(place)
    return verdict


def _holds_longer(one: Verdict, other: Verdict) -> bool:
    def weight(verdict: Verdict) -> tuple[int, bool, int]:
        first = verdict.differences[0]
        result = first.field.startswith("result.")
        return first.step, not result, -len(verdict.differences)

    return weight(one) > weight(other)


def _same_snapshots(prediction: Prediction, outcome: Outcome) -> bool:
    expected = prediction.snapshots
    seen = outcome.snapshots
    if len(expected) != len(seen):
        return False
    for index in range(len(expected)):
        if not same_snapshot(expected[index], seen[index]):
            return False
    return True


def _judge_slowly(program: Program, outcome: Outcome, prediction: Prediction) -> Verdict:
    if accused(outcome):
        return _accused(program, outcome, prediction)
    if prediction.skip:
        return Verdict(VerdictKind.SKIPPED, reason=prediction.skip)
    if outcome.status is Status.NOT_RUN:
        reason = outcome.reason or "the target did not run it and did not say why"
        return Verdict(VerdictKind.SKIPPED, reason=reason)
    steps = Steps(program)
    problem = _malformed(len(steps.all), outcome, prediction)
    if problem:
        return Verdict(VerdictKind.HARNESS_ERROR, reason=problem)
    known = known_until(prediction, outcome)
    opened = open_steps(prediction, known)
    ended = _unexpected_end(steps, outcome, prediction, known)
    if ended is not None:
        kind = VerdictKind.HANG if outcome.status is Status.HUNG else VerdictKind.CRASH
        before = _first_differences(steps, outcome, prediction, known)
        return Verdict(kind, (ended, *before), opened, ended.words)
    differences = _first_differences(steps, outcome, prediction, known)
    if not differences:
        return _without_difference(steps, outcome, prediction, known, opened)
    return Verdict(_kind(differences), tuple(differences), opened)


def _accused(program: Program, outcome: Outcome, prediction: Prediction) -> Verdict:
    """The kernel's log says that it is broken: nothing that the program saw can excuse that, not
    even that the program was not to run. What differs besides is told too."""
    steps = Steps(program)
    said = kernel_difference(steps, outcome)
    before: list[Difference] = []
    opened = 0
    if not prediction.skip and not _malformed(len(steps.all), outcome, prediction):
        known = known_until(prediction, outcome)
        opened = open_steps(prediction, known)
        before = _first_differences(steps, outcome, prediction, known)
    kind = kind_of(title_of(outcome.log))
    return Verdict(kind, (said, *before), opened, said.words, outcome.log)


def _without_difference(
    steps: Steps,
    outcome: Outcome,
    prediction: Prediction,
    known: int,
    opened: int,
) -> Verdict:
    """Nothing differs; but was there all that must be looked at, and did it end as it must?"""
    if outcome.status is DONE and 0 <= prediction.dies_at < known:
        died = signal_name(prediction.dies_of)
        words = f"{steps.words(prediction.dies_at)}: kernel goes on, model is killed by {died}"
        rule = prediction.requirements[prediction.dies_at]
        survived = Difference(prediction.dies_at, "survives", "goes on", died, words, rule)
        return Verdict(VerdictKind.DIVERGENCE, (survived,), opened)
    if outcome.status is DONE:
        missing = _missing_snapshot(prediction, outcome, known)
        if missing:
            return Verdict(VerdictKind.HARNESS_ERROR, unspecified=opened, reason=missing)
    return conformant(opened)


def _first_differences(
    steps: Steps,
    outcome: Outcome,
    prediction: Prediction,
    known: int,
) -> list[Difference]:
    """The differences of the first step that has any: its result, its peeks, its snapshots."""
    taken = took_alternative(prediction, outcome)
    peek = snapshot = 0
    for step in range(len(outcome.results)):
        if step >= prediction.judged_until or (0 <= taken < step):
            return []
        found: list[Difference] = []
        difference = compare_result(steps, step, outcome.results[step], prediction)
        if difference is not None:
            found.append(difference)
        first_peek = peek
        while peek < len(prediction.peek_steps) and prediction.peek_steps[peek] <= step:
            peek += 1
        if step < known:
            found += compare_peeks(steps, step, first_peek, peek, outcome.peeks, prediction)
        while snapshot < len(prediction.snapshots) and prediction.snapshots[snapshot].step <= step:
            expected = prediction.snapshots[snapshot]
            if step < known and snapshot < len(outcome.snapshots):
                seen = outcome.snapshots[snapshot]
                if (seen.step, seen.child) == (expected.step, expected.child):
                    found += compare_snapshot(steps, expected, seen, prediction)
            snapshot += 1
        if found:
            return found
    return []


def _unexpected_end(
    steps: Steps, outcome: Outcome, prediction: Prediction, known: int
) -> Difference | None:
    """The process died or hung where the model has it live on."""
    step = outcome.step
    where = steps.words(step)
    if outcome.status is Status.HUNG:
        rule = cite("call-returns")
        words = f"{where}: kernel did not return within the deadline, model returns"
        return Difference(step, "hang", "hangs", "returns", words, rule)
    if outcome.status is not Status.KILLED:
        return None
    if prediction.dies_at == step and prediction.dies_of in (0, outcome.signal):
        return None
    if step >= known and outcome.signal in (SIGBUS, SIGSEGV):
        return None  # the model does not know this memory any more: a fault proves nothing
    name = signal_name(outcome.signal)
    model = "lives on"
    if prediction.dies_at == step:
        model = f"is killed by {signal_name(prediction.dies_of)}"
    words = f"{where}: kernel killed the process by {name}, model {model}"
    return Difference(step, f"crash.{name}", name, model, words, cite("process-survives"))


def _kind(differences: list[Difference]) -> VerdictKind:
    """Something known that must not be, then a broken interface, then any other difference."""
    if any(difference.field in LEAK_FIELDS for difference in differences):
        return VerdictKind.LEAK
    if any(difference.requirement.startswith(ABI_CHAPTERS) for difference in differences):
        return VerdictKind.ABI_MISHANDLING
    return VerdictKind.DIVERGENCE


def _malformed(steps: int, outcome: Outcome, prediction: Prediction) -> str:
    """Why outcome and prediction cannot belong to the same run of this program, or ""."""
    if len(prediction.results) != steps or len(prediction.requirements) != steps:
        return f"the model predicts {len(prediction.results)} results for {steps} steps"
    got = len(outcome.results)
    if outcome.status is DONE:
        if got != steps:
            return f"the target gives {got} results for a finished program of {steps} steps"
        if len(outcome.peeks) != len(prediction.peeks):
            return (
                f"the target read back {len(outcome.peeks)} structs, "
                f"the program has {len(prediction.peeks)}"
            )
    elif outcome.step >= steps or got > outcome.step + 1:
        return (
            f"the target says that the run ended in step {outcome.step} of {steps}, "
            f"yet gives {got} results"
        )
    if len(outcome.peeks) > len(prediction.peeks):
        return f"the target read back {len(outcome.peeks)} structs, more than the program has"
    if len(outcome.snapshots) > len(prediction.snapshots):
        return f"the target took {len(outcome.snapshots)} snapshots, more than were asked for"
    for snapshot in outcome.snapshots:
        if len(snapshot.vmas) % 4:
            return f"the snapshot after step {snapshot.step} has a cut list of VMAs"
    return ""


def _missing_snapshot(prediction: Prediction, outcome: Outcome, known: int) -> str:
    """An expected snapshot that is not there although nothing explains its absence, or ""."""
    for index, expected in enumerate(prediction.snapshots):
        if expected.step >= known:
            continue
        if index >= len(outcome.snapshots):
            return f"the target gives no snapshot number {index + 1}, after step {expected.step}"
        seen = outcome.snapshots[index]
        if (seen.step, seen.child) != (expected.step, expected.child):
            return (
                f"snapshot {index + 1} is of step {seen.step}, "
                f"where that of step {expected.step} must be"
            )
        if len(seen.pages) != len(expected.pages):
            return (
                f"snapshot {index + 1} covers {len(seen.pages)} pages, "
                f"the arena has {len(expected.pages)}"
            )
    return ""
