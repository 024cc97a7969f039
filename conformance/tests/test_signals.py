"""Signals that come during calls: as text, as words, and what the oracle says of a kernel that
heeds them. Played by the model; conformance/cases/test_signals.py has kernels."""

from __future__ import annotations

import msgspec
import pytest

from conformance.abi.advice import ADVICES, BY_NAME
from conformance.abi.errnos import EINTR
from conformance.cases.layouts import anon, madvise, multi, span, written
from conformance.model.predict import predict
from conformance.oracle.judge import judge
from conformance.oracle.verdict import VerdictKind
from conformance.program.call import (
    SIGNAL_HANDLED_ONE,
    SIGNAL_SLEPT,
    SIGNAL_WOKEN,
    Madvise,
    Signal,
    SignalHow,
)
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.program.mapping import Mapping, Mark, Touch
from conformance.program.outcome import Outcome, Snapshot, Status
from conformance.program.program import Program
from conformance.program.step_words import step_words
from conformance.program.text import dumps, loads
from conformance.program.text_table import ProgramTextError
from conformance.program.validate import validate

FACTS = KernelFacts(release="7.3", advices=tuple(a.value for a in ADVICES))
POPULATE = madvise(0, 4, "POPULATE_WRITE")


def program(how: SignalHow, pages: int = 4) -> Program:
    call = msgspec.structs.replace(POPULATE, signal=Signal(how, 0, pages))
    return Program((anon(0, 4),), (call, madvise(0, 1, "DONTNEED")))


def outcome_of(value: Program) -> Outcome:
    prediction = predict(value, FACTS)
    return Outcome(
        Status.DONE,
        tuple(prediction.results),
        tuple(prediction.peeks),
        tuple(
            Snapshot(s.step, s.child, tuple(s.vmas), tuple(s.pages)) for s in prediction.snapshots
        ),
    )


def fields(value: Program, outcome: Outcome) -> list[str]:
    verdict = judge(value, outcome, predict(value, FACTS))
    return [difference.field for difference in verdict.differences]


def word(seen: int) -> tuple[bytes, ...]:
    return (seen.to_bytes(8, "little"),)


def test_a_call_that_sleeps_on_is_right() -> None:
    value = program(SignalHow.HANDLED)
    outcome = outcome_of(value)
    assert outcome.peeks == word(SIGNAL_SLEPT | SIGNAL_HANDLED_ONE)
    assert judge(value, outcome, predict(value, FACTS)).kind is VerdictKind.CONFORMANT


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"results": (1 << 28, -4, 0)}, "result.EINTR-not-0"),
        ({"results": (1 << 28, -513, 0)}, "result.513-not-0"),
        ({"peeks": word(SIGNAL_SLEPT | SIGNAL_WOKEN | SIGNAL_HANDLED_ONE)}, "signal"),
        ({"peeks": word(SIGNAL_SLEPT)}, "signal"),
        ({"peeks": word(0)}, "signal"),
    ],
)
def test_a_kernel_that_heeds_a_handled_signal_is_wrong(
    change: dict[str, object], found: str
) -> None:
    value = program(SignalHow.HANDLED)
    wrong = msgspec.structs.replace(outcome_of(value), **change)
    seen = fields(value, wrong)
    assert any(field.startswith(found.split("-not-")[0]) for field in seen), seen


def test_a_process_that_outlives_its_end_is_wrong() -> None:
    value = program(SignalHow.FATAL)
    assert fields(value, outcome_of(value)) == ["survives"]
    killed = Outcome(Status.KILLED, (1 << 28,), signal=9, step=1)
    assert judge(value, killed, predict(value, FACTS)).kind is VerdictKind.CONFORMANT
    hung = Outcome(Status.HUNG, (1 << 28,), step=1)
    assert judge(value, hung, predict(value, FACTS)).kind is VerdictKind.HANG


def test_how_often_a_storm_strikes_is_nobodys_business() -> None:
    value = program(SignalHow.STORM, 0)
    for seen in (0, 16 * SIGNAL_HANDLED_ONE):
        assert fields(value, msgspec.structs.replace(outcome_of(value), peeks=word(seen))) == []
    wrong = msgspec.structs.replace(outcome_of(value), results=(1 << 28, -4, 0))
    assert fields(value, wrong)


@pytest.mark.parametrize(
    ("how", "pages", "line", "words"),
    [
        (SignalHow.HANDLED, 4, 'signal = "handled 0..3"', "handled signal when it sleeps in pages"),
        (SignalHow.FATAL, 4, 'signal = "fatal 0..3"', "fatal signal when it sleeps in pages"),
        (SignalHow.STORM, 0, 'signal = "storm"', "in a storm of signals"),
    ],
)
def test_it_is_written_and_read(how: SignalHow, pages: int, line: str, words: str) -> None:
    value = program(how, pages)
    text = dumps(value)
    assert line in text
    assert loads(text.encode(), "x").program == value
    assert words in step_words(value.steps[0])


@pytest.mark.parametrize("wrong", ["handled", "storm 1", "kind 1", "fatal x", ""])
def test_what_is_no_signal_is_told(wrong: str) -> None:
    text = dumps(program(SignalHow.STORM, 0)).replace('"storm"', f'"{wrong}"')
    with pytest.raises(ProgramTextError, match="signal"):
        loads(text.encode(), "x")


@pytest.mark.parametrize(
    ("layout", "call", "said"),
    [
        ((anon(0, 4),), Signal(SignalHow.HANDLED, 0, 2), "one whole mapping"),
        ((written(0, 4),), Signal(SignalHow.STORM, 0, 4), "a storm watches no pages"),
        ((anon(0, 4),), Signal(SignalHow.FATAL, 0, 5000), "pages"),
    ],
)
def test_what_cannot_be_watched_may_not_be_run(
    layout: tuple[Mapping, ...], call: Signal, said: str
) -> None:
    step: Madvise = msgspec.structs.replace(POPULATE, signal=call)
    problems = validate(Program(layout, (step,)))
    assert any(said in str(problem) for problem in problems), problems
    whole = validate(Program(layout, (step,), whole=True))
    assert any("whole" in str(problem) for problem in whole)


@pytest.mark.parametrize("how", [SignalHow.HANDLED, SignalHow.FATAL])
def test_whether_it_sleeps_in_a_page_that_reclaim_may_have_taken_is_open(how: SignalHow) -> None:
    facts = msgspec.structs.replace(FACTS, swap=True)
    call = msgspec.structs.replace(POPULATE, signal=Signal(how, 0, 4))
    value = Program((written(0, 4),), (madvise(0, 4, "PAGEOUT"), madvise(0, 4, "DONTNEED"), call))
    assert predict(value, facts).unspecified == {}
    read = msgspec.structs.replace(written(0, 4), touches=(Touch(0, 4, False),))
    value = Program((read,), (madvise(0, 4, "PAGEOUT"), call))
    prediction = predict(value, facts)
    assert prediction.unspecified
    pages = tuple(prediction.snapshots[-1].pages)
    vmas = tuple(prediction.snapshots[-1].vmas)
    setup = (1 << 28, 4, 0)
    done = Outcome(Status.DONE, (*setup, 0), word(0), (Snapshot(3, False, vmas, pages),))
    assert judge(value, done, prediction).kind is VerdictKind.CONFORMANT
    if how is SignalHow.FATAL:
        killed = Outcome(Status.KILLED, setup, signal=9, step=3)
        assert judge(value, killed, prediction).kind is VerdictKind.CONFORMANT


@pytest.mark.parametrize(
    ("ranges_call", "mark", "first", "result"),
    [
        (RangesCall.KERNEL, True, "FREE", -EINTR),
        (RangesCall.KERNEL, True, "COLD", 0),  # nobody slept
        (RangesCall.KERNEL, False, "FREE", 0),  # nothing is to be taken apart
        (RangesCall.SHIM, True, "FREE", 0),  # the handler ran between the two
    ],
)
def test_unmergeable_finds_a_signal_that_waits(
    ranges_call: RangesCall, mark: bool, first: str, result: int
) -> None:
    facts = msgspec.structs.replace(FACTS, ranges_call=ranges_call)
    marks = (Mark(0, 2, BY_NAME["MERGEABLE"].value),) if mark else ()
    call = multi(span(0, 2, first), span(0, 2, "UNMERGEABLE"))
    call = msgspec.structs.replace(call, signal=Signal(SignalHow.HANDLED, 0, 2))
    later = madvise(0, 2, "UNMERGEABLE")  # when the handler has run
    value = Program((written(0, 2, marks=marks),), (call, later))
    assert predict(value, facts).results[-2:] == [result, 0]
