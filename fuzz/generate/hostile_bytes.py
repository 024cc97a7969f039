"""Control structs as raw bytes: truncated, lengthened, random, or with a header that lies.

Bytes that a kernel would take for addresses are either those of the well-formed call or
behind a header that it must refuse first: a fuzzer that runs on its own machine must not
hand random pointers to a call that writes.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from conformance.program.call import MadviseRanges
from conformance.program.control_memory import CONTROL_SIZE, control_bytes, ranges_of
from conformance.program.control_struct import ControlBytes, ControlFields
from conformance.program.places import CTL_OFFSET, PAGE, ZONE_BASE, ZONE_END
from conformance.program.struct_shapes import shape_of
from fuzz.generate.chooser import Chooser

SAME, TRUNCATED, LENGTHENED, BAD_HEADER, BAD_TAIL, RANDOM, CONSTANT = range(7)
_CONSTANTS: Final = (0x00, 0xFF, 0xA5, 0x01)
_LENGTHS: Final = (1, 8, 24, 72, PAGE - CONTROL_SIZE)
# version, type: of both at least one is bad.
_HEADERS: Final = ((0, 0), (1, 3), (2, 0), (2, 1), (1, 0x80), (0x101, 0), (1, 0x0100_0000))
_TAIL_BYTES: Final = (0x10, 0x80, 0xFF, 0x7F, 0xA5)


def with_bytes(chooser: Chooser, call: MadviseRanges, control: ControlFields) -> MadviseRanges:
    """The call with its control struct as bytes, most of them damaged."""
    raw = control_bytes(call)
    size, flags_at = len(raw), shape_of(call.ilp32).flags_at
    ranges = ranges_of(call)
    how = chooser.integer(0, 6)
    if how == TRUNCATED:
        keep = chooser.integer(0, size - 1)
        # The rest is poison behind the usual place, and no memory behind the zone.
        at = chooser.pick((ZONE_END - keep, ZONE_BASE + CTL_OFFSET))
        return replace(call, control=ControlBytes(raw[:keep].hex(), ranges), ctl_at=at)
    if how == LENGTHENED:
        raw += bytes([chooser.pick(_CONSTANTS)]) * chooser.pick(_LENGTHS)
    elif how == BAD_HEADER:
        version, kind = chooser.pick(_HEADERS)
        raw = version.to_bytes(4, "little") + kind.to_bytes(4, "little") + raw[8:]
    elif how == BAD_TAIL:
        at = chooser.integer(flags_at, size - 1)
        raw = raw[:at] + bytes([chooser.pick(_TAIL_BYTES)]) + raw[at + 1 :]
    elif how == RANDOM:
        words = [chooser.integer(0, (1 << 64) - 1) for _ in range(size // 8)]
        raw = b"".join([word.to_bytes(8, "little") for word in words])
        if chooser.chance(1, 2):  # past the version, to the reserved bits
            raw = b"\1\0\0\0" + raw[4:flags_at] + b"\xff" + raw[flags_at + 1 :]
        else:
            raw = b"\xff" + raw[1:]  # never version 1
    elif how == CONSTANT:
        raw = bytes([chooser.pick(_CONSTANTS)]) * size
    return replace(call, control=ControlBytes(raw.hex(), ranges))
