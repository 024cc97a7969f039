"""madvise_ranges(): what is counted and told, and what is not."""

from __future__ import annotations

import pytest

from conformance.abi.errnos import EFAULT, EINVAL, ENOMEM
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import anon, locked, multi, single, span, written
from conformance.program.call import PER_RANGE_USUAL
from conformance.program.places import UNMAPPED, page_address

FILL = 0x5A
MIXED = (written(0, 2), locked(2, 3), written(5, 1))


@pytest.mark.requirement("stats-advised")
def test_parts_and_pages_that_were_advised(ranges: Kernel) -> None:
    twice = multi(span(0, 2, "COLD"), span(1, 1, "COLD"))
    seen = ranges.run((anon(0, 2), anon(4, 3)), twice, single(span(0, 7, "COLD")))
    counted = [
        (stats["nr_mappings_advised"], stats["nr_pages_advised"])
        for stats in (seen.stats(0), seen.stats(1))
    ]
    assert counted == [(2, 3), (2, 5)]


@pytest.mark.requirement("stats-skipped")
def test_parts_and_pages_that_were_passed_over(ranges: Kernel) -> None:
    seen = ranges.run(MIXED, single(span(0, 6, "DONTNEED"), ignore_errors=True))
    stats = seen.stats(0)
    assert (stats["nr_mappings_skipped"], stats["nr_pages_skipped"]) == (1, 3)
    assert (stats["nr_mappings_advised"], stats["nr_pages_advised"]) == (2, 3)


@pytest.mark.requirement("stats-ending-part", "error-keeps")
def test_the_part_that_ends_the_call_counts_nowhere(ranges: Kernel) -> None:
    seen = ranges.run(MIXED, single(span(0, 6, "DONTNEED")))
    assert seen.results == (-EINVAL,)
    stats = seen.stats(0)
    assert (stats["nr_pages_advised"], stats["nr_pages_skipped"]) == (2, 0)
    assert seen.after(0).present(0, 1, 2, 5) == [False, False, True, True]


@pytest.mark.requirement("stats-gaps", "gap-at-start", "gap-at-end")
def test_gaps_of_all_ranges_are_counted(ranges: Kernel) -> None:
    layout = (anon(2, 2), anon(6, 2))
    seen = ranges.run(
        layout,
        single(span(0, 3, "COLD")),
        single(span(7, 3, "COLD")),
        multi(span(0, 10, "COLD"), span(4, 2, "COLD")),
    )
    assert seen.results == (0, 0, 0)
    assert [seen.stats(step)["nr_gaps"] for step in (0, 1, 2)] == [1, 1, 4]


@pytest.mark.requirement("stats-null")
def test_a_failure_without_stats_is_the_same_failure(ranges: Kernel) -> None:
    seen = ranges.run(MIXED, single(span(0, 6, "DONTNEED"), stats_at=0))
    assert seen.results == (-EINVAL,)
    assert seen.after(0).present(0, 1, 2, 5) == [False, False, True, True]


@pytest.mark.requirement("stats-unreached")
def test_elements_of_ranges_not_reached_are_left(ranges: Kernel) -> None:
    call = multi(
        span(0, 1, "DONTNEED"), span(2, 1, "DONTNEED"), span(5, 1, "DONTNEED"),
        per_range_at=PER_RANGE_USUAL, stats_fill=FILL,
    )  # fmt: skip
    seen = ranges.run(MIXED, call)
    assert seen.results == (-EINVAL,)
    third = seen.written(0, "per_range")[64:96]
    assert third == bytes([FILL]) * 32
    assert (seen.element(0, 0)["success"], seen.element(0, 1)["success"]) == (1, 0)


@pytest.mark.requirement("stats-partial")
def test_partial_is_some_but_not_all(ranges: Kernel) -> None:
    call = multi(
        span(0, 6, "DONTNEED"), span(2, 2, "DONTNEED"), span(0, 2, "DONTNEED"),
        per_range_at=PER_RANGE_USUAL, ignore_errors=True,
    )  # fmt: skip
    seen = ranges.run(MIXED, call)
    assert [seen.element(0, i)["partial"] for i in range(3)] == [1, 0, 0]
    assert [seen.element(0, i)["success"] for i in range(3)] == [0, 0, 1]


@pytest.mark.requirement("stats-per-range-fault", "stats-fault")
def test_elements_that_cannot_be_written_spoil_nothing_else(ranges: Kernel) -> None:
    call = single(span(0, 2, "DONTNEED"), per_range_at=UNMAPPED)
    seen = ranges.run(MIXED, call)
    assert seen.results == (-EFAULT,)
    assert seen.after(0).present(0, 1) == [False, False]
    assert seen.stats(0)["nr_pages_advised"] == 2


@pytest.mark.requirement("stats-first-error")
def test_the_first_of_several_errors_stays(ranges: Kernel) -> None:
    layout = (written(0, 2), locked(4, 2), locked(8, 2))
    call = multi(
        span(0, 2, "DONTNEED"), span(4, 2, "DONTNEED"), span(8, 2, "DONTNEED"),
        ignore_errors=True,
    )  # fmt: skip
    seen = ranges.run(layout, call, single(span(2, 1, "DONTNEED"), stop_on_gap=True))
    assert seen.results == (0, -ENOMEM)
    first, gap = seen.stats(0), seen.stats(1)
    assert (first["err"], first["failed_address"], first["offset"]) == (
        EINVAL, page_address(4), 1,
    )  # fmt: skip
    assert (gap["err"], gap["failed_address"], gap["offset"]) == (ENOMEM, page_address(2), 0)
