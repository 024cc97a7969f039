"""What each verb of Python costs for a typical program: CPU time on one pinned core."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from ci.report.figure import Figure
from conformance.model.predict import predict
from conformance.oracle.judge import judge
from conformance.program.plan import GENERATION
from conformance.program.wire import encode
from conformance.target.registry import open_target
from fuzz.generate.programs import ProgramSource
from fuzz.generate.seeded import SeededChooser
from fuzz.generate.typical import typical

PROGRAMS: Final = GENERATION  # so that encode() and predict() share plans, as in a campaign
ROUNDS: Final = 30
SEED: Final = 1
T = TypeVar("T")


def python_figures() -> list[Figure]:
    """Microseconds for each verb; the best of several rounds. Pins this process.

    Raises TargetError when no program can be run, since outcomes are judged.
    """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    chooser = SeededChooser(SEED)
    programs = [typical(chooser) for _ in range(PROGRAMS)]
    source = ProgramSource(SEED)
    with open_target("host") as target:
        facts = target.facts
        outcomes = target.run_batch(programs)
    predictions = [predict(program, facts) for program in programs]
    pairs = list(zip(programs, outcomes, predictions, strict=True))
    gc.freeze()
    costs = {
        "generate, typical": _best(lambda _: typical(chooser), programs),
        "generate, random": _best(source.program, range(PROGRAMS)),
        "encode": _best(lambda program: encode(program, 0), programs),
        "predict": _best(lambda program: predict(program, facts), programs),
        "judge": _best(lambda row: judge(*row), pairs),
    }
    gc.unfreeze()
    return [Figure(name, value, "us CPU") for name, value in costs.items()]


def _best(verb: Callable[[T], object], values: Sequence[T]) -> float:
    """CPU microseconds for each value, in the best of the rounds: others disturb, never help."""
    best = float("inf")
    for _ in range(ROUNDS):
        before = time.process_time_ns()
        for value in values:
            verb(value)
        best = min(best, (time.process_time_ns() - before) / 1000 / len(values))
    return best
