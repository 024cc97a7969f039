"""One planted fault followed to its end: found, shrunk, replayed with it and without."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from conformance.oracle.verdict import Verdict
from conformance.program.program import Program
from conformance.target.registry import open_target
from fuzz.engine.suspects import CRASH_SHRINK_BUDGET
from fuzz.mutants.catalogue import Mutant
from fuzz.mutants.kill_score import Plan, kill, source_of
from fuzz.mutants.model_mutants import planted
from fuzz.triage.examine import FULL_LOOK, examine, still_fails
from fuzz.triage.shrink import DEFAULT_BUDGET, shrink
from fuzz.triage.stability import DEFLAKE_RUNS, confirm


class Demonstration(NamedTuple):
    """number, seconds: of the program that found the fault. shown, shown_clean: how many of
    `runs` runs of the small program diverge with the fault, and without."""

    number: int
    seconds: float
    found: Program
    small: Program
    verdict: Verdict
    shown: int
    shown_clean: int
    runs: int


def demonstrate(mutant: Mutant, plan: Plan) -> Demonstration | None:
    """None when the fault is not found, or does not show again. Raises TargetError."""
    score = kill(mutant, plan)
    if not score.killed:
        return None
    found = source_of(mutant, plan.seed).program(score.killer)
    fault: AbstractContextManager[None] = (
        nullcontext() if mutant.model is None else planted(mutant.model)
    )
    with open_target(mutant.target) as faulty, open_target(mutant.clean) as clean:
        with fault:
            seen = confirm(faulty, found)
            if seen is None:
                return None
            budget = CRASH_SHRINK_BUDGET if seen.verdict.log else DEFAULT_BUDGET
            small = shrink(found, still_fails(faulty, seen.identity, seen.observe), budget)
            again = confirm(faulty, small) or seen
        without = examine(clean, [small] * DEFLAKE_RUNS, FULL_LOOK)
    return Demonstration(
        number=score.killer,
        seconds=score.seconds,
        found=found,
        small=small,
        verdict=again.verdict,
        shown=again.shown,
        shown_clean=sum(verdict.bad for verdict in without),
        runs=again.runs,
    )
