"""Which bytes a call's structs put where in memory, before the call is made."""

from __future__ import annotations

from typing import Final, NamedTuple

from conformance.abi import control_v1 as v1
from conformance.program.call import MadviseRanges, ProcessMadvise
from conformance.program.control_struct import ControlBytes, ControlFields, Multi, Range, Single
from conformance.program.places import (
    ARENA_BASE,
    ARENA_END_MAX,
    ZONE_BASE,
    ZONE_END,
    ZONE_RO_BASE,
    ZONE_RO_END,
)
from conformance.program.struct_shapes import LP64_SHAPE, Shape, shape_of

# Of a 64-bit caller; an ILP32 caller's structs are smaller.
CONTROL_SIZE: Final[int] = LP64_SHAPE.control_size
STATS_SIZE: Final[int] = LP64_SHAPE.stats_size
RANGE_SIZE: Final[int] = LP64_SHAPE.range_size
PER_RANGE_SIZE: Final[int] = LP64_SHAPE.per_range_size
MASK32: Final = (1 << 32) - 1


class Poke(NamedTuple):
    """Bytes stored at an address before a call. output: the call may write them."""

    at: int
    data: bytes
    output: bool = False
    part: int = 0  # 0 per-range stats, 1 stats, 2 array, 3 control struct


def placeable(at: int, size: int) -> int:
    """How many of `size` bytes at an address there is memory for: all in the arena, up to the
    end of either zone, none elsewhere (NULL, kernel, unmapped)."""
    if ARENA_BASE <= at < ARENA_END_MAX:
        return min(size, ARENA_END_MAX - at)
    if ZONE_BASE <= at < ZONE_END:
        return min(size, ZONE_END - at)
    if ZONE_RO_BASE <= at < ZONE_RO_END:
        return min(size, ZONE_RO_END - at)
    return 0


def pokes_of(step: MadviseRanges | ProcessMadvise) -> tuple[Poke, ...]:
    """What is stored for a call, in the order of storing (a later one overwrites): per-range
    stats, stats, array, control struct. What no memory can hold is cut off."""
    shape = shape_of(step.ilp32)
    if isinstance(step, ProcessMadvise):
        pack, mask = shape.iovec.pack, shape.mask
        array = b"".join([pack(r.start & mask, r.length & mask) for r in step.vec])
        return _cut(((step.vec_at, array, False),))
    control = step.control
    ranges = ranges_of(step)
    per_range = b""
    if step.per_range_at:
        count = 1 if isinstance(control, ControlFields) and not ranges else len(ranges)
        per_range = bytes([step.stats_fill]) * (shape.per_range_size * max(1, count))
    padding = control.padding if isinstance(control, ControlFields) else 0
    array = b"".join([pack_range(r, padding, shape) for r in ranges])
    return _cut(
        (
            (step.per_range_at, per_range, True),
            (step.stats_at, _stats_before(step, shape) if step.stats_at else b"", True),
            (step.array_at, array, False),
            (step.ctl_at, control_bytes(step), False),
        )
    )


def ranges_of(step: MadviseRanges) -> tuple[Range, ...]:
    """The ranges that lie at array_at."""
    control = step.control
    if isinstance(control, ControlBytes):
        return control.ranges
    return control.arm.ranges if isinstance(control.arm, Multi) else ()


def pack_range(r: Range, padding: int, shape: Shape = LP64_SHAPE) -> bytes:
    """struct madvise_range, its padding (4 bytes of LP64, none of ILP32) filled."""
    mask = shape.mask
    start, length, advice = r.start & mask, r.length & mask, r.advice & MASK32
    if shape is LP64_SHAPE:
        packed: bytes = shape.range_out.pack(start, length, advice, padding * 0x01010101)
    else:
        packed = shape.range_out.pack(start, length, advice)
    return packed


def control_bytes(step: MadviseRanges) -> bytes:
    """The bytes at ctl_at."""
    control = step.control
    if isinstance(control, ControlBytes):
        return bytes.fromhex(control.raw)
    arm = control.arm
    shape = shape_of(step.ilp32)
    if isinstance(arm, Single):
        kind = v1.TYPE_SINGLE
        union = pack_range(arm.range, control.padding, shape)
    elif isinstance(arm, Multi):
        kind = v1.TYPE_MULTI
        count = len(arm.ranges) if arm.count is None else arm.count
        union = shape.iovec.pack(step.array_at & shape.mask, count & shape.mask)
    else:
        kind = v1.TYPE_ALL
        union = (arm.advice & MASK32).to_bytes(4, "little") + bytes([arm.set_default])
    union = union.ljust(shape.range_size, bytes([control.padding]))
    flags = (
        control.is_remote
        | control.ignore_errors << 1
        | control.single_mapping_only << 2
        | control.stop_on_gap << 3
        | control.flag_byte_extra
    )
    kind = kind if control.type_value is None else control.type_value
    head = (control.version & MASK32) | (kind & MASK32) << 32
    tail = (control.pidfd & MASK32) | (flags & 0xFF) << 32 | (control.tail & 0xFFFFFF) << 40
    return b"".join(
        (
            head.to_bytes(8, "little"),
            union,
            (step.stats_at & shape.mask).to_bytes(shape.word, "little"),
            tail.to_bytes(8, "little"),
        )
    )


def _stats_before(step: MadviseRanges, shape: Shape) -> bytes:
    fill = bytes([step.stats_fill])
    pointer = (step.per_range_at & shape.mask).to_bytes(shape.word, "little")
    behind = shape.stats_size - shape.pointer_at - shape.word
    return fill * shape.pointer_at + pointer + fill * behind


def _cut(wanted: tuple[tuple[int, bytes, bool], ...]) -> tuple[Poke, ...]:
    out = []
    for part, (at, data, output) in enumerate(wanted):
        size = placeable(at, len(data))
        if size:
            out.append(Poke(at, data[:size], output, part))
    return tuple(out)
