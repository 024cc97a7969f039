"""The generator as a Hypothesis strategy: for properties, for cases, and for shrinking."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import strategies as st

from conformance.program.program import Program
from fuzz.generate.options import DEFAULT, GenerateOptions
from fuzz.generate.programs import generate

T = TypeVar("T")


class HypothesisChooser:
    """Choices drawn from a running Hypothesis example. Offsets from the lower bound are drawn,
    because Hypothesis shrinks towards zero and a generator's simplest value is the lowest.

    No child of IntegerChooser: that class may be native code, which plain classes cannot extend.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        """See Chooser."""
        return low + self._draw(st.integers(0, high - low))

    def pick(self, options: tuple[T, ...]) -> T:
        """See Chooser."""
        return options[self.integer(0, len(options) - 1)]

    def chance(self, numerator: int, denominator: int) -> bool:
        """See Chooser."""
        return self.integer(0, denominator - 1) >= denominator - numerator


@st.composite
def programs(draw: st.DrawFn, options: GenerateOptions = DEFAULT) -> Program:
    """Programs as a campaign with these options makes them."""
    return generate(HypothesisChooser(draw), options)
