"""All orders of a race are gone through, each outcome once: what a random order gives is among
them, and whatever is among them the judge allows."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from conformance.model.predict import predict
from conformance.model.prediction import Prediction
from conformance.oracle.every_order import every_order, given
from conformance.oracle.interleave import ANY, Order
from conformance.oracle.judge import judge
from conformance.oracle.linear_words import races_of
from conformance.oracle.verdict import ORDER
from conformance.program import call as c
from conformance.program.kernel_facts import KernelFacts
from conformance.program.mapping import Kind, Mapping, Prot, Touch
from conformance.program.outcome import Outcome, Snapshot, Status
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from conformance.target.registry import open_target

LOOK = 14  # wire.Observe: isolated, smaps, each step
WALKS = 60  # random orders of each program
LAYOUT = (Mapping(Kind.ANON, 0, 2, touches=(Touch(0, 2),)),)
DISCARD = c.Madvise(page_address(0), 2 * PAGE, 4)
TOUCH = c.TouchPages(0, 2)
GUARD = c.Madvise(page_address(0), 2 * PAGE, 102)


@pytest.fixture(scope="module")
def facts() -> Iterator[KernelFacts]:
    with open_target("host") as target:
        yield target.facts


def program(*actors: tuple[c.ActorStep, ...], after: tuple[c.Step, ...] = ()) -> Program:
    return Program(LAYOUT, (c.Race(tuple(c.Actor(steps) for steps in actors)), *after))


PROGRAMS = {
    "discard": program((DISCARD,), (TOUCH,)),
    "unmap": program((c.Munmap(page_address(0), 2 * PAGE),), (DISCARD, TOUCH)),
    "guard": program((GUARD,), (TOUCH,), after=(c.Fork(), c.TouchPages(0, 2))),
    "three": program((GUARD,), (TOUCH,), (DISCARD,)),
    "forgotten": program(  # the result of the touch of page 0 leaves nothing behind
        (c.Munmap(page_address(0), PAGE), c.Mmap(Mapping(Kind.ANON, 0, 1)), c.TouchPages(1)),
        (c.TouchPages(0), c.TouchPages(1)),
    ),
    "twice": Program(
        LAYOUT,
        (
            c.Race((c.Actor((DISCARD,)), c.Actor((c.TouchPages(0),)))),
            c.TouchPages(0, 2),
            c.Race((c.Actor((GUARD,)), c.Actor((c.TouchPages(1),)))),
        ),
    ),
    "stores": Program(
        LAYOUT,
        (
            c.Race((
                c.Actor((c.Store(page_address(0), 7), c.Store(page_address(1), 8)), repeat=3),
                c.Actor((c.Munmap(page_address(1), PAGE),)),
            )),
        ),
    ),
    "stores that fault": Program(
        LAYOUT,
        (
            c.Race((
                c.Actor((c.Store(page_address(1), 8),), repeat=4),
                c.Actor((c.Mprotect(page_address(1), PAGE, Prot.R),)),
            )),
        ),
    ),
}  # fmt: skip


class _NeverSeen(dict[object, tuple[int, ...]]):
    """Remembers no state, so that no order is left because another was there."""

    def __setitem__(self, key: object, value: tuple[int, ...]) -> None:
        pass


class _Walk(Order):
    """An order that is thrown like a die."""

    def _fits(self, actor: int) -> bool:
        return True


def walk(one: Program, prediction: Prediction, dice: random.Random) -> Prediction:
    assert prediction.reorder is not None
    prefix: list[int] = []
    while True:
        order = _Walk(races_of(one), [], prefix, ANY, _NeverSeen())
        given_here = prediction.reorder(order)
        if len(order.path) <= len(prefix):
            return given_here
        prefix = [which for which, _ in order.path[: len(prefix)]]
        prefix.append(dice.randrange(order.path[len(prefix)][1]))


def outcome(prediction: Prediction) -> Outcome:
    shown = tuple(
        Snapshot(s.step, s.child, tuple(s.vmas), tuple(s.pages)) for s in prediction.snapshots
    )
    return Outcome(Status.DONE, tuple(prediction.results), tuple(prediction.peeks), shown)


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_what_a_random_order_gives_is_among_them(facts: KernelFacts, name: str) -> None:
    one = PROGRAMS[name]
    prediction = predict(one, facts, observe=LOOK)
    every = every_order(one, prediction)
    assert every.whole
    known = {given(found) for found in every.predictions}
    assert len(known) == len(every.predictions)
    dice = random.Random(name)
    walked = {given(walk(one, prediction, dice)) for _ in range(WALKS)}
    assert walked <= known
    assert len(known) > 1


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_the_judge_allows_each_of_them(facts: KernelFacts, name: str) -> None:
    one = PROGRAMS[name]
    prediction = predict(one, facts, observe=LOOK)
    for found in every_order(one, prediction).predictions:
        verdict = judge(one, outcome(found), prediction)
        assert (verdict.bad, verdict.race) == (False, ORDER), verdict


def test_pages_of_a_discard_end_each_for_itself(facts: KernelFacts) -> None:
    one = PROGRAMS["discard"]
    every = every_order(one, predict(one, facts, observe=LOOK))
    pages = {tuple(found.snapshots[0].pages) for found in every.predictions}
    assert len(pages) >= 4  # each page there or gone; torn ones besides


def test_it_tells_when_there_are_more_than_it_may_try(facts: KernelFacts) -> None:
    one = PROGRAMS["discard"]
    every = every_order(one, predict(one, facts, observe=LOOK), limit=5)
    assert (every.orders, every.whole) == (5, False)
