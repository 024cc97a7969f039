"""Faults are killed on the live kernel, and only by what they alone cause."""

from __future__ import annotations

import pytest

from conformance.target.registry import open_target
from fuzz.generate.programs import ProgramSource
from fuzz.mutants import kill_score
from fuzz.mutants.catalogue import Mutant, catalogue
from fuzz.mutants.demo import demonstrate
from fuzz.mutants.kill_score import Plan, Score, kill, kill_all
from fuzz.triage.examine import examine

MUTANTS = {mutant.id: mutant for mutant in catalogue()}
PLAN = Plan(seconds=60.0)


@pytest.mark.parametrize(
    "ident", ["shim/gap_counted_twice", "shim/stats_overrun", "model/dontneed_keeps"]
)
def test_a_fault_is_killed_by_a_program_that_is_innocent_without_it(ident: str) -> None:
    mutant = MUTANTS[ident]
    score = kill(mutant, PLAN)
    assert score.killed
    assert score.words
    program = ProgramSource(PLAN.seed).program(score.killer)
    with open_target(mutant.clean) as clean:
        (verdict,) = examine(clean, [program])
    assert not verdict.bad


def test_no_fault_is_not_killed() -> None:
    """A "mutant" without a fault survives: a kill is no accident of the harness."""
    healthy = Mutant("shim/none", "shim", "walk-order", "nothing", "shim", "shim", None)
    score = kill(healthy, Plan(seconds=3.0))
    assert not score.killed
    assert score.programs > 100


def test_what_fails_without_the_fault_kills_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clean target is given the fault too: then nothing may count."""
    faulty = MUTANTS["shim/stats_overrun"]
    twice = faulty._replace(clean=faulty.target)
    monkeypatch.setattr(kill_score, "SICK_MAX", 3)
    score = kill(twice, PLAN)
    assert not score.killed
    assert len(score.sick) >= 3
    assert "abi-writes-confined" in score.sick[0]


def test_the_pool_scores_every_mutant_once() -> None:
    wanted = ("shim/version_ignored", "model/flags_ignored", "shim/count_zero_refused")
    scores = list(kill_all(tuple(MUTANTS[ident] for ident in wanted), PLAN, workers=2))
    assert sorted(score.id for score in scores) == sorted(wanted)
    assert all(score.killed for score in scores)


def test_a_mutant_that_cannot_run_is_broken_and_not_killed() -> None:
    gone = MUTANTS["shim/version_ignored"]._replace(id="shim/never_was")
    (score,) = kill_all((gone,), PLAN, workers=1)
    assert score.broken
    assert not score.killed


def test_a_demonstration_ends_with_a_small_program_that_needs_the_fault() -> None:
    shown = demonstrate(MUTANTS["shim/gap_counted_twice"], PLAN)
    assert shown is not None
    assert len(shown.small.steps) == 1
    assert shown.shown == shown.runs
    assert shown.shown_clean == 0
    assert shown.verdict.requirements == ("gap-counted",)


def test_a_score_without_a_killer_is_a_survivor() -> None:
    assert not Score("x", -1, 1.0, 10).killed
    assert Score("x", 0, 1.0, 10).killed
