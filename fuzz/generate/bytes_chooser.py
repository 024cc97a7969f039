"""BytesChooser: choices from a byte string, for coverage-guided fuzzing."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


class BytesChooser:
    """Total: every byte string is a program, none raises.

    A choice among n takes the fewest bytes that can name all n, so that a mutated byte changes
    few choices and their alignment holds. After the end every choice is the simplest one.

    No child of IntegerChooser, see HypothesisChooser.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def integer(self, low: int, high: int) -> int:
        """See Chooser."""
        span = high - low + 1
        size = ((span - 1).bit_length() + 7) // 8
        at = self._at
        self._at = at + size
        return low + int.from_bytes(self._data[at : at + size], "little") % span

    def pick(self, options: tuple[T, ...]) -> T:
        """See Chooser."""
        return options[self.integer(0, len(options) - 1)]

    def chance(self, numerator: int, denominator: int) -> bool:
        """See Chooser."""
        return self.integer(0, denominator - 1) >= denominator - numerator

    def used(self) -> int:
        """Bytes asked for so far; more than there were when the string was too short."""
        return self._at
