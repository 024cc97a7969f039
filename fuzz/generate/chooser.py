"""Chooser: where the choices of a generator come from.

A generator is an ordinary function that makes every choice through a Chooser, so that the same
code serves volume (seeded), shrinking (hypothesis_chooser), coverage guidance (bytes_chooser)
and enumeration (exhaustive). The least value, and the first option, is always the simplest
one: drivers that shrink move towards it, and drivers that run dry return it.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

T = TypeVar("T")


class Chooser(Protocol):
    """Source of choices. All bounds are the generator's duty: low <= high, options not empty."""

    def integer(self, low: int, high: int) -> int:
        """A number in low..high, both included."""
        ...

    def pick(self, options: tuple[T, ...]) -> T:
        """One of the options; a value that stands in several places is drawn as often."""
        ...

    def chance(self, numerator: int, denominator: int) -> bool:
        """True in numerator of denominator cases; the simplest choice is False."""
        ...


class IntegerChooser:
    """A Chooser for drivers whose only primitive is a bounded integer: override integer()."""

    def integer(self, low: int, high: int) -> int:
        """A number in low..high. Raises NotImplementedError here: drivers provide it."""
        raise NotImplementedError

    def pick(self, options: tuple[T, ...]) -> T:
        """See Chooser."""
        return options[self.integer(0, len(options) - 1)]

    def chance(self, numerator: int, denominator: int) -> bool:
        """See Chooser."""
        return self.integer(0, denominator - 1) >= denominator - numerator


def table(*rows: tuple[int, T]) -> tuple[T, ...]:
    """Options for pick() from (weight, value) rows: each value as often as its weight says.

    A draw from a tuple is one multiplication, whatever the weights.
    """
    out: list[T] = []
    for weight, value in rows:
        out.extend([value] * weight)
    return tuple(out)
