"""Calls of the two existing surfaces."""

from __future__ import annotations

from typing import Final

from conformance.program.call import IoRange, Madvise, ProcessMadvise
from conformance.program.places import (
    ARRAY_OFFSET,
    FD_PIDFD_REMOTE,
    ZONE_BASE,
)
from conformance.program.struct_shapes import shape_of
from fuzz.generate.boundaries import COUNTS, REMOTE_ADVICES
from fuzz.generate.chooser import Chooser, table
from fuzz.generate.layouts import Layout
from fuzz.generate.placements import draw_place
from fuzz.generate.ranges import range_for
from fuzz.generate.swarm import Swarm

ARRAY_USUAL: Final = ZONE_BASE + ARRAY_OFFSET
VECTOR_SIZES: Final = table(
    (15, 1), (10, 2), (4, 0), (6, 3), (3, 4), (2, 5), (1, 7), (1, 8), (2, 9), (1, 10)
)  # fmt: skip
# The most elements that the kernel takes, and one more: seldom, since a call with a thousand
# ranges costs as much as a hundred programs. It repeats its first: only its length matters.
LONG_ONE_IN: Final = 2000
LONG_SIZES: Final = (1024, 1025)
_FLAGS: Final = (1, 2, 4, 8, 16, 0x8000_0000, 0xFFFF_FFFF)
_COUNT_SHIFTS: Final = (-1, 1)
# One call in so many has the flaw, by hostility of the program.
FLAW_ONE_IN: Final = (40, 8, 3)


def draw_madvise(chooser: Chooser, layout: Layout, swarm: Swarm) -> Madvise:
    """madvise() of one range."""
    advice = chooser.pick(swarm.advices)
    start, length = range_for(chooser, layout, swarm, advice)
    return Madvise(start, length, advice, swarm.ilp32)


def draw_process_madvise(chooser: Chooser, layout: Layout, swarm: Swarm) -> ProcessMadvise:
    """process_madvise() of a vector; for another process mostly with advice that it may have."""
    pick = chooser.pick
    pidfd = pick(swarm.pidfds)
    advice = pick(swarm.advices)
    if pidfd == FD_PIDFD_REMOTE and chooser.chance(3, 4):
        advice = pick(REMOTE_ADVICES)
    size = draw_size(chooser, VECTOR_SIZES)
    vec = _draw_vector(chooser, layout, swarm, advice, size)
    ilp32 = swarm.ilp32
    if not chooser.chance(1, FLAW_ONE_IN[swarm.hostility]):
        return ProcessMadvise(advice, vec, pidfd, ilp32=ilp32)
    flags = 0
    count: int | None = None
    at = ARRAY_USUAL
    flaw = chooser.integer(0, 4)
    if flaw == 0:
        flags = pick(_FLAGS)
    elif flaw == 1:
        count = draw_count(chooser, size)
    else:
        element = shape_of(ilp32).iovec_size
        at = draw_place(chooser, layout, ARRAY_USUAL, max(1, size) * element)
    return ProcessMadvise(advice, vec, pidfd, flags, count, at, ilp32)


def draw_size(chooser: Chooser, sizes: tuple[int, ...]) -> int:
    """How many elements an array has."""
    if chooser.chance(1, LONG_ONE_IN):
        return chooser.pick(LONG_SIZES)
    return chooser.pick(sizes)


def draw_count(chooser: Chooser, size: int) -> int:
    """An element count that is not the number of elements."""
    if size > 0 and chooser.chance(1, 2):
        return size + chooser.pick(_COUNT_SHIFTS)
    return chooser.pick(COUNTS)


def _draw_vector(
    chooser: Chooser, layout: Layout, swarm: Swarm, advice: int, size: int
) -> tuple[IoRange, ...]:
    distinct = 2 if size >= LONG_SIZES[0] else size
    out: list[IoRange] = []
    for _ in range(distinct):
        start, length = range_for(chooser, layout, swarm, advice)
        out.append(IoRange(start, length))
    if distinct < size:
        return (out[0],) * (size - 1) + (out[1],)
    return tuple(out)
