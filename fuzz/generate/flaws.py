"""One mistake in a well-formed madvise_ranges() call: a bad member, or a struct out of place."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from conformance.abi.advice import BY_NAME
from conformance.program.call import PER_RANGE_USUAL, MadviseRanges
from conformance.program.control_memory import ranges_of
from conformance.program.control_struct import ControlFields, Multi, Range, Single
from conformance.program.places import (
    ARRAY_OFFSET,
    CTL_OFFSET,
    PAGE,
    STATS_OFFSET,
    ZONE_BASE,
    ZONE_END,
)
from conformance.program.reach import madvise_ranges_danger
from conformance.program.struct_shapes import shape_of
from fuzz.generate.boundaries import WORD
from fuzz.generate.calls import draw_count
from fuzz.generate.chooser import Chooser, table
from fuzz.generate.hostile_bytes import with_bytes
from fuzz.generate.layouts import Layout
from fuzz.generate.placements import IN_PAGE, draw_place

CTL_USUAL: Final = ZONE_BASE + CTL_OFFSET
STATS_USUAL: Final = ZONE_BASE + STATS_OFFSET
ARRAY_USUAL: Final = ZONE_BASE + ARRAY_OFFSET

(
    VERSION, TYPE, SWAPPED_TYPE, FLAGS, TAIL, COUNT, BYTES, CTL_PLACE, ARRAY_PLACE, STATS_PLACE,
    PER_RANGE_PLACE, OVERLAP, OWN_RANGE,
) = range(13)  # fmt: skip
FLAWS: Final = table(
    (2, VERSION), (1, TYPE), (1, SWAPPED_TYPE), (1, FLAGS), (1, TAIL), (3, COUNT), (3, BYTES),
    (2, CTL_PLACE), (2, ARRAY_PLACE), (3, STATS_PLACE), (2, PER_RANGE_PLACE), (2, OVERLAP),
    (3, OWN_RANGE),
)  # fmt: skip
# DONTNEED most often: it works on more kinds of memory than the others, and leaves zeros.
THROW_AWAY: Final = table(
    (4, BY_NAME["DONTNEED"].value),
    (1, BY_NAME["DONTNEED_LOCKED"].value),
    (1, BY_NAME["FREE"].value),
    (1, BY_NAME["REMOVE"].value),
    (1, BY_NAME["GUARD_INSTALL"].value),
)
VERSIONS: Final = (0, 2, 3, -1, 1 << 8, 1 << 24, -(1 << 31), (1 << 31) - 1)
TYPES: Final = (3, 4, 1 << 8, 1 << 31, (1 << 32) - 1)
FLAG_EXTRAS: Final = (0x10, 0x20, 0x40, 0x80, 0xF0)
TAILS: Final = (1, 0x100, 0x10000, 0x800000, 0xFFFFFF)
MORE: Final = (1, 8, 100)  # elements that an array is said to have beyond those that are there
# From the start of one struct to the start of the one that overlaps it, in bytes.
OVERLAPS: Final = (0, 8, 16, 24, 44, -16, -32, -64)


def with_flaw(
    chooser: Chooser, layout: Layout, call: MadviseRanges, control: ControlFields, whole: bool
) -> MadviseRanges:
    """The call with one thing wrong, or at least unusual. control: call.control; whole: the
    program's processes may be hurt.

    Structs that overlap, or that are taken for one another, say something else than their
    fields: where that could reach the executor the call stays as it is.
    """
    flaw = chooser.pick(FLAWS)
    if flaw == OVERLAP or flaw == SWAPPED_TYPE:
        other = _overlapping(chooser, call) if flaw == OVERLAP else _swapped(call, control)
        return call if any(madvise_ranges_danger(other, whole, guest=False)) else other
    if flaw == OWN_RANGE:
        other = _in_own_range(chooser, call, control)
        return call if any(madvise_ranges_danger(other, whole, guest=False)) else other
    if flaw == BYTES:
        return with_bytes(chooser, call, control)
    if flaw >= CTL_PLACE:
        return _misplaced(chooser, layout, call, flaw)
    if flaw == VERSION:
        call = replace(call, control=replace(control, version=chooser.pick(VERSIONS)))
        # What lies behind a version that nobody knows need not even be there.
        return _misplaced(chooser, layout, call, CTL_PLACE) if chooser.chance(1, 4) else call
    if flaw == TYPE:
        return replace(call, control=replace(control, type_value=chooser.pick(TYPES)))
    if flaw == FLAGS:
        return replace(call, control=replace(control, flag_byte_extra=chooser.pick(FLAG_EXTRAS)))
    if flaw == TAIL:
        return replace(call, control=replace(control, tail=chooser.pick(TAILS)))
    if isinstance(control.arm, Multi):
        ranges = control.arm.ranges
        if chooser.chance(1, 4):
            return _cut_off(chooser, call, control, ranges)
        arm = Multi(ranges, draw_count(chooser, len(ranges)))
        return replace(call, control=replace(control, arm=arm))
    return call


def _cut_off(
    chooser: Chooser, call: MadviseRanges, control: ControlFields, ranges: tuple[Range, ...]
) -> MadviseRanges:
    """An array of which only the beginning can be read: the zone ends behind what was written."""
    arm = Multi(ranges, len(ranges) + chooser.pick(MORE))
    at = ZONE_END - len(ranges) * shape_of(call.ilp32).range_size
    return replace(call, control=replace(control, arm=arm), array_at=at)


def _swapped(call: MadviseRanges, control: ControlFields) -> MadviseRanges:
    """The type of the other arm: a range read as an array, or an array as a range. That one
    lies where its address is no good start of a range, since it would reach into a zone."""
    if isinstance(control.arm, Multi):
        return replace(call, control=replace(control, type_value=0), array_at=ARRAY_USUAL + 8)
    return replace(call, control=replace(control, type_value=1))


def with_second_flaw(
    chooser: Chooser, layout: Layout, call: MadviseRanges, whole: bool
) -> MadviseRanges:
    """A call of with_flaw() with another thing wrong: which check comes first shows only then."""
    if not isinstance(call.control, ControlFields):
        return call
    other = with_flaw(chooser, layout, call, call.control, whole)
    return call if any(madvise_ranges_danger(other, whole, guest=False)) else other


def _in_own_range(chooser: Chooser, call: MadviseRanges, control: ControlFields) -> MadviseRanges:
    """A struct in memory that the first range of the call throws away: who reads it again when
    a later range is reached finds something else."""
    arm = control.arm
    if isinstance(arm, Multi) and arm.ranges:
        first = replace(arm.ranges[0], advice=chooser.pick(THROW_AWAY))
        arm = replace(arm, ranges=(first, *arm.ranges[1:]))
    elif isinstance(arm, Single):
        first = replace(arm.range, advice=chooser.pick(THROW_AWAY))
        arm = replace(arm, range=first)
    else:
        return call
    at = first.start // PAGE * PAGE + chooser.pick(IN_PAGE)
    call = replace(call, control=replace(control, arm=arm))
    which = chooser.integer(0, 3)
    if which <= 1 and isinstance(arm, Multi):
        return replace(call, array_at=at)
    if which <= 2:
        return replace(call, ctl_at=at)
    return replace(call, stats_at=at)


def _misplaced(chooser: Chooser, layout: Layout, call: MadviseRanges, flaw: int) -> MadviseRanges:
    """One struct at an unusual address."""
    shape = shape_of(call.ilp32)
    array_size = max(1, len(ranges_of(call))) * shape.range_size
    if flaw == CTL_PLACE:
        return replace(call, ctl_at=draw_place(chooser, layout, CTL_USUAL, shape.control_size))
    if flaw == ARRAY_PLACE:
        return replace(call, array_at=draw_place(chooser, layout, ARRAY_USUAL, array_size))
    if flaw == STATS_PLACE:
        return replace(call, stats_at=draw_place(chooser, layout, STATS_USUAL, shape.stats_size))
    return replace(
        call,
        stats_at=STATS_USUAL,
        per_range_at=draw_place(chooser, layout, PER_RANGE_USUAL, shape.per_range_size),
    )


def _overlapping(chooser: Chooser, call: MadviseRanges) -> MadviseRanges:
    delta = chooser.pick(OVERLAPS)
    pair = chooser.integer(0, 4)
    if pair == 0:
        return replace(call, stats_at=(call.ctl_at + delta) % WORD)
    if pair == 1:
        return replace(call, stats_at=(call.array_at + delta) % WORD)
    if pair == 2:
        return replace(call, stats_at=STATS_USUAL, per_range_at=STATS_USUAL + delta)
    if pair == 3:
        return replace(call, stats_at=STATS_USUAL, per_range_at=(call.array_at + delta) % WORD)
    return replace(call, array_at=(call.ctl_at + delta) % WORD)
