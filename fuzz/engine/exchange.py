"""The exchange: seeds pass from worker to worker through the campaign, which keeps them.

A worker that is started late gets all of them. What programs reached is added up here, too.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from conformance.program.program import Program
from conformance.program.text import dumps
from fuzz.engine import messages as m
from fuzz.engine.worker_process import WorkerProcess
from fuzz.findings.atomic_file import write_atomically
from fuzz.findings.store import FindingsError
from fuzz.guidance.seed_pool import Seed

NAME_DIGITS: Final = 16  # of a seed's file: 64 bits, so that a million seeds clash once in 4e7


class Reached(NamedTuple):
    """What all programs on one target reached. kcov: the kernel can tell; None: nobody asked.
    edges, marks: time after time. places: how often each address was reached."""

    kcov: bool | None
    seeds: int
    edges: frozenset[int]
    marks: frozenset[str]
    places: dict[int, int]


class Exchange:
    """Seeds by target. folder: where each is kept as a program file, if anywhere; given: programs
    to run before any other, dealt to the workers in turn."""

    def __init__(self, folder: Path | None, given: Sequence[Program], workers: int) -> None:
        self._folder = folder
        self._given = given
        self._workers = workers
        self._seeds: dict[str, list[Seed]] = {}
        self._edges: dict[str, set[int]] = {}
        self._marks: dict[str, set[str]] = {}
        self._places: dict[str, Counter[int]] = {}
        self._kcov: dict[str, bool] = {}
        self._dealt: set[int] = set()

    def welcome(self, worker: WorkerProcess) -> None:
        """A worker is ready: what is known, and its share of what is given, if nobody had it."""
        for target, seeds in self._seeds.items():
            for seed in seeds:
                worker.tell(m.Learn(target, seed))
        if worker.number not in self._dealt and self._given:
            self._dealt.add(worker.number)
            worker.tell(m.Corpus(tuple(self._given[worker.number :: self._workers])))

    def earned(self, news: m.Earned, others: Iterator[WorkerProcess]) -> None:
        """A worker has a new seed. Raises FindingsError when it cannot be kept."""
        edges = self._edges.setdefault(news.target, set())
        marks = self._marks.setdefault(news.target, set())
        seed = news.seed
        if edges.issuperset(seed.edges) and marks.issuperset(seed.marks):
            return  # another worker was quicker
        edges.update(seed.edges)
        marks.update(seed.marks)
        self._seeds.setdefault(news.target, []).append(seed)
        for worker in others:
            worker.tell(m.Learn(news.target, seed))
        if self._folder is not None:
            keep_seed(self._folder, seed.program)

    def reached(self, news: m.Reached) -> None:
        """A worker says what its programs reached since it said so last."""
        counts = self._places.setdefault(news.target, Counter())
        for address, count in zip(news.places[::2], news.places[1::2], strict=True):
            counts[address] += count
        if news.kcov is not None:
            self._kcov[news.target] = news.kcov

    def total(self) -> dict[str, Reached]:
        """By target."""
        return {
            target: Reached(
                self._kcov.get(target),
                len(self._seeds.get(target, ())),
                frozenset(self._edges.get(target, ())),
                frozenset(self._marks.get(target, ())),
                dict(places),
            )
            for target, places in self._places.items()
        }


def keep_seed(folder: Path, program: Program, place: str = "") -> Path:
    """A program as a file named after its text (behind its place among others, if it has one),
    unless it is there. Raises FindingsError."""
    text = dumps(program)
    path = folder / f"{place}{hashlib.sha256(text.encode()).hexdigest()[:NAME_DIGITS]}.toml"
    try:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text.encode())
    except OSError as error:
        raise FindingsError(f"cannot keep a seed in {folder}: {error.strerror}") from error
    return path
