"""Few programs that reach all that many reach."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conformance.program.call import Madvise
from conformance.program.mapping import Kind, Mapping
from conformance.program.places import ARENA_BASE, PAGE
from conformance.program.program import Program
from conformance.program.validate import validate
from fuzz.guidance.distill import adding, measure, minimised
from fuzz.guidance.seed_pool import Seed
from fuzz.mutants.hunters import corpus_programs
from fuzz.tests.test_guidance_guide import SOURCE, EdgeTarget


def seed(number: int, edges: set[int], marks: frozenset[str] = frozenset()) -> Seed:
    step = Madvise(ARENA_BASE, PAGE, number)
    program = Program((Mapping(Kind.ANON, 0, 1),), (step,))
    return Seed(program, tuple(sorted(edges)), tuple(sorted(marks)))


@given(st.lists(st.sets(st.integers(0, 40), max_size=8), max_size=25))
def test_all_that_was_reached_is_reached(sets: list[set[int]]) -> None:
    seeds = [seed(number, edges) for number, edges in enumerate(sets)]
    few = minimised(seeds)
    assert set[int]().union(*(one.edges for one in few)) == set[int]().union(*sets)
    assert len(few) <= len([edges for edges in sets if edges])
    for one in few:
        others = set[int]().union(*(other.edges for other in few[: few.index(one)]))
        assert set(one.edges) - others


def test_one_that_reaches_all_is_enough() -> None:
    seeds = [seed(1, {1, 2}), seed(2, {3}), seed(3, {1, 2, 3, 4}), seed(4, {4})]
    assert minimised(seeds) == [seeds[2]]


def test_marks_count_unless_they_are_left_out() -> None:
    seeds = [seed(1, {1}), seed(2, {1}, frozenset({"rule"}))]
    assert minimised(seeds) == [seeds[1]]
    assert len(minimised([*seeds, seed(3, {2}, frozenset({"rule"}))], marks=False)) == 2


def test_only_what_adds_something_is_added() -> None:
    known = [seed(1, {1, 2})]
    more = [seed(2, {2}), seed(3, {2, 3}), seed(4, {3})]
    added = adding(known, more)
    assert [one.edges for one in added] == [(3,)]


def test_programs_are_measured_by_what_they_do_every_time() -> None:
    one, two = SOURCE.program(1), SOURCE.program(2)
    target = EdgeTarget({one: [{1, 2}, {1}, {1, 3}], two: [{7}]})
    first, second = measure(target, [one, two])
    assert (first.edges, second.edges) == ((1,), (7,))
    assert second.marks


def test_the_distilled_corpus_is_small_and_may_be_run() -> None:
    """What it reaches, and how soon, .ci/run finds out where there is a guest."""
    assert 100 < len(corpus_programs(guest=True)) < 2000
    everywhere = corpus_programs(guest=False)
    assert len(everywhere) < len(corpus_programs(guest=True))
    assert not any(validate(program) for program in everywhere)
