"""SeededChooser: choices from a seed, at the rate that a campaign needs."""

from __future__ import annotations

from random import Random
from typing import TypeVar

T = TypeVar("T")

SEED_MASK = (1 << 64) - 1


class SeededChooser:
    """Choices of the Mersenne Twister.

    Only Random.seed(int) and getrandbits() are used, and scaled here: both have given the same
    numbers since Python 3.2, while randrange() and choice() have changed. Scaling 24 bits
    favours some of n options by n / 2**24 at most, which no census of ours can see.
    """

    __slots__ = ("_bits", "_random")

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)
        self._bits = self._random.getrandbits

    def reseed(self, campaign: int, index: int) -> None:
        """Start program `index` of the campaign with this seed.

        The state depends on these two numbers only, so workers may split the indexes in any
        way. Both are taken modulo 2**64; the pair is the key that the twister's own
        initialisation mixes.
        """
        self._random.seed((campaign & SEED_MASK) << 64 | index & SEED_MASK)

    def integer(self, low: int, high: int) -> int:
        """See Chooser."""
        span = high - low + 1
        if span < 0x10000:
            return low + (self._bits(24) * span >> 24)
        width = span.bit_length() + 24
        return low + (self._bits(width) * span >> width)

    def pick(self, options: tuple[T, ...]) -> T:
        """See Chooser."""
        return options[self._bits(24) * len(options) >> 24]

    def chance(self, numerator: int, denominator: int) -> bool:
        """See Chooser. True for the highest values, as in every driver."""
        return (self._bits(24) * denominator >> 24) >= denominator - numerator
