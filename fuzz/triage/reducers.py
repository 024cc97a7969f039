"""Which reducer makes a program smaller: ours, Hypothesis' or both, whichever ends smaller.

Ours knows what is plainer in a program and asks of 64 candidates at once. Hypothesis knows
nothing of programs; it lowers many values together, and so leaves places where each single
change shows nothing. It is an extra: what is not installed is not used, and said.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from functools import partial
from importlib.util import find_spec
from typing import Final, NamedTuple

import msgspec

from conformance.program.program import Program
from conformance.program.text import shortlex
from fuzz.triage.examine import StillFails
from fuzz.triage.shrink import ShrinkBudget, may_run, may_run_in_guest, shrink
from fuzz.triage.shrink_columns import delete_columns

MISSING: Final = (
    "Hypothesis is not installed, its reducer is not used: pip install 'madvet[hypothesis]'"
)
SECONDS_WORTH_MIN: Final = 0.5  # with less, Hypothesis gets nowhere


class Reducer(str, Enum):
    """A closed list."""

    OURS = "ours"
    HYPOTHESIS = "hypothesis"
    BOTH = "both"


class ReducerUnavailable(Exception):
    """It is not installed. str() says what to do."""


class Reduced(NamedTuple):
    """by: whose result it is. seconds: what all of it took."""

    program: Program
    by: Reducer
    seconds: float


def has_hypothesis() -> bool:
    """Is it installed?"""
    return find_spec("hypothesis") is not None


def reduce_program(
    program: Program,
    still_fails: StillFails,
    budget: ShrinkBudget,
    reducer: Reducer = Reducer.OURS,
) -> Reduced:
    """The smallest program that still_fails() was seen to hold of. Both: each starts from the
    program and has half of the time; then each has what is left for what the other made of it.
    Raises ReducerUnavailable, and what still_fails() raises."""
    start = time.monotonic()
    valid = may_run if may_run(program) else may_run_in_guest
    run = {
        Reducer.OURS: partial(_ours, still_fails, valid, budget),
        Reducer.HYPOTHESIS: partial(_hypothesis, still_fails, valid, budget),
    }
    if reducer is not Reducer.BOTH:
        small = run[reducer](program, budget.seconds)
        return Reduced(small, reducer, time.monotonic() - start)
    best, by = program, Reducer.OURS
    for name in (Reducer.OURS, Reducer.HYPOTHESIS):
        small = run[name](program, budget.seconds / 2)
        if shortlex(small) < shortlex(best):
            best, by = small, name
    other = Reducer.HYPOTHESIS if by is Reducer.OURS else Reducer.OURS
    left = budget.seconds - (time.monotonic() - start)
    if left > SECONDS_WORTH_MIN:
        small = run[other](best, left)
        if shortlex(small) < shortlex(best):
            best, by = small, Reducer.BOTH
    return Reduced(best, by, time.monotonic() - start)


def second_opinion(program: Program, still_fails: StillFails, budget: ShrinkBudget) -> Program:
    """What Hypothesis makes of a program that is shrunk; the program itself where it is not
    installed or there is no time."""
    if budget.seconds < SECONDS_WORTH_MIN or not has_hypothesis():
        return program
    return reduce_program(program, still_fails, budget, Reducer.HYPOTHESIS).program


def _ours(
    still_fails: StillFails,
    valid: Callable[[Program], bool],
    budget: ShrinkBudget,
    program: Program,
    seconds: float,
) -> Program:
    return shrink(program, still_fails, msgspec.structs.replace(budget, seconds=seconds), valid)


def _hypothesis(
    still_fails: StillFails,
    valid: Callable[[Program], bool],
    budget: ShrinkBudget,
    program: Program,
    seconds: float,
) -> Program:
    if not has_hypothesis():
        raise ReducerUnavailable(MISSING)
    from fuzz.generate.hypothesis_reducer import hypothesis_reduce  # an extra, and slow to load

    def fails(candidate: Program) -> bool:
        return still_fails([candidate])[0]

    return hypothesis_reduce(program, fails, valid, delete_columns, seconds, budget.evaluations)
