"""The results of races, out of an outcome, and in words."""

from __future__ import annotations

from typing import Final

from conformance.model.prediction import Prediction
from conformance.oracle.explain import result_words
from conformance.program import call as c
from conformance.program.outcome import Outcome
from conformance.program.program import Program
from conformance.program.race import results_of, results_of_actor

_RESULT: Final = 8  # bytes

Results = list[list[int]]  # of one race: of each actor


def races_of(program: Program) -> list[c.Race]:
    """The races of a program, in order."""
    return [step for step in program.steps if isinstance(step, c.Race)]


def results_of_races(
    program: Program, outcome: Outcome, prediction: Prediction
) -> list[tuple[c.Race, Results]]:
    """Each race, with what each actor's calls gave. Empty when the outcome has not the shape."""
    out = []
    peeks = [i for i, name in enumerate(prediction.peek_names) if name == "race"]
    for race, peek in zip(races_of(program), peeks, strict=False):
        data = outcome.peeks[peek] if peek < len(outcome.peeks) else b""
        if len(data) != results_of(race) * _RESULT:
            return []
        values = [
            int.from_bytes(data[i : i + _RESULT], "little", signed=True)
            for i in range(0, len(data), _RESULT)
        ]
        first = 0
        actors = []
        for actor in race.actors:
            actors.append(results_of_actor(actor, values, first))
            first += len(actor.steps) * actor.repeat
        out.append((race, actors))
    return out


def results_words(program: Program, outcome: Outcome, prediction: Prediction) -> str:
    """What each actor's calls gave: "0, 4 pages || -ENOMEM"."""
    parts = []
    for race, results in results_of_races(program, outcome, prediction):
        actors = []
        for actor, values in zip(race.actors, results, strict=True):
            steps = actor.steps * actor.repeat
            words = [result_words(s, v) for s, v in zip(steps, values, strict=True)]
            actors.append(", ".join(words))
        parts.append(" || ".join(actors))
    return "; ".join(parts) or "not read back"
