"""Between which two of a row of kernels did it come in? Ends first, then halves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from ci.gate.question import MEASURE_RUNS, Answer, Odds, Question, Told, percent
from conformance.program.kernel_facts import KernelFacts
from conformance.program.program import Program
from conformance.target.target import Target, TargetError

Open = Callable[[str], Target]
Say = Callable[[str], None]
KERNELS_MIN: Final = 2


class BisectError(Exception):
    """The ends do not allow it: both do the same, or one cannot run the program. str() says
    which, and what it did."""


class Asked(msgspec.Struct, frozen=True):
    """A kernel of the row, and what it answered."""

    name: str
    release: str
    told: Told


class Interval(msgspec.Struct, frozen=True):
    """It came in behind `good` and not later than `bad`. between: kernels there that could not
    tell. error: how likely a "good" on the way was wrong."""

    good: Asked
    bad: Asked
    between: tuple[Asked, ...]
    odds: Odds
    asked: int
    error: float


class Ends(msgspec.Struct, frozen=True):
    """Both ends, verified."""

    good: Asked
    bad: Asked
    question: Question
    odds: Odds


def verify_ends(program: Program, good: str, bad: str, open_one: Open, say: Say) -> Ends:
    """What the ends do. Raises BisectError, TargetError."""
    with open_one(good) as target:
        facts: KernelFacts = target.facts
        question = Question(program, facts)
        first = _asked(good, target, question.ask(target, MEASURE_RUNS), say)
    if first.told.answer is not Answer.GOOD:
        raise BisectError(
            f"{good} is to be the good end, but {first.told.answer.value}: {first.told.words}"
        )
    with open_one(bad) as target:
        last = _asked(bad, target, question.ask(target, MEASURE_RUNS), say)
    if last.told.answer is not Answer.BAD:
        why = last.told.words or f"it does in {MEASURE_RUNS} runs what {good} does"
        raise BisectError(f"{bad} is to be the bad end, but: {why}")
    odds = Odds(last.told.shown, last.told.runs)
    say(f"{odds.attempts} runs of each: a bad kernel passes for good with {percent(odds.missed)}")
    return Ends(first, last, Question(program, facts, last.told.identity), odds)


def bisect(program: Program, row: Sequence[str], open_one: Open, say: Say) -> Interval:
    """row: from the good end to the bad one. A kernel that does not boot or cannot run it, or
    differs in another way, is left out, and its neighbours are asked. Raises BisectError, and
    TargetError for an end that does not boot."""
    if len(row) < KERNELS_MIN:
        raise BisectError("a bisection takes two kernels at least")
    ends = verify_ends(program, row[0], row[-1], open_one, say)
    asked: dict[int, Asked] = {0: ends.good, len(row) - 1: ends.bad}
    low, high = 0, len(row) - 1
    while True:
        open_ones = [i for i in range(low + 1, high) if i not in asked]
        if not open_ones:
            break
        at = open_ones[len(open_ones) // 2]
        asked[at] = one = _ask(row[at], ends, open_one, say)
        if one.told.answer is Answer.GOOD:
            low = at
        elif one.told.answer is Answer.BAD:
            high = at
    goods = sum(one.told.answer is Answer.GOOD for one in asked.values())
    between = tuple(asked[i] for i in range(low + 1, high))
    return Interval(asked[low], asked[high], between, ends.odds, len(asked), ends.odds.error(goods))


def _ask(name: str, ends: Ends, open_one: Open, say: Say) -> Asked:
    try:
        with open_one(name) as target:
            return _asked(name, target, ends.question.ask(target, ends.odds.attempts), say)
    except TargetError as error:
        say(f"{name}: left out: {error}")
        return Asked(name, "", Told(Answer.CANNOT, words=str(error)))


def _asked(name: str, target: Target, told: Told, say: Say) -> Asked:
    release = target.facts.release
    words = f": {told.words}" if told.words else ""
    say(f"{name} ({release}): {told.answer.value}, {told.shown}/{told.runs}{words}")
    return Asked(name, release, told)
