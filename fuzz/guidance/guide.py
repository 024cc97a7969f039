"""The guide of one target: which programs to run next, and what is learnt from those that ran.

The programs that it draws depend on the seed of the campaign, on their numbers, and on the seeds
that are known by then; so a campaign of one worker on a kernel that takes the same edges each time
runs the same programs again, and one of several workers does not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from conformance.model.prediction import Prediction
from conformance.program.outcome import Outcome, Status
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.target.target import Target
from fuzz.generate.programs import ProgramSource
from fuzz.generate.seeded import SeededChooser
from fuzz.guidance.cost import affordable
from fuzz.guidance.kcov import edges_in, stable_edges
from fuzz.guidance.model_marks import marks_of
from fuzz.guidance.mutate import Mutator
from fuzz.guidance.seed_pool import Seed, SeedPool

# One program in so many is new: what no seed leads to is found by chance only, and the share of
# guided work is still three quarters.
FRESH_ONE_IN: Final = 4
SEEDS_MIN: Final = 16  # with fewer, everything is new
CHOICES: Final = 0x6775_6964_6500_0000  # told apart from the generator's choices of the same seed


class Run(NamedTuple):
    """A program that did as predicted. cited: the ids of rules noted while it was predicted."""

    program: Program
    outcome: Outcome
    prediction: Prediction
    cited: frozenset[str]


class Guide:
    """Draws programs for one target, and learns from their outcomes.

    guest: the target is a disposable kernel. fresh: draw only what the generator gives; then this
    only measures. kcov: what the target's kernel can tell; None before it was asked.
    """

    def __init__(self, source: ProgramSource, guest: bool, fresh: bool = False) -> None:
        self.pool = SeedPool()
        self.kcov: bool | None = None
        self.unstable: set[int] = set()  # edges that did not show in every run
        self.waiting: deque[Program] = deque()  # of a corpus, to be run before any other
        self._source = source
        self._fresh = fresh
        self._chooser = SeededChooser()
        self._mutator = Mutator(self._chooser, source.options, guest)

    @property
    def observe(self) -> Observe:
        """How its programs are to be looked at, besides how any program is."""
        return Observe(0) if self.kcov is False else Observe.COVER_NEW

    def draw(self, first: int, count: int) -> list[Program]:
        """Programs [first, first + count) of the campaign."""
        self._chooser.reseed(self._source.seed ^ CHOICES, first)
        return [self._draw(number) for number in range(first, first + count)]

    def _draw(self, number: int) -> Program:
        if self.waiting:
            return self.waiting.popleft()
        if self._fresh or len(self.pool.seeds) < SEEDS_MIN:
            return self._source.program(number)
        return affordable(self._chooser, lambda: self._try(number), _itself)

    def _try(self, number: int) -> Program:
        chooser, pool = self._chooser, self.pool
        if chooser.chance(1, FRESH_ONE_IN):
            return self._source.program(number)
        program = self._mutator.mutate(pool.pick(chooser).program, pool.pick(chooser).program)
        return program if program is not None else self._source.program(number)

    def learn(self, target: Target, runs: Sequence[Run]) -> list[Seed]:
        """Look at what programs reached that was not reached before; the seeds that they make.
        What reached new edges runs again. Nothing may be in flight on the target. Raises
        TargetError."""
        told: list[tuple[Run, frozenset[str]]] = []
        seeds: list[Seed] = []
        for run in runs:
            if run.outcome.status is not Status.DONE:
                continue
            if self.kcov is None:
                self.kcov = run.outcome.coverage is not None
            marks = marks_of(run.program, run.prediction, run.cited)
            if self.pool.new_edges(edges_in(run.outcome)) - self.unstable:
                told.append((run, marks))
            elif self.pool.new_marks(marks):
                self._keep(Seed(run.program, (), tuple(sorted(marks))), seeds)
        if told:
            sets = stable_edges(target, [run.program for run, _ in told])
            for (run, marks), edges in zip(told, sets, strict=True):
                self.unstable |= edges_in(run.outcome) - edges
                self._keep(Seed(run.program, tuple(sorted(edges)), tuple(sorted(marks))), seeds)
        return seeds

    def _keep(self, seed: Seed, seeds: list[Seed]) -> None:
        if self.pool.add(seed):
            seeds.append(seed)


def _itself(program: Program) -> Program:
    return program
