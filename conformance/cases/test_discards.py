"""DONTNEED, DONTNEED_LOCKED and FREE: what is thrown away, and what may not be."""

from __future__ import annotations

import pytest

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EINVAL
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import (
    HUGE,
    MEMFD,
    anon,
    hugetlb,
    locked,
    madvise,
    memfd,
    perf,
    read,
    written,
)
from conformance.program.call import TouchPages
from conformance.program.content import file_tag
from conformance.program.mapping import Backing, FileSlot, Kind, Mapping, Touch
from conformance.program.outcome import PAGE_GUARD, PAGE_PRESENT, PAGE_SWAP


@pytest.mark.requirement("madvise-dontneed-zero")
def test_private_memory_is_zero_afterwards(kernel: Kernel) -> None:
    seen = kernel.run((written(0, 3),), read(0, 3), madvise(1, 1, "DONTNEED"), read(0, 3))
    before, after = seen.after(0), seen.after(2)
    assert after.contents(1) == [0]
    assert after.contents(0, 2) == before.contents(0, 2)
    assert 0 not in before.contents(0, 1, 2)


@pytest.mark.requirement("madvise-dontneed-private-file")
def test_a_private_mapping_shows_the_file_again(kernel: Kernel) -> None:
    mapping = Mapping(Kind.TMPFS, 0, 2, touches=(Touch(0, 2),))
    files = (FileSlot(Backing.TMPFS, 2),)
    seen = kernel.run((mapping,), madvise(0, 1, "DONTNEED"), read(0, 2), files=files)
    assert seen.after(0).present(0, 1) == [False, True]
    assert seen.after(1).contents(0) == [file_tag(0, 0)]
    assert seen.after(1).contents(1) != [file_tag(0, 1)]


@pytest.mark.requirement("madvise-dontneed-shared")
def test_shared_memory_keeps_what_it_holds(kernel: Kernel) -> None:
    layout = (memfd(0, 2, touches=(Touch(0, 2),)), memfd(4, 2))
    steps = (read(0, 2), madvise(0, 2, "DONTNEED"), read(0, 2), read(4, 2))
    seen = kernel.run(layout, *steps, files=MEMFD)
    assert seen.after(1).present(0, 1) == [False, False]
    held = seen.after(0).contents(0, 1)
    assert 0 not in held
    assert seen.after(3).contents(0, 1, 4, 5) == held + held


@pytest.mark.requirement("madvise-dontneed-guards", "madvise-free-content")
def test_guards_survive_every_discard(kernel: Kernel) -> None:
    calls = [madvise(0, 3, name) for name in ("FREE", "DONTNEED", "DONTNEED_LOCKED")]
    seen = kernel.run((written(0, 3),), madvise(1, 1, "GUARD_INSTALL"), *calls)
    assert seen.results == (0, 0, 0, 0)
    assert seen.after(3).page(1) & PAGE_GUARD
    assert seen.after(3).present(0, 2) == [False, False]


@pytest.mark.requirement("madvise-dontneed-pfn")
@pytest.mark.parametrize("name", ["DONTNEED", "DONTNEED_LOCKED", "FREE"])
def test_page_frames_are_not_discarded(kernel: Kernel, name: str) -> None:
    seen = kernel.run((perf(0), anon(6, 1)), madvise(0, 5, name))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("madvise-dontneed-locked-discards")
def test_locked_memory_goes_if_asked_for_by_name(kernel: Kernel) -> None:
    seen = kernel.run((locked(0, 3),), madvise(0, 2, "DONTNEED_LOCKED"))
    assert seen.results == (0,)
    assert seen.after(0).present(0, 1, 2) == [False, False, True]
    assert seen.after(0).flags(0) & f.LO


@pytest.mark.requirement("madvise-hugetlb-dontneed")
@pytest.mark.parametrize("name", ["DONTNEED", "DONTNEED_LOCKED"])
def test_whole_huge_pages_are_discarded(kernel: Kernel, name: str) -> None:
    seen = kernel.run((hugetlb(),), madvise(HUGE, HUGE, name))
    assert seen.results == (0,)
    assert seen.after(0).present(HUGE, HUGE + 1) == [False, False]


@pytest.mark.requirement("madvise-hugetlb-rounded")
def test_a_part_of_a_huge_page_is_left(kernel: Kernel) -> None:
    seen = kernel.run((hugetlb(),), madvise(HUGE, HUGE - 1, "DONTNEED"))
    assert seen.results == (0,)
    assert seen.after(0).present(HUGE) == [True]


@pytest.mark.requirement("madvise-hugetlb-aligned")
def test_discards_start_at_a_huge_page(kernel: Kernel) -> None:
    seen = kernel.run((hugetlb(),), madvise(HUGE + 1, HUGE - 1, "DONTNEED"))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("madvise-free-hugetlb")
def test_huge_pages_are_not_freed_lazily(kernel: Kernel) -> None:
    seen = kernel.run((hugetlb(),), madvise(HUGE, HUGE, "FREE"))
    assert seen.results == (-EINVAL,)
    assert seen.after(0).present(HUGE) == [True]


@pytest.mark.requirement("madvise-free-content")
def test_a_freed_page_holds_what_it_held_or_nothing(kernel: Kernel) -> None:
    seen = kernel.run((written(0, 2),), read(0, 2), madvise(0, 1, "FREE"), read(0, 2))
    before, after = seen.after(0), seen.after(2)
    assert after.contents(0) in (before.contents(0), [0])
    assert after.contents(1) == before.contents(1) != [0]


@pytest.mark.requirement("madvise-free-rewritten")
def test_a_page_that_is_written_again_is_kept(kernel: Kernel) -> None:
    layout = (written(0, 2),)
    steps = (TouchPages(0), madvise(0, 2, "PAGEOUT"), read(0, 1))
    seen = kernel.run(layout, madvise(0, 1, "FREE"), *steps)
    written_again = seen.after(1).contents(0)
    assert written_again != [0]
    assert seen.after(3).contents(0) == written_again


@pytest.mark.requirement("madvise-free-swapped")
def test_what_was_swapped_out_is_gone_at_once(kernel: Kernel) -> None:
    if not kernel.target.facts.swap:
        kernel.lacks("swap")
    seen = kernel.run((written(0, 8),), madvise(0, 8, "PAGEOUT"), madvise(0, 8, "FREE"))
    for page in range(8):
        if seen.after(0).page(page) & PAGE_SWAP:
            assert not seen.after(1).page(page) & (PAGE_SWAP | PAGE_PRESENT)
