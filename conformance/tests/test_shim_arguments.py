"""The shim: what it reads and checks, in which order. Expectations written by hand from SPEC."""

from __future__ import annotations

import os
import struct

import pytest

from conformance.program.places import KERNEL, NONCANONICAL, PAGE
from conformance.tests.shim_arena import (
    ALL,
    ARRAY,
    CTL,
    ELEMENTS,
    FILL,
    IGNORE,
    MULTI,
    NOWHERE,
    PROT_READ,
    PROT_RW,
    READ_ONLY,
    REMOTE,
    SINGLE,
    SINGLE_ONLY,
    STATS,
    STOP,
    Arena,
    Range,
    advice,
    page,
    pages,
)

EBADF, EFAULT, EINVAL, EOPNOTSUPP = 9, 14, 22, 95
UNKNOWN_ADVICE = 9999


@pytest.fixture(autouse=True)
def four_pages(arena: Arena) -> None:
    arena.map(0, 4)


@pytest.mark.requirement("abi-layout")
def test_bytes_written_by_hand_are_understood(arena: Arena) -> None:
    stats = struct.pack("<5QQi4xQQ", *[7] * 5, ELEMENTS, 7, 7, 7)
    control = struct.pack(
        "<iIQQi4xQi4B", 1, SINGLE, page(1), PAGE, advice("DONTDUMP"), STATS, -1, 0, 0, 0, 0
    )
    assert (len(stats), len(control)) == (72, 48)
    arena.write(STATS, stats)
    arena.write(CTL, control)
    assert arena.raw_call(CTL) == 0
    assert arena.flagged("dd") == [1]
    assert arena.read(STATS, 72) == struct.pack("<5QQi4xQQ", 1, 0, 1, 0, 0, ELEMENTS, 0, 0, 0)
    element = struct.pack("<QQi4x2B6x", page(1), PAGE, advice("DONTDUMP"), 1, 0)
    assert arena.read(ELEMENTS, 32) == element


@pytest.mark.requirement("abi-reserved-zero")
@pytest.mark.parametrize(
    ("at", "bit"), [(44, 4), (44, 5), (44, 6), (44, 7), (45, 0), (46, 3), (47, 7)]
)
def test_reserved_bit(arena: Arena, at: int, bit: int) -> None:
    raw = bytearray(arena.lay_out([pages(0, 1, "DONTDUMP")]))
    raw[at] |= 1 << bit
    arena.write(CTL, bytes(raw))
    answer = arena.answer(arena.raw_call(CTL), STATS, 0, 1)
    assert (answer.result, answer.stats, arena.flagged("dd")) == (-EINVAL, {}, [])


@pytest.mark.requirement("abi-enum-range")
@pytest.mark.parametrize("kind", [3, 4, 1 << 31, (1 << 32) - 1])
def test_unknown_type(arena: Arena, kind: int) -> None:
    answer = arena.call(pages(0, 1, "DONTDUMP"), kind=SINGLE, members={"type": kind})
    assert (answer.result, answer.stats, arena.flagged("dd")) == (-EINVAL, {}, [])


@pytest.mark.requirement("abi-enum-range")
@pytest.mark.parametrize("value", [2, 0x80, 0xFF])
def test_set_default_is_0_or_1(arena: Arena, value: int) -> None:
    answer = arena.call(pages(0, 0, "NOHUGEPAGE"), kind=ALL, set_default=value)
    assert (answer.result, answer.stats) == (-EINVAL, {})


@pytest.mark.requirement("abi-ignored-bytes")
@pytest.mark.parametrize(("kind", "first"), [(SINGLE, 28), (MULTI, 24), (ALL, 13)])
def test_bytes_beyond_the_arm_are_ignored(arena: Arena, kind: int, first: int) -> None:
    raw = bytearray(arena.lay_out([pages(0, 1, "NORMAL")], kind=kind))
    raw[first:32] = b"\xff" * (32 - first)
    arena.write(CTL, bytes(raw))
    assert arena.raw_call(CTL) == 0


@pytest.mark.requirement("abi-writes-confined")
def test_nothing_but_stats_and_elements_is_written(arena: Arena) -> None:
    arena.write(CTL, bytes([FILL]) * PAGE * 2)
    ranges = [pages(0, 2, "DONTDUMP"), pages(2, 2, "DONTDUMP")]
    answer = arena.call(*ranges, elements=ELEMENTS)
    assert answer.result == 0
    inside = set(range(CTL, CTL + 48)) | set(range(STATS, STATS + 72))
    inside |= set(range(ARRAY, ARRAY + 48)) | set(range(ELEMENTS, ELEMENTS + 64))
    memory = arena.read(CTL, PAGE * 2)
    changed = {CTL + i for i, byte in enumerate(memory) if byte != FILL} - inside
    assert changed == set()
    assert answer.raw[52:56] == bytes(4)
    for element in answer.elements:
        assert element[20:24] + element[26:32] == bytes(10)


@pytest.mark.requirement("version-old-caller")
def test_stats_are_those_of_version_1(arena: Arena) -> None:
    edge = NOWHERE - 72
    arena.write(edge, bytes(72))
    assert arena.call(pages(0, 1, "NORMAL"), stats=edge).result == 0


@pytest.mark.requirement("version-first")
@pytest.mark.parametrize("ctl", [0, 1, NOWHERE, NOWHERE - 3, KERNEL, NONCANONICAL, (1 << 64) - 2])
def test_unreadable_version(arena: Arena, ctl: int) -> None:
    assert arena.raw_call(ctl) == -EFAULT


@pytest.mark.requirement("version-unknown")
@pytest.mark.parametrize("version", [0, 2, 3, -1, 1 << 24, -(1 << 31)])
def test_unknown_version(arena: Arena, version: int) -> None:
    answer = arena.call(pages(0, 4, "DONTDUMP"), members={"version": version})
    assert (answer.result, answer.stats, arena.flagged("dd")) == (-EINVAL, {}, [])
    arena.write(NOWHERE - 4, version.to_bytes(4, "little", signed=True))
    assert arena.raw_call(NOWHERE - 4) == -EINVAL


@pytest.mark.requirement("version-absent")
@pytest.mark.parametrize("value", [UNKNOWN_ADVICE, -1, 5, 1 << 30])
def test_advice_that_the_kernel_lacks(arena: Arena, value: int) -> None:
    answer = arena.call(Range(page(0), PAGE, value))
    assert (answer.result, answer.error()) == (-EINVAL, (EINVAL, page(0), 0))


@pytest.mark.requirement("validation-order")
def test_control_struct_that_ends_too_soon(arena: Arena) -> None:
    arena.write(NOWHERE - 44, arena.lay_out([pages(0, 1, "DONTDUMP")])[:44])
    assert arena.raw_call(NOWHERE - 44) == -EFAULT
    assert arena.flagged("dd") == []


@pytest.mark.requirement("validation-order")
def test_of_two_mistakes_the_first_in_order_counts(arena: Arena) -> None:
    one = pages(0, 1, "DONTDUMP")
    bad = Range(page(0) + 1, PAGE, UNKNOWN_ADVICE)
    # Reserved bits before unreadable stats before a bad pidfd before an unreadable array
    # (or too many ranges) before a bad range.
    assert arena.call(one, stats=NOWHERE, flags=0x10).result == -EINVAL
    assert arena.call(one, stats=NOWHERE, flags=REMOTE).result == -EFAULT
    assert arena.call(one, kind=MULTI, array=0, flags=REMOTE).result == -EBADF
    assert arena.call(one, kind=MULTI, count=1025, flags=REMOTE).result == -EBADF
    assert arena.call(one, kind=MULTI, array=0, count=1025).result == -EINVAL
    assert arena.call(bad, kind=MULTI, array=NOWHERE - 23).result == -EFAULT
    assert arena.flagged("dd") == []


@pytest.mark.requirement("validation-order")
@pytest.mark.parametrize("flags", [0, IGNORE])
def test_a_bad_range_keeps_all_from_being_applied(arena: Arena, flags: int) -> None:
    ranges = [pages(0, 1, "DONTDUMP"), Range(page(2), PAGE, UNKNOWN_ADVICE), Range(7, 0, 0)]
    answer = arena.call(*ranges, flags=flags, elements=ELEMENTS)
    assert answer.result == -EINVAL
    assert arena.flagged("dd") == []
    assert answer.counts() == (0, 0, 0, 0, 0)
    assert answer.error() == (EINVAL, page(2), 1)
    assert b"".join(answer.elements) == bytes([FILL]) * 96


@pytest.mark.requirement("option-conflicts")
def test_contradictions_with_all(arena: Arena) -> None:
    normal = pages(0, 0, "NORMAL")
    own = os.pidfd_open(os.getpid())
    for flags in (STOP, SINGLE_ONLY, STOP | SINGLE_ONLY | IGNORE):
        assert arena.call(normal, kind=ALL, flags=flags).stats == {}
        assert arena.call(normal, kind=ALL, flags=flags).result == -EINVAL
    assert arena.call(normal, kind=ALL, elements=ELEMENTS).result == -EINVAL
    both = arena.call(normal, kind=ALL, set_default=1, flags=REMOTE, pidfd=own)
    os.close(own)
    assert (both.result, both.stats) == (-EINVAL, {})


@pytest.mark.requirement("multi-count")
def test_how_many_ranges(arena: Arena) -> None:
    for array in (0, NOWHERE, ARRAY):
        answer = arena.call(kind=MULTI, array=array)
        assert (answer.result, answer.counts(), answer.error()) == (0, (0,) * 5, (0, 0, 0))
    many = [pages(0, 1, "NORMAL")] * 1025
    assert arena.call(*many[:1024], kind=MULTI).counts()[0] == 1024
    assert arena.call(*many, kind=MULTI).result == -EINVAL
    assert arena.call(kind=MULTI, count=(1 << 64) - 1).result == -EINVAL


@pytest.mark.requirement("pidfd-ignored")
@pytest.mark.parametrize("pidfd", [-1, -10000, 0, 1 << 30])
def test_pidfd_of_a_local_call(arena: Arena, pidfd: int) -> None:
    assert arena.call(pages(0, 4, "DONTDUMP"), pidfd=pidfd).result == 0
    assert arena.flagged("dd") == [0, 1, 2, 3]


@pytest.mark.requirement("range-address")
@pytest.mark.parametrize(
    ("start", "size"),
    [
        (page(0) + 1, PAGE),
        (page(0) + 1, 0),
        (page(0), (1 << 64) - 1),
        (page(0), (1 << 64) - PAGE + 1),
        (page(0), (1 << 64) - PAGE),
        ((1 << 64) - PAGE, PAGE),
    ],
)
def test_bad_address(arena: Arena, start: int, size: int) -> None:
    answer = arena.call(Range(start, size, advice("DONTDUMP")))
    assert (answer.result, answer.error()) == (-EINVAL, (EINVAL, start, 0))
    assert arena.flagged("dd") == []


@pytest.mark.requirement("range-address")
def test_sizes(arena: Arena) -> None:
    dontdump = advice("DONTDUMP")
    empty = arena.call(Range(page(0), 0, dontdump))
    assert (empty.result, empty.counts(), arena.flagged("dd")) == (0, (0,) * 5, [])
    byte = arena.call(Range(page(0), 1, dontdump))
    assert (byte.result, byte.counts(), arena.flagged("dd")) == (0, (1, 0, 1, 0, 0), [0])
    more = arena.call(Range(page(1), PAGE + 1, dontdump))
    assert (more.result, more.counts()[2], arena.flagged("dd")) == (0, 2, [0, 1, 2])


@pytest.mark.requirement("range-address")
def test_lengths_are_not_clamped(arena: Arena) -> None:
    # Behind the first 2 GiB - 4 KiB, where process_madvise() cuts, there is a gap to be met.
    far = Range(KERNEL, 1 << 33, advice("NORMAL"))
    near = Range(KERNEL + (1 << 33), 1 << 33, advice("NORMAL"))
    answer = arena.call(far, near)
    assert (answer.result, answer.counts()) == (0, (0, 0, 0, 0, 2))


@pytest.mark.requirement("default-advices")
def test_set_default(arena: Arena) -> None:
    for name in ("COLD", "MERGEABLE", "DOFORK", "WILLNEED"):
        refused = arena.call(pages(0, 0, name), kind=ALL, set_default=1)
        assert (refused.result, refused.error()) == (-EINVAL, (EINVAL, 0, 0))
    for name in ("NOHUGEPAGE", "RANDOM", "SEQUENTIAL", "NORMAL", "DONTDUMP", "DODUMP"):
        unsupported = arena.call(pages(0, 0, name), kind=ALL, set_default=1)
        assert (unsupported.result, unsupported.counts()) == (-EOPNOTSUPP, (0,) * 5)
        assert unsupported.error() == (EOPNOTSUPP, 0, 0)
    assert arena.vmas() == [(page(0), page(4), arena.vmas()[0][2])]
    assert not arena.vmas()[0][2] & {"dd", "rr", "sr", "nh"}


@pytest.mark.requirement("validation-order")
def test_structs_may_lie_in_read_only_memory(arena: Arena) -> None:
    arena.protect(READ_ONLY, 1, PROT_RW)
    arena.write(READ_ONLY, arena.lay_out([pages(0, 1, "DONTDUMP")], stats=0))
    arena.protect(READ_ONLY, 1, PROT_READ)
    assert arena.raw_call(READ_ONLY) == 0
    assert arena.flagged("dd") == [0]
