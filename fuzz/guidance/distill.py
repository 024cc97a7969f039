"""Distilling a corpus: what each program reaches, and few programs that reach all of it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from conformance.model.predict import predict
from conformance.program.program import Program
from conformance.program.text import shortlex
from conformance.spec.cite import HITS
from conformance.target.target import Target
from fuzz.guidance.cost import cost_of
from fuzz.guidance.kcov import stable_edges
from fuzz.guidance.model_marks import THEN, marks_of
from fuzz.guidance.seed_pool import Seed

BATCH: Final = 64  # programs


def measure(
    target: Target, programs: Sequence[Program], told: Callable[[int], None] = lambda done: None
) -> list[Seed]:
    """What each program reaches on a target. told: how many are done, now and then. A program that
    the target cannot run reaches nothing. Raises TargetError."""
    out: list[Seed] = []
    for first in range(0, len(programs), BATCH):
        batch = programs[first : first + BATCH]
        sets = stable_edges(target, batch)
        out += [
            Seed(program, tuple(sorted(edges)), tuple(sorted(_marks(target, program))))
            for program, edges in zip(batch, sets, strict=True)
        ]
        told(len(out))
    return out


def _marks(target: Target, program: Program) -> frozenset[str]:
    """Of a program that maps outside the arena the model knows only when it has run: none. Which
    rule came after which leads to other programs, but is no reason to keep one."""
    if program.whole:
        return frozenset()
    HITS.clear()
    prediction = predict(program, target.facts)
    if prediction.skip:
        return frozenset()
    marks = marks_of(program, prediction, frozenset(HITS))
    return frozenset(mark for mark in marks if THEN not in mark)


def minimised(seeds: Sequence[Seed], marks: bool = True) -> list[Seed]:
    """Programs that together reach all edges (and marks) that all reach: again and again the one
    that adds most for what it costs to run. Of those that add as much, the one with the shortest
    text. Never more than a factor of ln(edges), about nine, from the fewest."""
    wanted: list[set[int | str]] = [
        set(seed.edges) | (set(seed.marks) if marks else set()) for seed in seeds
    ]
    heap = [
        (-len(wants) / cost_of(seed.program), shortlex(seed.program), i)
        for i, (seed, wants) in enumerate(zip(seeds, wanted, strict=True))
        if wants
    ]
    heapq.heapify(heap)
    reached: set[int | str] = set()
    chosen: list[Seed] = []
    while heap:
        gain, text, i = heapq.heappop(heap)
        adds = len(wanted[i] - reached)
        now = -adds / cost_of(seeds[i].program)
        if not adds:
            continue
        if now > gain:  # it adds less than it did: back in line
            heapq.heappush(heap, (now, text, i))
            continue
        chosen.append(seeds[i])
        reached |= wanted[i]
    return chosen


def adding(known: Iterable[Seed], more: Sequence[Seed], marks: bool = True) -> list[Seed]:
    """Of `more` few that reach all that the known ones do not."""
    reached: set[int | str] = set()
    for seed in known:
        reached.update(seed.edges)
        reached.update(seed.marks)
    left = [
        Seed(
            seed.program,
            tuple(edge for edge in seed.edges if edge not in reached),
            tuple(mark for mark in seed.marks if mark not in reached),
        )
        for seed in more
    ]
    return minimised(left, marks)
