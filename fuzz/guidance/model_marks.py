"""The model's side of guidance: which rules decided a program, and what shape it ends in.

It works where the kernel cannot tell where it went. A mark is a word: the id of a rule that was
applied; what a step came to under which rule; how the address space stands at the end. Marks are
read off the prediction that is made of every program anyway.
"""

from __future__ import annotations

from typing import Final

from conformance.abi.errnos import NAMES
from conformance.model.prediction import ExpectedSnapshot, Prediction
from conformance.program.plan import plan_of
from conformance.program.program import Program

THEN: Final = ">"  # between two rules, of which one decided a step and the other the next
MANY: Final = 8  # VMAs, and beyond: powers of two
VMA_WORDS: Final = 4  # of a snapshot: start, end, flags, pgoff
# VMAs of one kind are told apart by whether there is one, and whether there are several.
KINDS_MAX: Final = 6


def marks_of(program: Program, prediction: Prediction, cited: frozenset[str]) -> frozenset[str]:
    """The marks of a program. cited: the ids that were noted while it was predicted."""
    setup = len(plan_of(program).setup)
    marks = set(cited)
    before = ""
    for i in range(setup, len(prediction.results)):
        rule = prediction.requirements[i]
        step = type(program.steps[i - setup]).__name__
        marks.add(f"{step}:{rule}:{_result(prediction.results[i])}")
        if before and before != rule:
            marks.add(f"{before}{THEN}{rule}")
        before = rule
    if prediction.snapshots and prediction.judged_until == len(prediction.results):
        marks.add(_shape(program, prediction.snapshots[-1]))
    return frozenset(marks)


def _result(result: int) -> str:
    """Success, a count, or the error by name."""
    if result >= 0:
        return "0" if not result else "+"
    return NAMES.get(-result, "-")


def _shape(program: Program, snapshot: ExpectedSnapshot) -> str:
    """How many VMAs there are, how many more or fewer than were mapped, and of how many kinds."""
    vmas = snapshot.vmas
    count = len(vmas) // VMA_WORDS
    kinds = {(vmas[i + 2], vmas[i + 3] >> 63) for i in range(0, len(vmas), VMA_WORDS)}
    grown = count - len(program.layout)
    return f"vmas:{_about(count)}:{_about(grown)}:{min(len(kinds), KINDS_MAX)}"


def _about(number: int) -> int:
    """Small numbers as they are, others as the power of two below."""
    if -MANY < number < MANY:
        return number
    size = 1 << abs(number).bit_length() - 1
    return size if number > 0 else -size
