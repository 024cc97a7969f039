"""What the proposal's alternatives would add and no kernel has yet: it is refused."""

from __future__ import annotations

import pytest

from conformance.abi.errnos import EINVAL
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import advice, single, span, vector, written
from conformance.program.call import ProcessMadvise
from conformance.program.control_struct import ControlBytes

LAYOUT = (written(0, 2),)


@pytest.mark.requirement("version-sized", "v2-equivalent", "version-old-caller")
@pytest.mark.parametrize("size", [0, 55, 56, 57, 4096, 4097])
def test_version_2_is_refused_whatever_its_size(ranges: Kernel, size: int) -> None:
    raw = (2).to_bytes(4, "little") + size.to_bytes(4, "little") + bytes(48)
    call = single(span(0, 1, "DONTNEED"))
    call = type(call)(ControlBytes(raw.hex()))
    seen = ranges.run(LAYOUT, call, single(span(1, 1, "DONTNEED")))
    assert seen.results == (-EINVAL, 0)
    assert seen.after(1).present(0, 1) == [True, False]


@pytest.mark.requirement("flags-unknown", "flags-return")
@pytest.mark.parametrize("flags", [1 << bit for bit in (4, 5, 16, 31)])
def test_unknown_flags_are_refused(kernel: Kernel, flags: int) -> None:
    seen = kernel.run(LAYOUT, vector("COLD", (0, 1), flags=flags), vector("COLD", (0, 1)))
    assert seen.results == (-EINVAL, 4096)


@pytest.mark.requirement("flags-skip-errors", "flags-gaps", "flags-all", "flags-default")
@pytest.mark.parametrize("flags", [1, 2, 4, 8, 12])
def test_flags_of_the_proposal_are_refused(kernel: Kernel, flags: int) -> None:
    seen = kernel.run(
        LAYOUT,
        vector("COLD", (0, 4), flags=flags),
        ProcessMadvise(advice("DONTDUMP"), (), flags=flags, vec_at=0),
    )
    assert seen.results == (-EINVAL, -EINVAL)
    assert seen.after(1).extents() == [(0, 2)]


@pytest.mark.requirement("abi-layout")
def test_a_struct_that_is_written_byte_by_byte_is_understood(ranges: Kernel) -> None:
    """Every member at its offset of LP64: SINGLE, DONTNEED of the second page, no stats."""
    start = span(1, 1, "DONTNEED").start
    members = {0: (1, 4), 4: (0, 4), 8: (start, 8), 16: (4096, 8), 24: (4, 4), 40: (-1, 4)}
    raw = bytearray(48)
    for offset, (value, size) in members.items():
        raw[offset : offset + size] = value.to_bytes(size, "little", signed=True)
    call = type(single(span(0, 1, "COLD")))(ControlBytes(raw.hex()))
    seen = ranges.run(LAYOUT, call)
    assert seen.results == (0,)
    assert seen.after(0).present(0, 1) == [True, False]
