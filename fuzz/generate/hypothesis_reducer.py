"""Reduction by Hypothesis: the choices that keep a program as it is are its first example."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from hypothesis import Phase, find, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase, choices_to_bytes
from hypothesis.errors import NoSuchExample

from conformance.program.program import Program
from conformance.program.text import shortlex
from fuzz.generate.hypothesis_chooser import HypothesisChooser
from fuzz.generate.plainer import DeleteColumns, plainer

KEY: Final = b"reduce"
ROUNDS_MAX: Final = 8  # each starts from what the one before has left


class _TimeUp(BaseException):
    """Not an Exception: Hypothesis must not take it for a failure of the test."""


class _Keeper:
    """Takes the highest choice each time, and notes it."""

    def __init__(self) -> None:
        self.kept: list[int] = []

    def integer(self, low: int, high: int) -> int:
        """See Chooser."""
        self.kept.append(high - low)
        return high


def hypothesis_reduce(
    program: Program,
    fails: Callable[[Program], bool],
    valid: Callable[[Program], bool],
    delete_columns: DeleteColumns,
    seconds: float,
    evaluations: int,
) -> Program:
    """The smallest program, in the order of shortlex(), that fails() was seen to hold of: the
    given one when none is smaller. What fails() raises passes through.

    seconds, evaluations: at most so many seconds, and programs that are asked about.
    """
    search = _Search(program, fails, valid, seconds, evaluations)
    for _ in range(ROUNDS_MAX):
        before = search.best
        if not _one_round(search, delete_columns) or search.best == before:
            break
    return search.best


class _Search:
    """What is asked, and the smallest that held."""

    def __init__(
        self,
        program: Program,
        fails: Callable[[Program], bool],
        valid: Callable[[Program], bool],
        seconds: float,
        evaluations: int,
    ) -> None:
        self.best = program
        self.key = shortlex(program)
        self._fails = fails
        self._valid = valid
        self._end = time.monotonic() + seconds
        self._left = evaluations
        self._known: dict[str, bool] = {self.key[1]: True}

    def holds(self, program: Program) -> bool:
        """Does this one show it? Raises _TimeUp when the budget is spent."""
        key = shortlex(program)
        known = self._known.get(key[1])
        if known is None:
            known = self._known[key[1]] = self._valid(program) and self._ask(program)
        if known and key < self.key:
            self.best, self.key = program, key
        return known

    def _ask(self, program: Program) -> bool:
        if not self._left or time.monotonic() >= self._end:
            raise _TimeUp
        self._left -= 1
        return self._fails(program)


def _one_round(search: _Search, delete_columns: DeleteColumns) -> bool:
    """Shrink the choices that keep the best program. Was there time to come to an end?"""
    program = search.best
    keeper = _Keeper()
    plainer(keeper, program, delete_columns)
    database = InMemoryExampleDatabase()
    database.save(KEY, choices_to_bytes([*keeper.kept, 0]))

    @st.composite
    def strategy(draw: st.DrawFn) -> Program:
        return plainer(HypothesisChooser(draw), program, delete_columns)

    options = settings(
        database=database, phases=(Phase.reuse, Phase.shrink), deadline=None, max_examples=1
    )
    try:
        find(strategy(), search.holds, settings=options, database_key=KEY)
    except _TimeUp:
        return False
    except NoSuchExample:  # the kept choices do not lead there: nothing to start from
        return False
    return True
