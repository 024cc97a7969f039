"""What programs cost, and that dear ones are drawn the less the dearer they are."""

from __future__ import annotations

from collections import Counter

import pytest
from msgspec.structs import replace

from conformance.abi.advice import BY_NAME
from conformance.program import places as p
from conformance.program.call import (
    Actor,
    ActorStep,
    Fork,
    ForkExec,
    Madvise,
    Race,
    Reclaim,
    Signal,
    SignalHow,
    Step,
    TouchPages,
)
from conformance.program.mapping import Kind, Mapping, Touch
from conformance.program.program import Program, Rights
from fuzz.generate.programs import ProgramSource
from fuzz.generate.seeded import SeededChooser
from fuzz.guidance.cost import AFFORDED, STEEPNESS, affordable, cost_of

ADVISE = Madvise(p.ARENA_BASE, p.PAGE, BY_NAME["COLD"].value)


def program(
    *steps: Step, pages: int = 4, whole: bool = False, rights: Rights = Rights.ALL
) -> Program:
    layout = (Mapping(Kind.ANON, 0, pages, touches=(Touch(0, pages),)),)
    return Program(layout, steps or (ADVISE,), whole=whole, rights=rights)


@pytest.mark.parametrize(
    "dearer",
    [
        program(ADVISE, ADVISE),
        program(pages=512),
        program(whole=True),
        program(rights=Rights.NO_SYS_ADMIN),
        program(ADVISE, Fork()),
        program(ADVISE, ForkExec()),
        program(ADVISE, Reclaim()),
        program(ADVISE, TouchPages(0, 4, True)),
        program(replace(ADVISE, signal=Signal(SignalHow.HANDLED, 0, 1))),
    ],
)
def test_what_makes_more_work_costs_more(dearer: Program) -> None:
    assert cost_of(dearer) > cost_of(program())


def test_what_actors_do_counts() -> None:
    def race(*steps: ActorStep) -> Program:
        return program(Race((Actor((ADVISE,)), Actor(steps))))

    assert cost_of(race(ADVISE, Fork())) > cost_of(race(ADVISE)) + 1


def test_a_usual_program_costs_one() -> None:
    source = ProgramSource(4)
    costs = sorted(cost_of(source.program(number)) for number in range(400))
    assert 0.6 < costs[200] < 1.5 * AFFORDED


def test_the_dearer_a_kind_is_the_fewer_of_it_are_drawn() -> None:
    """Of a kind that costs c times AFFORDED one in c ** STEEPNESS is kept."""
    cheap, whole, reclaim = program(), program(whole=True), program(ADVISE, Reclaim())
    kinds = (cheap, cheap, cheap, whole, reclaim)
    chooser = SeededChooser(5)
    kept = Counter(
        kinds.index(affordable(chooser, lambda: chooser.pick(kinds), lambda one: one))
        for _ in range(30_000)
    )
    for kind in (3, 4):
        expected = kept[0] / 3 * (AFFORDED / cost_of(kinds[kind])) ** STEEPNESS
        assert 0.7 * expected < kept[kind] < 1.5 * expected


def test_where_nothing_is_cheap_something_is_drawn() -> None:
    dear = program(*[Fork()] * 9, whole=True)
    assert affordable(SeededChooser(1), lambda: dear, lambda one: one) is dear
