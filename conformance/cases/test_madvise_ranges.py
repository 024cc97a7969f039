"""madvise_ranges(), version 1: what is read, in which order, and what is answered."""

from __future__ import annotations

import pytest

from conformance.abi.errnos import EFAULT, EINVAL, ENOSYS
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import anon, multi, single, span, whole, written
from conformance.program.call import PER_RANGE_USUAL
from conformance.program.outcome import PAGE_PRESENT
from conformance.program.places import UNMAPPED, page_address

FILL = 0x5A


@pytest.mark.requirement("version-absent")
def test_a_kernel_without_the_call_says_so(without_ranges: Kernel) -> None:
    seen = without_ranges.run((anon(0, 1),), single(span(0, 1, "COLD"), stats_fill=FILL))
    assert seen.results == (-ENOSYS,)
    assert seen.written(0, "stats")[:8] == bytes([FILL]) * 8


@pytest.mark.requirement("version-first")
def test_a_control_struct_that_cannot_be_read(ranges: Kernel) -> None:
    seen = ranges.run((anon(0, 1),), single(span(0, 1, "COLD"), ctl_at=UNMAPPED))
    assert seen.results == (-EFAULT,)


@pytest.mark.requirement("version-unknown")
@pytest.mark.parametrize("version", [0, 2, -1])
def test_an_unknown_version_changes_nothing(ranges: Kernel, version: int) -> None:
    call = single(span(0, 1, "DONTNEED"), version=version, stats_fill=FILL)
    seen = ranges.run((written(0, 1),), call)
    assert seen.results == (-EINVAL,)
    assert seen.after(0).page(0) & PAGE_PRESENT
    assert seen.written(0, "stats")[:8] == bytes([FILL]) * 8


@pytest.mark.requirement("abi-reserved-zero")
@pytest.mark.parametrize("members", [{"flag_byte_extra": 0x10}, {"tail": 1}, {"tail": 1 << 16}])
def test_reserved_bits_must_be_zero(ranges: Kernel, members: dict[str, int]) -> None:
    seen = ranges.run((anon(0, 1),), single(span(0, 1, "COLD"), **members))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("abi-enum-range")
def test_types_are_0_1_and_2_and_set_default_is_0_or_1(ranges: Kernel) -> None:
    seen = ranges.run(
        (anon(0, 1),), single(span(0, 1, "COLD"), type_value=3), whole("NOHUGEPAGE", 2)
    )
    assert seen.results == (-EINVAL, -EINVAL)


@pytest.mark.requirement("option-conflicts")
def test_options_that_contradict_each_other(ranges: Kernel) -> None:
    seen = ranges.run(
        (anon(0, 1),),
        whole("COLD", stop_on_gap=True),
        whole("COLD", single_mapping_only=True),
        whole("COLD", per_range_at=PER_RANGE_USUAL),
        whole=True,
    )
    assert seen.results == (-EINVAL, -EINVAL, -EINVAL)


@pytest.mark.requirement("multi-count")
def test_no_ranges_are_fine_and_1025_are_not(ranges: Kernel) -> None:
    none = multi(array_at=UNMAPPED)
    many = multi(count=1025)
    seen = ranges.run((anon(0, 1),), none, many)
    assert seen.results == (0, -EINVAL)
    assert set(seen.stats(0).values()) == {0}


@pytest.mark.requirement("range-address")
def test_a_bad_range_is_told_before_any_is_applied(ranges: Kernel) -> None:
    bad = span(1, 1, "DONTNEED")
    bad = type(bad)(bad.start + 1, bad.length, bad.advice)
    seen = ranges.run((written(0, 2),), multi(span(0, 1, "DONTNEED"), bad))
    assert seen.results == (-EINVAL,)
    assert seen.after(0).page(0) & PAGE_PRESENT
    stats = seen.stats(0)
    assert (stats["err"], stats["offset"], stats["failed_address"]) == (EINVAL, 1, bad.start)
    assert stats["nr_mappings_advised"] == 0


@pytest.mark.requirement("pidfd-ignored")
def test_pidfd_is_not_looked_at_without_is_remote(ranges: Kernel) -> None:
    seen = ranges.run((anon(0, 1),), single(span(0, 1, "COLD"), pidfd=12345))
    assert seen.results == (0,)


@pytest.mark.requirement("all-advices")
def test_all_takes_no_advice_that_discards(ranges: Kernel) -> None:
    seen = ranges.run((written(0, 1),), whole("DONTNEED"), whole("GUARD_INSTALL"))
    assert seen.results == (-EINVAL, -EINVAL)
    assert seen.after(1).page(0) & PAGE_PRESENT


@pytest.mark.requirement("stats-when")
def test_a_call_without_stats_does_the_same(ranges: Kernel) -> None:
    seen = ranges.run(
        (written(0, 2),),
        single(span(0, 1, "DONTNEED"), stats_at=0),
        single(span(1, 1, "DONTNEED")),
    )
    assert seen.results == (0, 0)
    assert not seen.after(1).page(0) & PAGE_PRESENT
    assert not seen.after(1).page(1) & PAGE_PRESENT


@pytest.mark.requirement("stats-single-fetch")
def test_structs_inside_advised_memory_are_read_before_it_goes(ranges: Kernel) -> None:
    inside = page_address(1) + 0x100
    call = single(span(0, 2, "DONTNEED"), ctl_at=inside)
    seen = ranges.run((written(0, 2),), call)
    assert seen.results == (0,)
    assert seen.stats(0)["nr_pages_advised"] == 2


@pytest.mark.requirement("stats-fault")
def test_stats_that_cannot_be_written_leave_the_effects(ranges: Kernel) -> None:
    inside = page_address(1) + 0x100
    call = single(span(0, 2, "GUARD_INSTALL"), stats_at=inside)
    seen = ranges.run((written(0, 2),), call)
    assert seen.results == (-EFAULT,)
    assert not seen.after(0).page(0) & PAGE_PRESENT
