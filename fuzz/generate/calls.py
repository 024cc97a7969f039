"""Calls of the two existing surfaces."""

from __future__ import annotations

from typing import Final

from conformance.program.call import IoRange, Madvise, ProcessMadvise
from conformance.program.places import (
    ARRAY_OFFSET,
    FD_PIDFD_REMOTE,
    ZONE_BASE,
)
from fuzz.generate.boundaries import COUNTS, REMOTE_ADVICES
from fuzz.generate.chooser import Chooser, table
from fuzz.generate.layouts import Layout
from fuzz.generate.placements import draw_place
from fuzz.generate.ranges import range_for
from fuzz.generate.swarm import Swarm

ARRAY_USUAL: Final = ZONE_BASE + ARRAY_OFFSET
IOVEC_BYTES: Final = 16
VECTOR_SIZES: Final = table(
    (30, 1), (20, 2), (8, 0), (12, 3), (6, 4), (4, 5), (2, 7), (2, 8), (3, 9), (2, 10), (1, 1024),
    (1, 1025),
)  # fmt: skip
# A vector this long repeats its first elements: what matters is only that it is long.
REPEATS_FROM: Final = 16
_FLAGS: Final = (1, 2, 4, 8, 16, 0x8000_0000, 0xFFFF_FFFF)
_COUNT_SHIFTS: Final = (-1, 1)
# One call in so many has the flaw, by hostility of the program.
FLAW_ONE_IN: Final = (60, 12, 4)


def draw_madvise(chooser: Chooser, layout: Layout, swarm: Swarm) -> Madvise:
    """madvise() of one range."""
    advice = chooser.pick(swarm.advices)
    start, length = range_for(chooser, layout, swarm.ranges, advice)
    return Madvise(start, length, advice)


def draw_process_madvise(chooser: Chooser, layout: Layout, swarm: Swarm) -> ProcessMadvise:
    """process_madvise() of a vector; for another process mostly with advice that it may have."""
    pick = chooser.pick
    pidfd = pick(swarm.pidfds)
    advice = pick(swarm.advices)
    if pidfd == FD_PIDFD_REMOTE and chooser.chance(3, 4):
        advice = pick(REMOTE_ADVICES)
    size = pick(VECTOR_SIZES)
    vec = _draw_vector(chooser, layout, swarm, advice, size)
    if not chooser.chance(1, FLAW_ONE_IN[swarm.hostility]):
        return ProcessMadvise(advice, vec, pidfd)
    flags = 0
    count: int | None = None
    at = ARRAY_USUAL
    flaw = chooser.integer(0, 4)
    if flaw == 0:
        flags = pick(_FLAGS)
    elif flaw == 1:
        count = draw_count(chooser, size)
    else:
        at = draw_place(chooser, layout, ARRAY_USUAL, max(1, size) * IOVEC_BYTES)
    return ProcessMadvise(advice, vec, pidfd, flags, count, at)


def draw_count(chooser: Chooser, size: int) -> int:
    """An element count that is not the number of elements."""
    if size > 0 and chooser.chance(1, 2):
        return size + chooser.pick(_COUNT_SHIFTS)
    return chooser.pick(COUNTS)


def _draw_vector(
    chooser: Chooser, layout: Layout, swarm: Swarm, advice: int, size: int
) -> tuple[IoRange, ...]:
    distinct = size if size < REPEATS_FROM else 2
    out: list[IoRange] = []
    for _ in range(distinct):
        start, length = range_for(chooser, layout, swarm.ranges, advice)
        out.append(IoRange(start, length))
    if size >= REPEATS_FROM:
        return (out[0],) * (size - 1) + (out[1],)
    return tuple(out)


