"""Races that are planted where actors make their calls are found by racing programs, and only by
them; what is not planted is not found."""

from __future__ import annotations

import pytest

from conformance.oracle.verdict import ORDER, VerdictKind
from conformance.program import call as c
from conformance.program.mapping import Kind, Mapping, Touch
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from conformance.program.validate import validate
from conformance.target.registry import open_target
from fuzz.engine.examine import Examiner
from fuzz.generate.options import GenerateOptions
from fuzz.generate.programs import ProgramSource
from fuzz.mutants.catalogue import RACE, Mutant, catalogue
from fuzz.mutants.kill_score import Plan, kill
from fuzz.triage.stability import RACE_RUNS, confirm

PLANTED = [mutant for mutant in catalogue() if mutant.where == RACE]
PROGRAMS = 1920  # 2 s on an idle machine
SECONDS = 120.0  # each is found within 20 s where six others want the same two processors


def test_there_are_five_of_them() -> None:
    assert len(PLANTED) >= 5
    assert {mutant.requirement for mutant in PLANTED} == {"race-linear"}


@pytest.mark.parametrize("mutant", PLANTED, ids=[mutant.id for mutant in PLANTED])
def test_a_planted_race_is_found(mutant: Mutant) -> None:
    score = kill(mutant, Plan(seconds=SECONDS))
    assert score.killed, score
    assert not score.sick, score.sick


def test_nothing_is_found_where_nothing_is_planted() -> None:
    source = ProgramSource(7, GenerateOptions(races=True))
    judged = {"": 0, ORDER: 0}
    with open_target("host") as target:
        examiner = Examiner(target)
        for first in range(0, PROGRAMS, 64):
            examiner.start([source.program(n) for n in range(first, first + 64)])
            for one in examiner.finish():
                assert one.verdict.kind is VerdictKind.CONFORMANT, one.verdict
                judged[one.verdict.race] = judged.get(one.verdict.race, 0) + 1
    assert judged == {"": 0, ORDER: PROGRAMS}


def test_a_race_that_seldom_shows_is_confirmed_with_its_rate() -> None:
    """Two advices, one of them given page by page: a mixture shows in some of the runs."""
    both = [c.Actor((c.Madvise(page_address(0), 6 * PAGE, advice),)) for advice in (1, 2)]
    layout = (Mapping(Kind.ANON, 0, 6, touches=(Touch(0, 6),)),)
    mixed = Program(layout, (c.Race(tuple(both)),))
    assert validate(mixed) == []
    (mutant,) = (m for m in PLANTED if m.id == "race/lock_dropped_between_pages")
    with open_target(mutant.target) as target:
        found = confirm(target, mixed, runs=1)
    assert found is not None
    assert found.runs == RACE_RUNS
    assert 0 < found.shown <= RACE_RUNS
    assert found.identity.surface == "race"
    with open_target("host") as target:
        assert confirm(target, mixed, runs=1) is None


def test_every_racing_program_may_be_run_and_has_actors_that_meet() -> None:
    source = ProgramSource(1, GenerateOptions(races=True))
    places = set()
    steps = set()
    for number in range(600):
        program = source.program(number)
        assert validate(program) == [], number
        (race,) = (step for step in program.steps if isinstance(step, c.Race))
        places |= {actor.place for actor in race.actors}
        steps |= {type(step) for actor in race.actors for step in actor.steps}
    assert places == set(c.ActorPlace)
    assert steps == set(c.ActorStep.__args__)
