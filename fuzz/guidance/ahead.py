"""Running programs ahead of a fuzzer that wants to know of one at a time.

A byte fuzzer asks for a mutant, runs it, looks at the counters, and only then thinks of the next.
A guest answers for 64 programs in little more time than for one. So the mutant that the fuzzer is
given is one that has been run already: each call makes a new mutant of what the fuzzer chose and
puts it at the end of the queue, and takes what lies in front with its coverage. The fuzzer's
choices take effect one batch late; nothing else changes. What it runs without having been given it
comes from its folder, where others put what they find, and many at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from conformance.program.program import Program

BATCH: Final = 64
TOLD_MAX: Final = 4 * BATCH  # results that wait for the fuzzer to run what they are of

Counters = Sequence[int]  # the numbers of those that a program moved
Run = Callable[[list[Program]], list[Counters]]
News = Callable[[], Sequence["Mutant"]]


class Mutant(NamedTuple):
    """An input of the fuzzer's, and the program that it is."""

    data: bytes
    program: Program


class Ahead:
    """The queue. run: runs programs, and gives the counters of each, in order. news: inputs that
    others have made, and that it has not given before."""

    def __init__(self, run: Run, news: News = tuple, batch: int = BATCH) -> None:
        self._run = run
        self._news = news
        self._batch = batch
        self._waiting: list[Mutant] = []
        self._ready: deque[tuple[Mutant, Counters]] = deque()
        self._told: dict[bytes, Counters] = {}

    def exchange(self, make: Callable[[], Mutant]) -> bytes:
        """A new mutant goes in, one that has been run comes out. What run() raises passes
        through."""
        self._waiting.append(make())
        if not self._ready:
            while len(self._waiting) < self._batch:  # only the first time
                self._waiting.append(make())
            self._run_waiting()
        mutant, counters = self._ready.popleft()
        self._tell(mutant.data, counters)
        return mutant.data

    def preload(self, mutants: Sequence[Mutant]) -> None:
        """Run what the fuzzer is going to begin with."""
        for first in range(0, len(mutants), self._batch):
            some = mutants[first : first + self._batch]
            for mutant, counters in zip(some, self._counters(some), strict=True):
                self._told[mutant.data] = counters

    def counters(self, data: bytes, decode: Callable[[bytes], Program]) -> Counters:
        """The counters of what the fuzzer runs: as a rule, what it was given last."""
        told = self._told.pop(data, None)
        if told is None:
            self.preload(self._news())
            told = self._told.pop(data, None)
        if told is not None:
            return told
        (counters,) = self._counters([Mutant(data, decode(data))])
        return counters

    def _run_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._ready.extend(zip(waiting, self._counters(waiting), strict=True))

    def _counters(self, mutants: Sequence[Mutant]) -> list[Counters]:
        return self._run([mutant.program for mutant in mutants])

    def _tell(self, data: bytes, counters: Counters) -> None:
        """The fuzzer may throw away what it asked for: what it never runs is forgotten."""
        self._told[data] = counters
        if len(self._told) > TOLD_MAX:
            del self._told[next(iter(self._told))]
