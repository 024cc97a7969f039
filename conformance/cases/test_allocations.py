"""Calls that get no memory: each case has every allocation of one call fail, one run for each, and
makes the same call again afterwards. In guests, whose kernels can do that."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from conformance.abi.errnos import EAGAIN, ENOMEM
from conformance.cases.conftest import LOOK, Kernel, Seen
from conformance.cases.layouts import (
    HUGE,
    MEMFD,
    anon,
    madvise,
    memfd,
    multi,
    span,
    vector,
    written,
)
from conformance.model.predict import predict
from conformance.oracle.judge import fault_happened, judge
from conformance.oracle.verdict import VerdictKind
from conformance.program.call import Madvise, MadviseRanges, ProcessMadvise
from conformance.program.mapping import FileSlot, Mapping
from conformance.program.outcome import PAGE_GUARD, PAGE_PRESENT
from conformance.program.places import PAGE
from conformance.target.target import Target

ALLOCATIONS_MAX = 60  # of the calls here; the longest makes some 20


@pytest.fixture(autouse=True)
def allocations_can_fail(target: Target) -> None:
    """Asked before a case has its kernel."""
    if not target.facts.fail_nth:
        pytest.skip(f"{target.name} cannot let allocations fail (CONFIG_FAULT_INJECTION)")


def each_failing(
    kernel: Kernel,
    layout: tuple[Mapping, ...],
    call: Madvise | ProcessMadvise | MadviseRanges,
    files: tuple[FileSlot, ...] = (),
) -> Iterator[Seen]:
    """One run for each allocation of a call, with the call once more behind it."""
    for number in range(1, ALLOCATIONS_MAX + 1):
        failing = msgspec.structs.replace(call, fail_nth=number)
        seen = kernel.run(layout, failing, call, files=files)
        prediction = predict(seen.program, kernel.target.facts, observe=int(LOOK))
        verdict = judge(seen.program, seen.outcome, prediction)
        assert verdict.kind is VerdictKind.CONFORMANT, verdict.differences
        if not fault_happened(seen.outcome, prediction):
            return
        yield seen
    raise AssertionError(f"there are more than {ALLOCATIONS_MAX} allocations")


@pytest.mark.requirement("allocation-fails", "allocation-retry")
def test_flags_without_memory_are_as_before_and_come_with_the_second_call(kernel: Kernel) -> None:
    layout = (written(0, 6),)
    runs = list(each_failing(kernel, layout, madvise(2, 2, "RANDOM")))
    ended = [seen for seen in runs if seen.results == (-EAGAIN, 0)]
    assert ended
    for seen in ended:
        assert seen.after(0).flags(2) == seen.after(0).flags(0)
        assert seen.after(1).extents() == [(0, 2), (2, 4), (4, 6)]


@pytest.mark.requirement("allocation-fails")
def test_a_first_split_stays_when_the_second_fails(kernel: Kernel) -> None:
    runs = list(each_failing(kernel, (written(0, 6),), madvise(2, 2, "RANDOM")))
    extents = [seen.after(0).extents() for seen in runs]
    assert [(0, 6)] in extents
    assert [(0, 2), (2, 6)] in extents


@pytest.mark.requirement("allocation-spared")
def test_a_discard_needs_no_memory(kernel: Kernel) -> None:
    layout = (written(0, 4),)
    assert not list(each_failing(kernel, layout, madvise(0, 4, "DONTNEED")))
    seen = kernel.run(layout, msgspec.structs.replace(madvise(0, 4, "COLD"), fail_nth=1))
    assert seen.results == (0,)


@pytest.mark.requirement("allocation-populate")
@pytest.mark.parametrize("name", ["POPULATE_READ", "POPULATE_WRITE"])
def test_populate_ends_at_its_first_page_and_asks_again_for_others(
    kernel: Kernel, name: str
) -> None:
    runs = list(each_failing(kernel, (anon(0, 4),), madvise(0, 4, name)))
    ended = [seen for seen in runs if seen.results[0] == -ENOMEM]
    assert ended
    for seen in runs:
        done = seen.results[0] == 0
        assert seen.results in ((-ENOMEM, 0), (0, 0))
        assert [bool(seen.after(0).page(page) & PAGE_PRESENT) for page in range(4)] == [done] * 4


@pytest.mark.requirement("allocation-populate")
def test_populate_of_a_file_may_leave_its_page_in_the_cache(kernel: Kernel) -> None:
    call = madvise(0, 2, "POPULATE_WRITE")
    runs = list(each_failing(kernel, (memfd(0, 4),), call, MEMFD))
    assert {seen.results for seen in runs} <= {(-ENOMEM, 0), (0, 0)}
    assert (-ENOMEM, 0) in {seen.results for seen in runs}


@pytest.mark.requirement("allocation-guard")
def test_guards_up_to_the_page_table_stay(kernel: Kernel) -> None:
    call = madvise(HUGE - 2, 4, "GUARD_INSTALL")
    runs = list(each_failing(kernel, (anon(HUGE - 4, 8),), call))
    guards = {
        tuple(bool(seen.after(0).page(HUGE + at) & PAGE_GUARD) for at in (-2, -1, 0, 1))
        for seen in runs
        if seen.results == (-ENOMEM, 0)
    }
    assert guards == {(False,) * 4, (True, True, False, False)}


@pytest.mark.requirement("allocation-array")
def test_no_memory_for_a_vector_of_many(kernel: Kernel) -> None:
    call = vector("DONTNEED", *((page, 1) for page in range(9)))
    runs = list(each_failing(kernel, (written(0, 9),), call))
    ended = [seen for seen in runs if seen.results == (-ENOMEM, 9 * PAGE)]
    assert ended
    for seen in ended:
        assert 0 not in seen.after(0).contents(*range(9))


@pytest.mark.requirement("allocation-array")
def test_no_memory_for_an_array_of_many(ranges: Kernel) -> None:
    call = multi(*(span(page, 1, "DONTNEED") for page in range(9)))
    call = msgspec.structs.replace(call, stats_fill=0x5A)
    runs = list(each_failing(ranges, (written(0, 9),), call))
    ended = [seen for seen in runs if seen.results == (-ENOMEM, 0)]
    assert ended
    for seen in ended:
        assert set(seen.written(0, "stats")[:16]) == {0x5A}


@pytest.mark.requirement("allocation-fails")
def test_an_ignored_lack_of_memory_is_counted_as_skipped(ranges: Kernel) -> None:
    call = multi(span(0, 1, "RANDOM"), span(8, 2, "RANDOM"), ignore_errors=True)
    runs = list(each_failing(ranges, (written(0, 4), written(8, 2)), call))
    skipped = [seen for seen in runs if seen.stats(0)["nr_mappings_skipped"]]
    assert skipped
    for seen in skipped:
        assert seen.results == (0, 0)
        assert seen.stats(0)["err"] == EAGAIN
