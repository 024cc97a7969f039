"""Seeds: programs that earned something, and which of them to try next.

What a program earned is an edge of the kernel or a mark of the model that no program before it
had. A seed's energy is the sum over what it reaches of one over the number of seeds that reach it,
by what it costs to run: what only one seed reaches weighs as much as what a hundred reach together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

import msgspec

from conformance.program.program import Program
from fuzz.generate.chooser import Chooser
from fuzz.guidance.cost import cost_of

SEEDS_MAX: Final = 20_000  # 10 kB each; a kernel with ten files traced earned 2,000 in an hour
# Energies are worked out again when the pool has grown by an eighth: each time costs as much as
# there are edges in all seeds, 0.2 us each, so all times together cost nine times the last.
GROWTH_ONE_IN: Final = 8
ENERGY_UNIT: Final = 1 << 16  # energies are drawn as whole numbers


class Seed(msgspec.Struct, frozen=True):
    """A program, and all that it reaches time after time. edges: of the kernel; marks: of the
    model."""

    program: Program
    edges: tuple[int, ...]
    marks: tuple[str, ...]


class SeedPool:
    """The seeds that one worker knows, its own and those of others."""

    def __init__(self) -> None:
        self.seeds: list[Seed] = []
        self.edges: set[int] = set()
        self.marks: set[str] = set()
        self._weights: list[int] = []

    def new_edges(self, edges: Iterable[int]) -> set[int]:
        """Those that no seed reaches."""
        return set(edges) - self.edges

    def new_marks(self, marks: frozenset[str]) -> frozenset[str]:
        """Those that no seed has."""
        return marks - self.marks

    def earns(self, seed: Seed) -> bool:
        """Does it reach anything that no seed does?"""
        return not (self.edges.issuperset(seed.edges) and self.marks.issuperset(seed.marks))

    def add(self, seed: Seed) -> bool:
        """Keep a seed that earns something; False for another one, and when the pool is full."""
        if not self.earns(seed) or len(self.seeds) >= SEEDS_MAX:
            return False
        self.seeds.append(seed)
        self.edges.update(seed.edges)
        self.marks.update(seed.marks)
        return True

    def pick(self, chooser: Chooser) -> Seed:
        """A seed by its energy. The pool is not empty."""
        weighed = len(self._weights)
        if (len(self.seeds) - weighed) * GROWTH_ONE_IN > weighed:
            self._weigh()
        if len(self.seeds) > len(self._weights) and chooser.chance(1, 4):
            return self.seeds[chooser.integer(len(self._weights), len(self.seeds) - 1)]
        at = chooser.integer(0, self._weights[-1] - 1)
        return self.seeds[bisect_right(self._weights, at)]

    def _weigh(self) -> None:
        """The sums of the energies up to each seed."""
        count: Counter[int | str] = Counter()
        for seed in self.seeds:
            count.update(seed.edges)
            count.update(seed.marks)
        share = {what: 1 / number for what, number in count.items()}
        energies = []
        for seed in self.seeds:
            energy = sum(map(share.__getitem__, seed.edges))
            energy += sum(map(share.__getitem__, seed.marks))
            energy /= cost_of(seed.program)
            energies.append(1 + int(energy * ENERGY_UNIT))
        self._weights = list(accumulate(energies))
