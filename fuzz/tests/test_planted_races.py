"""Races that are planted where actors make their calls are found by racing programs, and only by
them; what is not planted is not found."""

from __future__ import annotations

import pytest

from conformance.oracle.verdict import ORDER, VerdictKind
from conformance.program import call as c
from conformance.program.control_struct import ControlFields, Multi, Range
from conformance.program.mapping import Kind, Mapping, Touch
from conformance.program.places import PAGE, ZONE_BASE, page_address
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
DONTNEED = 4
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


def rewritten(at: int, before: int, after: int) -> Program:
    """A call of four ranges, while a word of what it reads is another half of the time."""
    ranges = tuple(Range(page_address(page), PAGE, DONTNEED) for page in range(4))
    slot = ZONE_BASE
    call = c.MadviseRanges(ControlFields(Multi(ranges)), slot + 0x40, slot + 0x180, slot + 0x100)
    stores = (c.Store(slot + at, after), c.Store(slot + at, before))
    actors = (c.Actor((call,), delay=2000), c.Actor(stores, delay=1000, repeat=100))
    layout = (Mapping(Kind.ANON, 0, 4, touches=(Touch(0, 4),)),)
    return Program(layout, (c.Race(actors),))


STATS_POINTER = rewritten(0x40 + 32, ZONE_BASE + 0x100, ZONE_BASE + 0x340)
LAST_ADVICE = rewritten(0x180 + 3 * 24 + 16, DONTNEED, 26)  # there is no such advice


@pytest.mark.parametrize(
    ("name", "program"), [("control_read_twice", STATS_POINTER), ("array_read_twice", LAST_ADVICE)]
)
def test_a_double_fetch_is_found_by_a_rewrite_of_what_is_read(name: str, program: Program) -> None:
    assert validate(program) == []
    (mutant,) = (mutant for mutant in catalogue() if mutant.id == f"shim/{name}")
    with open_target(mutant.target) as target:
        found = confirm(target, program)
    assert found is not None
    assert found.verdict.requirements == ("race-linear",)
    with open_target("shim") as target:
        assert confirm(target, program) is None


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
