"""The reducers: each ends at a smaller program that shows the bug, both at the smaller one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from conformance.program import call as c
from conformance.program.mapping import Kind, Mapping
from conformance.program.places import page_address
from conformance.program.program import Program
from conformance.program.text import shortlex
from conformance.program.validate import validate
from fuzz.generate.chooser import IntegerChooser
from fuzz.generate.plainer import plainer
from fuzz.generate.programs import ProgramSource
from fuzz.tests.model_target import ModelTarget
from fuzz.tests.test_shrink import LARGE, gap_policy
from fuzz.triage import reducers
from fuzz.triage.examine import StillFails, still_fails
from fuzz.triage.reducers import Reducer, ReducerUnavailable, reduce_program, second_opinion
from fuzz.triage.shrink import ShrinkBudget
from fuzz.triage.shrink_columns import delete_columns
from fuzz.triage.stability import confirm

BUDGET = ShrinkBudget(20_000, 60.0)


class Highest(IntegerChooser):
    def integer(self, low: int, high: int) -> int:
        return high


class Lowest(IntegerChooser):
    def integer(self, low: int, high: int) -> int:
        return low


def test_the_highest_choices_keep_every_program_as_it_is() -> None:
    source = ProgramSource(7)
    for index in range(400):
        program = source.program(index)
        assert plainer(Highest(), program, delete_columns) == program


def test_the_lowest_choices_leave_nothing() -> None:
    program = plainer(Lowest(), LARGE, delete_columns)
    assert program == Program((), ())


def gap_bug() -> StillFails:
    target = ModelTarget(gap_policy())
    found = confirm(target, LARGE)
    assert found is not None
    return still_fails(target, found.identity, found.observe)


@pytest.mark.parametrize("reducer", list(Reducer))
def test_each_reducer_ends_at_one_call_that_shows_it(reducer: Reducer) -> None:
    ask = gap_bug()
    reduced = reduce_program(LARGE, ask, BUDGET, reducer)
    assert ask([reduced.program]) == [True]
    assert not validate(reduced.program)
    assert len(reduced.program.steps) == len(reduced.program.layout) == 1
    assert reduced.seconds < 10.0


def same_distance(programs: Sequence[Program]) -> list[bool]:
    """A bug of two calls whose lengths are equal, and more than two pages: who changes one of them
    at a time never finds a smaller one."""

    def shows(program: Program) -> bool:
        lengths = [step.length for step in program.steps if isinstance(step, c.Munmap)]
        return len(lengths) == 2 and lengths[0] == lengths[1] and lengths[0] > 2 * 4096

    return [shows(program) for program in programs]


def two_alike() -> Program:
    steps = (c.Munmap(page_address(0), 40 * 4096 + 5), c.Munmap(page_address(50), 40 * 4096 + 5))
    return Program((Mapping(Kind.ANON, 0, 100),), steps)


def test_both_end_where_one_of_them_gets_stuck() -> None:
    ours, theirs, both = (
        reduce_program(two_alike(), same_distance, BUDGET, reducer).program
        for reducer in (Reducer.OURS, Reducer.HYPOTHESIS, Reducer.BOTH)
    )
    assert shortlex(theirs) < shortlex(ours)
    assert shortlex(both) <= shortlex(theirs)
    small = both.steps[0]
    assert isinstance(small, c.Munmap)
    assert small.length == 3 * 4096  # "3p": shorter to write than "8193"


def test_a_bug_that_never_shows_again_leaves_the_program_as_it_is() -> None:
    def never(programs: Sequence[Program]) -> list[bool]:
        return [False for _ in programs]

    for reducer in Reducer:
        assert reduce_program(LARGE, never, BUDGET, reducer).program == LARGE


def test_the_budget_ends_it() -> None:
    ask = gap_bug()
    reduced = reduce_program(LARGE, ask, ShrinkBudget(3, 60.0), Reducer.HYPOTHESIS)
    assert ask([reduced.program]) == [True]
    assert shortlex(reduced.program) <= shortlex(LARGE)


def test_what_asking_raises_passes_through() -> None:
    def broken(programs: Sequence[Program]) -> list[bool]:
        raise OSError("gone")

    for reducer in (Reducer.OURS, Reducer.HYPOTHESIS):
        with pytest.raises(OSError, match="gone"):
            reduce_program(LARGE, broken, BUDGET, reducer)


def test_without_hypothesis_it_says_so_and_campaigns_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reducers, "has_hypothesis", lambda: False)
    with pytest.raises(ReducerUnavailable, match=r"pip install 'madvet\[hypothesis\]'"):
        reduce_program(LARGE, gap_bug(), BUDGET, Reducer.HYPOTHESIS)
    assert second_opinion(LARGE, gap_bug(), BUDGET) == LARGE
