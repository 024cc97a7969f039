"""Shrinking: the smallest program, in the total order of its text, that still shows the bug.

Greedy and in rounds: a pass proposes smaller programs, they are run as a batch since a batch
costs little more than its slowest program, and the smallest that still fails is taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from conformance.program.program import Program
from conformance.program.text import shortlex
from conformance.program.validate import validate
from fuzz.triage.examine import StillFails
from fuzz.triage.shrink_passes import PASSES, Pass

BATCH: Final = 64  # candidates asked at once: a batch costs little more than its slowest program
CANDIDATES_MAX: Final = 512  # of one pass; the rest wait until the pass comes again


class ShrinkBudget(msgspec.Struct, frozen=True):
    """When to stop: programs run, and seconds. What is smallest by then is returned.

    batch: candidates asked at once. 1 is right where a run that shows the bug costs much more
    than one that does not, as a crash of a guest does: then each step down costs one such run.
    """

    evaluations: int = 4000
    seconds: float = 20.0
    batch: int = BATCH


DEFAULT_BUDGET: Final = ShrinkBudget()


def may_run(program: Program) -> bool:
    """Only programs that validate are ever run: a candidate may have lost what made it safe."""
    return not validate(program)


def may_run_in_guest(program: Program) -> bool:
    """The same for a program that only a kernel may run that can be thrown away, and has."""
    return not validate(program, guest=True)


def shrink(
    program: Program,
    still_fails: StillFails,
    budget: ShrinkBudget = DEFAULT_BUDGET,
    valid: Callable[[Program], bool] | None = None,
) -> Program:
    """A program that is at most as large as the given one and that still_fails() holds of; the
    given one, when nothing smaller was found within the budget. What still_fails() raises
    passes through. valid None: as safe as the given one is."""
    if valid is None:
        valid = may_run if may_run(program) else may_run_in_guest
    return _Shrinker(program, still_fails, budget, valid).run()


class _Shrinker:
    def __init__(
        self,
        program: Program,
        still_fails: StillFails,
        budget: ShrinkBudget,
        valid: Callable[[Program], bool],
    ) -> None:
        self._best = program
        self._key = shortlex(program)
        self._still_fails = still_fails
        self._valid = valid
        self._left = budget.evaluations
        self._batch = budget.batch
        self._end = time.monotonic() + budget.seconds
        self._tried: set[str] = {self._key[1]}

    def run(self) -> Program:
        """Passes in order, each as long as it gets anywhere, until a whole round gets nowhere."""
        improved = True
        while improved:
            improved = False
            for propose in PASSES:
                while self._step(propose):
                    improved = True
        return self._best

    def _step(self, propose: Pass) -> bool:
        """One pass over the best program: was a smaller one found?"""
        candidates = self._smaller(propose(self._best))
        for first in range(0, len(candidates), self._batch):
            if self._left <= 0 or time.monotonic() >= self._end:
                return False
            batch = candidates[first : first + min(self._batch, self._left)]
            self._left -= len(batch)
            self._tried.update(key[1] for key, _ in batch)
            answers = self._still_fails([candidate for _, candidate in batch])
            for (key, candidate), fails in zip(batch, answers, strict=True):
                if fails:  # the batch is in order: the first is the smallest
                    self._best, self._key = candidate, key
                    return True
        return False

    def _smaller(self, proposed: Iterable[Program]) -> list[tuple[tuple[int, str], Program]]:
        """Candidates below the best one, smallest first, none of them tried before."""
        out: dict[str, tuple[tuple[int, str], Program]] = {}
        for candidate in proposed:
            if time.monotonic() >= self._end or len(out) >= CANDIDATES_MAX:
                break
            key = shortlex(candidate)
            if key < self._key and key[1] not in self._tried and self._valid(candidate):
                out[key[1]] = (key, candidate)
        return sorted(out.values(), key=lambda entry: entry[0])
