"""madvise_ranges(): what is refused before any advice is applied, and what is told of it."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from conformance.abi.errnos import EBADF, EFAULT, EINVAL
from conformance.cases.conftest import Kernel, Seen
from conformance.cases.layouts import anon, locked, multi, single, span, whole, written
from conformance.program.call import PER_RANGE_USUAL, MadviseRanges
from conformance.program.control_struct import All, ControlFields, Range
from conformance.program.places import (
    FD_PIDFD_SELF,
    PAGE,
    UNMAPPED,
    ZONE_END,
    page_address,
)

FILL = 0x5A
LAYOUT = (written(0, 4),)
GOOD = span(0, 1, "DONTNEED")
ODD = Range(page_address(1) + 1, PAGE, GOOD.advice)
NO_ADVICE = Range(page_address(1), PAGE, 77)


def refused(ranges: Kernel, call: MadviseRanges, error: int) -> Seen:
    """The call fails, and nothing was advised."""
    control = call.control
    whole_process = isinstance(control, ControlFields) and isinstance(control.arm, All)
    seen = ranges.run(LAYOUT, call, whole=whole_process)
    assert seen.results == (-error,)
    assert all(seen.after(0).present(0, 1, 2, 3))
    return seen


def unwritten(seen: Seen) -> bool:
    """Do the stats hold what they held?"""
    return seen.written(0, "stats")[:40] == bytes([FILL]) * 40


@pytest.mark.requirement("control-unreadable")
def test_a_struct_that_ends_in_nothing(ranges: Kernel) -> None:
    seen = refused(ranges, single(GOOD, ctl_at=ZONE_END - 24, stats_fill=FILL), EFAULT)
    assert unwritten(seen)


@pytest.mark.requirement("stats-unreadable")
def test_stats_that_cannot_be_read(ranges: Kernel) -> None:
    refused(ranges, single(GOOD, stats_at=UNMAPPED), EFAULT)


@pytest.mark.requirement("array-unreadable")
@pytest.mark.parametrize("at", [UNMAPPED, ZONE_END - 24])
def test_an_array_that_cannot_be_read(ranges: Kernel, at: int) -> None:
    seen = refused(ranges, multi(GOOD, GOOD, array_at=at, stats_fill=FILL), EFAULT)
    assert unwritten(seen)


@pytest.mark.requirement("bad-range-told", "validation-order")
@pytest.mark.parametrize("bad", [ODD, NO_ADVICE], ids=["address", "advice"])
def test_a_bad_range_is_named_and_no_range_is_taken(ranges: Kernel, bad: Range) -> None:
    call = multi(GOOD, bad, GOOD, per_range_at=PER_RANGE_USUAL, stats_fill=FILL)
    seen = refused(ranges, call, EINVAL)
    stats = seen.stats(0)
    assert (stats["err"], stats["failed_address"], stats["offset"]) == (EINVAL, bad.start, 1)
    assert not any(value for name, value in stats.items() if name.startswith("nr_"))
    assert set(seen.written(0, "per_range")) == {FILL}


@pytest.mark.requirement("validation-not-ignored")
def test_ignore_errors_makes_no_range_good(ranges: Kernel) -> None:
    refused(ranges, multi(GOOD, ODD, ignore_errors=True), EINVAL)


@pytest.mark.requirement("advice-absent")
def test_an_advice_that_nobody_has(ranges: Kernel) -> None:
    refused(ranges, multi(GOOD, NO_ADVICE), EINVAL)


class Order(NamedTuple):
    """Two mistakes; the first one is told. members: of the control struct, or of the call."""

    first: dict[str, int]
    second: dict[str, int]
    error: int


ORDERS = {
    "version-then-struct": Order({"version": 2}, {"ctl_at": ZONE_END - 24}, EINVAL),
    "struct-then-bits": Order({"ctl_at": ZONE_END - 24}, {"tail": 1}, EFAULT),
    "bits-then-stats": Order({"flag_byte_extra": 0x10}, {"stats_at": UNMAPPED}, EINVAL),
    "type-then-stats": Order({"type_value": 3}, {"stats_at": UNMAPPED}, EINVAL),
    "stats-then-target": Order({"stats_at": UNMAPPED}, {"is_remote": True, "pidfd": -1}, EFAULT),
    "target-then-array": Order({"is_remote": True, "pidfd": -1}, {"array_at": UNMAPPED}, EBADF),
    "count-then-array": Order({"count": 1025}, {"array_at": UNMAPPED}, EINVAL),
}


@pytest.mark.requirement("validation-order")
def test_the_first_of_two_mistakes_is_told(ranges: Kernel) -> None:
    told = {}
    for name, order in ORDERS.items():
        call = multi(GOOD, ODD, **order.first, **order.second)
        told[name] = ranges.run(LAYOUT, call).results[0]
    assert told == {name: -order.error for name, order in ORDERS.items()}


@pytest.mark.requirement("all-without-stop-on-gap")
def test_all_knows_no_gaps_to_stop_at(ranges: Kernel) -> None:
    refused(ranges, whole("DONTDUMP", stop_on_gap=True), EINVAL)


@pytest.mark.requirement("all-without-single-mapping")
def test_all_is_no_single_mapping(ranges: Kernel) -> None:
    refused(ranges, whole("DONTDUMP", single_mapping_only=True), EINVAL)


@pytest.mark.requirement("all-without-per-range")
def test_all_has_no_ranges_to_tell_of(ranges: Kernel) -> None:
    refused(ranges, whole("DONTDUMP", per_range_at=PER_RANGE_USUAL), EINVAL)


@pytest.mark.requirement("default-is-local")
def test_nobody_sets_the_default_of_another(ranges: Kernel) -> None:
    refused(ranges, whole("DONTDUMP", 1, is_remote=True, pidfd=FD_PIDFD_SELF), EINVAL)


@pytest.mark.requirement("abi-reserved-bytes")
@pytest.mark.parametrize("tail", [1, 1 << 8, 1 << 23])
def test_the_bytes_behind_the_options_are_zero(ranges: Kernel, tail: int) -> None:
    refused(ranges, single(GOOD, tail=tail), EINVAL)


@pytest.mark.requirement("abi-set-default-byte")
@pytest.mark.parametrize("byte", [2, 255])
def test_set_default_is_0_or_1(ranges: Kernel, byte: int) -> None:
    refused(ranges, whole("DONTDUMP", byte), EINVAL)


@pytest.mark.requirement("abi-ignored-bytes")
def test_what_is_beyond_the_arm_may_hold_anything(ranges: Kernel) -> None:
    one = single(GOOD, padding=0xFF)
    many = multi(span(1, 1, "DONTNEED"), padding=0xA5)
    every = whole("DONTDUMP", padding=0x77)
    seen = ranges.run(LAYOUT, one, many, every, whole=True)
    assert seen.results == (0, 0, 0)
    assert seen.after(1).present(0, 1, 2) == [False, False, True]


@pytest.mark.requirement("multi-empty")
def test_no_ranges_are_a_success(ranges: Kernel) -> None:
    seen = ranges.run(LAYOUT, multi(array_at=UNMAPPED, stats_fill=FILL))
    assert seen.results == (0,)
    assert set(seen.stats(0).values()) == {0}


@pytest.mark.requirement("range-empty")
@pytest.mark.parametrize("page", [0, 9])
def test_a_range_of_no_bytes_touches_nothing(ranges: Kernel, page: int) -> None:
    seen = ranges.run(LAYOUT, multi(span(page, 0, "DONTNEED"), per_range_at=PER_RANGE_USUAL))
    assert seen.results == (0,)
    assert set(seen.stats(0).values()) == {0, PER_RANGE_USUAL}
    assert seen.element(0, 0)["success"] == 1


@pytest.mark.requirement("range-unclamped")
def test_a_range_may_be_longer_than_2_gib(ranges: Kernel) -> None:
    far = Range(page_address(0), (1 << 64) - page_address(0) - 2 * PAGE, GOOD.advice)
    call = single(far, single_mapping_only=True, ignore_errors=True)
    tail = multi(Range(page_address(3), 3 << 30, span(0, 1, "COLD").advice), stop_on_gap=True)
    seen = ranges.run(LAYOUT, call, tail, whole=True)
    assert seen.results[0] == 0
    assert seen.stats(1)["failed_address"] == page_address(4)


@pytest.mark.requirement("abi-writes-confined")
def test_nothing_but_the_structs_is_written(ranges: Kernel) -> None:
    call = multi(GOOD, span(1, 3, "COLD"), per_range_at=PER_RANGE_USUAL, stats_fill=FILL)
    seen = ranges.run((*LAYOUT, locked(4, 1), anon(6, 1)), call)
    assert seen.results == (0,)
    assert seen.outcome.peeks[-1] == bytes(8)  # no byte of the zone around them changed
    assert seen.written(0, "stats")[52:56] == bytes(4)  # padding behind err
