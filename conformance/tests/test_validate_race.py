"""Races that may not be run."""

from __future__ import annotations

from conformance.abi.advice import BY_NAME
from conformance.program import call as c
from conformance.program import places as p
from conformance.program.mapping import Kind, Mapping
from conformance.program.program import Program
from conformance.program.validate import validate


def test_nobody_races_a_process_that_has_exited() -> None:
    here = c.Actor((c.Madvise(p.ARENA_BASE, p.PAGE, BY_NAME["COLD"].value),))
    leaves = c.Race((here, c.Actor((c.Exit(),), c.ActorPlace.REMOTE)))
    stays = c.Race((here, c.Actor(here.steps, c.ActorPlace.REMOTE)))
    alone = c.Race((here, here))
    layout = (Mapping(Kind.ANON, 0, 4),)
    assert not validate(Program(layout, (stays, leaves, alone)))
    for late in (leaves, stays):
        (problem,) = validate(Program(layout, (leaves, alone, late)))
        assert (
            str(problem) == "step 3 (race): place: the second process has exited in a race before"
        )


def test_no_allocation_fails_beside_a_race() -> None:
    call = c.Madvise(p.ARENA_BASE, p.PAGE, BY_NAME["COLD"].value)
    fails = c.Madvise(p.ARENA_BASE, p.PAGE, BY_NAME["RANDOM"].value, fail_nth=1)
    race = c.Race((c.Actor((call,)), c.Actor((call,))))
    layout = (Mapping(Kind.ANON, 0, 4),)
    assert not validate(Program(layout, (call, fails)), guest=True)
    (problem,) = validate(Program(layout, (race, fails)), guest=True)
    assert "not beside a race" in str(problem)
