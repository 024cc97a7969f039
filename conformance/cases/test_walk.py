"""madvise_ranges(): the walk over ranges, mappings, gaps and errors, and what stats tell."""

from __future__ import annotations

import pytest

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EINVAL, ENOMEM
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import anon, locked, madvise, multi, single, span, written
from conformance.program.call import PER_RANGE_USUAL
from conformance.program.mapping import Mark
from conformance.program.outcome import PAGE_PRESENT
from conformance.program.places import page_address

MARK = Mark(0, 2, advice=1)  # RANDOM: keeps a mapping apart from the one before


@pytest.mark.requirement("gap-counted")
def test_a_gap_is_counted_once_wherever_it_lies_and_is_no_error(ranges: Kernel) -> None:
    layout = (anon(1, 2), anon(4, 2))
    seen = ranges.run(layout, single(span(0, 8, "SEQUENTIAL")))
    assert seen.results == (0,)
    stats = seen.stats(0)
    assert stats["nr_gaps"] == 3
    assert stats["nr_mappings_advised"] == 2
    assert stats["nr_pages_advised"] == 4
    assert (stats["err"], stats["failed_address"], stats["offset"]) == (0, 0, 0)
    assert seen.after(0).flags(5) & f.SR


@pytest.mark.requirement("gap-stop")
def test_stop_on_gap_wins_over_ignore_errors(ranges: Kernel) -> None:
    layout = (written(0, 2), written(4, 2))
    call = single(span(0, 6, "DONTNEED"), stop_on_gap=True, ignore_errors=True)
    seen = ranges.run(layout, call)
    assert seen.results == (-ENOMEM,)
    assert not seen.after(0).page(1) & PAGE_PRESENT
    assert seen.after(0).page(4) & PAGE_PRESENT
    stats = seen.stats(0)
    assert (stats["err"], stats["failed_address"]) == (ENOMEM, page_address(2))
    assert stats["nr_gaps"] == 1


@pytest.mark.requirement("single-mapping")
def test_a_range_of_two_mappings_fails_before_any_of_it_is_applied(ranges: Kernel) -> None:
    layout = (written(0, 2), locked(2, 2))
    seen = ranges.run(
        layout,
        single(span(0, 4, "SEQUENTIAL"), single_mapping_only=True),
        single(span(3, 4, "SEQUENTIAL"), single_mapping_only=True),
        single(span(0, 2, "SEQUENTIAL"), single_mapping_only=True),
    )
    assert seen.results == (-EINVAL, -ENOMEM, 0)
    assert not seen.after(1).flags(0) & f.SR
    assert seen.stats(0)["failed_address"] == page_address(2)
    assert seen.stats(1)["failed_address"] == page_address(4)
    assert seen.stats(1)["nr_gaps"] == 0


@pytest.mark.requirement("error-ends")
def test_the_first_error_ends_the_call_and_nothing_is_rolled_back(ranges: Kernel) -> None:
    layout = (written(0, 1), locked(1, 1), written(2, 1))
    seen = ranges.run(layout, single(span(0, 3, "DONTNEED")))
    assert seen.results == (-EINVAL,)
    assert not seen.after(0).page(0) & PAGE_PRESENT
    assert seen.after(0).page(2) & PAGE_PRESENT
    stats = seen.stats(0)
    assert (stats["nr_mappings_advised"], stats["nr_mappings_skipped"]) == (1, 0)


@pytest.mark.requirement("error-ignored")
def test_ignore_errors_skips_a_part_and_goes_on(ranges: Kernel) -> None:
    layout = (written(0, 1), locked(1, 1), written(2, 1))
    seen = ranges.run(layout, single(span(0, 3, "DONTNEED"), ignore_errors=True))
    assert seen.results == (0,)
    assert not seen.after(0).page(2) & PAGE_PRESENT
    stats = seen.stats(0)
    assert (stats["nr_pages_advised"], stats["nr_pages_skipped"]) == (2, 1)


@pytest.mark.requirement("stats-first-error")
def test_the_first_error_is_told_with_its_address_and_range(ranges: Kernel) -> None:
    layout = (written(0, 1), locked(1, 1), anon(2, 1), locked(3, 1))
    call = multi(span(0, 1, "DONTNEED"), span(1, 3, "DONTNEED"), ignore_errors=True)
    seen = ranges.run(layout, call)
    stats = seen.stats(0)
    assert seen.results == (0,)
    assert (stats["err"], stats["offset"]) == (EINVAL, 1)
    assert stats["failed_address"] == page_address(1)


@pytest.mark.requirement("stats-per-range")
def test_each_range_tells_its_success_and_its_part(ranges: Kernel) -> None:
    layout = (written(0, 1), locked(1, 1))
    call = multi(
        span(0, 1, "DONTNEED"),
        span(0, 2, "DONTNEED"),
        span(1, 1, "DONTNEED"),
        span(6, 2, "DONTNEED"),
        ignore_errors=True,
        per_range_at=PER_RANGE_USUAL,
    )
    seen = ranges.run(layout, call)
    told = [(seen.element(0, i)["success"], seen.element(0, i)["partial"]) for i in range(4)]
    assert told == [(1, 0), (0, 1), (0, 0), (1, 0)]
    assert seen.stats(0)["per_range_stats"] == PER_RANGE_USUAL


@pytest.mark.requirement("walk-order")
def test_later_ranges_see_what_earlier_ones_did(ranges: Kernel) -> None:
    call = multi(span(0, 2, "SEQUENTIAL"), span(0, 4, "RANDOM"), span(1, 1, "NORMAL"))
    seen = ranges.run((anon(0, 4),), call)
    assert seen.after(0).extents() == [(0, 1), (1, 2), (2, 4)]
    assert seen.stats(0)["nr_mappings_advised"] == 1 + 2 + 1


@pytest.mark.requirement("walk-as-madvise")
def test_one_range_does_what_madvise_does(ranges: Kernel) -> None:
    layout = (written(0, 2), locked(2, 2), written(4, 2))
    one = ranges.run(layout, madvise(0, 6, "SEQUENTIAL"), madvise(0, 6, "COLD"))
    other = ranges.run(layout, single(span(0, 6, "SEQUENTIAL")), single(span(0, 6, "COLD")))
    assert one.results == other.results == (0, -EINVAL)
    for step in (0, 1):
        assert other.after(step).snapshot.vmas == one.after(step).snapshot.vmas
        assert other.after(step).snapshot.pages == one.after(step).snapshot.pages


@pytest.mark.requirement("gap-stop-not-ignored")
def test_ignore_errors_ignores_no_gap_that_stops(ranges: Kernel) -> None:
    call = multi(
        span(0, 2, "DONTNEED"), span(2, 2, "DONTNEED"), stop_on_gap=True, ignore_errors=True
    )
    seen = ranges.run((written(0, 2), written(3, 1)), call)
    assert seen.results == (-ENOMEM,)
    assert seen.after(0).present(0, 3) == [False, True]


@pytest.mark.requirement("single-mapping-unmapped")
def test_the_first_unmapped_address_is_told_and_no_gap_counted(ranges: Kernel) -> None:
    call = single(span(0, 6, "DONTNEED"), single_mapping_only=True)
    seen = ranges.run((written(0, 2), locked(2, 1), written(5, 1)), call)
    assert seen.results == (-ENOMEM,)
    stats = seen.stats(0)
    assert (stats["failed_address"], stats["nr_gaps"]) == (page_address(3), 0)
    assert seen.after(0).present(0) == [True]


@pytest.mark.requirement("single-mapping-ignored")
def test_a_range_that_is_no_single_mapping_is_passed_over_whole(ranges: Kernel) -> None:
    call = multi(
        span(0, 4, "DONTNEED"), span(3, 1, "DONTNEED"), single_mapping_only=True, ignore_errors=True
    )
    seen = ranges.run((written(0, 2), written(2, 2, marks=(MARK,))), call)
    assert seen.results == (0,)
    assert seen.after(0).present(0, 1, 2, 3) == [True, True, True, False]
    stats = seen.stats(0)
    assert (stats["nr_mappings_advised"], stats["nr_mappings_skipped"]) == (1, 0)
    assert (stats["err"], stats["offset"]) == (EINVAL, 0)
