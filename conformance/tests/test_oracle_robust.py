"""The oracle with whatever a broken target may hand in: it never raises, never passes it."""

import random
from pathlib import Path

import pytest
from msgspec.structs import replace

from conformance.model.predict import predict
from conformance.model.prediction import Prediction
from conformance.oracle.identity import identify
from conformance.oracle.judge import judge
from conformance.oracle.verdict import VerdictKind
from conformance.program.outcome import Outcome, Snapshot, Status
from conformance.program.text import loads
from conformance.program.wire import Observe
from conformance.tests.bad_outcome import FACTS, FOLDER, as_predicted, read

SEEDS = sorted((Path(__file__).parents[2] / "corpus" / "seeds").glob("*.toml"))
ROUNDS = 40  # broken outcomes of each program


PROGRAMS = {
    **{path.stem: loads(path.read_bytes(), path.name).program for path in SEEDS},
    **{path.stem: read(path).load() for path in sorted(FOLDER.glob("*.toml"))},
}


def broken(outcome: Outcome, draw: random.Random) -> Outcome:
    """The outcome with one thing broken in a way that no program can explain."""
    what = draw.randrange(9)
    step = draw.randrange(len(outcome.results) + 2)
    noise = draw.choice((0, 1, -1, -22, -4095, 1 << 40, -(1 << 62)))
    if what == 0:
        return replace(outcome, status=Status.KILLED, signal=draw.choice((0, 7, 9, 11, 64)),
                       step=step, results=outcome.results[:step])  # fmt: skip
    if what == 1:
        return replace(outcome, status=Status.HUNG, step=step)
    if what == 2:
        return replace(outcome, results=outcome.results[:step])
    if what == 3:
        return replace(outcome, results=(*outcome.results[:-1], noise))
    if what == 4:
        return replace(outcome, peeks=(*outcome.peeks[:-1], draw.randbytes(draw.randrange(80))))
    if what == 5:
        return replace(outcome, peeks=tuple(peek[:step] for peek in outcome.peeks))
    snapshots = list(outcome.snapshots)
    if not snapshots or what == 6:
        return replace(outcome, snapshots=tuple(snapshots[1:]))
    last = snapshots[-1]
    if what == 7:
        size = draw.randrange(9)
        words = tuple(draw.randrange(1 << 40) for _ in range(size))
        snapshots[-1] = Snapshot(last.step, last.child, words, last.pages)
    else:
        pages = tuple(draw.choice((page, draw.randrange(1 << 38))) for page in last.pages)
        snapshots[-1] = Snapshot(last.step, last.child, last.vmas, pages[: step * 3])
    return replace(outcome, snapshots=tuple(snapshots))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_broken_outcome_is_judged_and_named_whatever_it_is(name: str) -> None:
    program = PROGRAMS[name]
    draw = random.Random(name)
    observe = Observe.EACH_STEP | Observe.READ_ALL if draw.random() < 0.5 else Observe(0)
    prediction = predict(program, FACTS, observe=int(observe))
    if prediction.skip:
        pytest.fail(f"{name} needs {prediction.skip}: the facts of the test must offer it")
    outcome = as_predicted(prediction)
    assert judge(program, outcome, prediction).kind is VerdictKind.CONFORMANT
    for _ in range(ROUNDS):
        verdict = judge(program, broken(outcome, draw), prediction)
        if verdict.bad:
            assert verdict.differences
            assert verdict.requirements
            identity = str(identify(program, verdict))
            assert identity.count("/") == 4
            assert not any(character.isspace() for character in identity), identity
        elif verdict.kind is VerdictKind.HARNESS_ERROR:
            assert verdict.reason


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_result_is_compared_unless_the_model_says_that_it_is_open(name: str) -> None:
    program = PROGRAMS[name]
    prediction = predict(program, FACTS)
    outcome = as_predicted(prediction)
    for step in range(len(outcome.results)):
        results = list(outcome.results)
        results[step] ^= 1 << 30
        verdict = judge(program, replace(outcome, results=tuple(results)), prediction)
        assert verdict.bad == judged(prediction, step), f"{name}: step {step}"


def judged(prediction: Prediction, step: int) -> bool:
    return step not in prediction.unspecified and step < prediction.judged_until
