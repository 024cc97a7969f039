"""Exhaustive enumeration: the same imperative generator, run once for every series of choices.

The series is a number with digits of varying base, counted up from the right; each run
follows the digits that are set and appends zeros. Runs never repeat a series, and end when
there is no digit left to raise, so a generator must be small: its count is the product of
its choices. small_programs is such a generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from fuzz.generate.chooser import IntegerChooser

T = TypeVar("T")


class ExhaustiveChooser(IntegerChooser):
    """One run of an enumeration: replays its digits, then takes the lowest of everything."""

    def __init__(self, digits: list[int]) -> None:
        self._digits = digits
        self._spans: list[int] = []

    def integer(self, low: int, high: int) -> int:
        """See Chooser."""
        depth = len(self._spans)
        self._spans.append(high - low + 1)
        if depth == len(self._digits):
            self._digits.append(0)
        return low + self._digits[depth]

    def advance(self) -> bool:
        """Turn the digits of the finished run into those of the next; False after the last."""
        digits = self._digits
        del digits[len(self._spans) :]
        while digits:
            if digits[-1] + 1 < self._spans[len(digits) - 1]:
                digits[-1] += 1
                return True
            digits.pop()
        return False


def every(generator: Callable[[ExhaustiveChooser], T]) -> Iterator[T]:
    """What the generator returns, for every series of choices that it can make, in order."""
    digits: list[int] = []
    while True:
        chooser = ExhaustiveChooser(digits)
        yield generator(chooser)
        if not chooser.advance():
            return
