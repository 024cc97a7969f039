"""madvise(2): the order of its checks, its gaps, its flags, and what it does to pages."""

from __future__ import annotations

import pytest

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EACCES, EINVAL, ENOMEM
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import anon, locked, madvise, written
from conformance.program.call import Fork, Madvise, TouchPages
from conformance.program.mapping import Backing, FileSlot, Kind, Mapping, Sharing, Touch
from conformance.program.outcome import CONTENT_MASK, PAGE_GUARD, PAGE_PRESENT
from conformance.program.places import KERNEL, NONCANONICAL, PAGE, page_address

SIGSEGV = 11


@pytest.mark.requirement("madvise-advice-invalid")
def test_an_unknown_advice_is_refused_before_anything_else(kernel: Kernel) -> None:
    odd = page_address(0) + 1
    seen = kernel.run((anon(0, 1),), Madvise(page_address(0), 0, 7), Madvise(odd, PAGE, 1212))
    assert seen.results == (-EINVAL, -EINVAL)


@pytest.mark.requirement("madvise-advice-int")
def test_the_upper_half_of_the_advice_is_not_looked_at(kernel: Kernel) -> None:
    seen = kernel.run((written(0, 2),), Madvise(page_address(0), PAGE, (5 << 32) + 4))
    assert seen.results == (0,)
    assert seen.after(0).present(0, 1) == [False, True]


@pytest.mark.requirement("madvise-length-rounded")
def test_the_last_page_is_advised_whole(kernel: Kernel) -> None:
    seen = kernel.run((written(0, 3),), Madvise(page_address(0), PAGE + 1, 4))
    assert seen.results == (0,)
    assert seen.after(0).present(0, 1, 2) == [False, False, True]


@pytest.mark.requirement("madvise-beyond-user")
def test_nothing_is_mapped_beyond_user_addresses(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 1),), Madvise(KERNEL, PAGE, 4), Madvise(NONCANONICAL, PAGE, 0))
    assert seen.results == (-ENOMEM, -ENOMEM)


@pytest.mark.requirement("madvise-unaligned")
def test_the_start_must_be_aligned_even_for_no_length(kernel: Kernel) -> None:
    odd = page_address(0) + 8
    seen = kernel.run((anon(0, 2),), Madvise(odd, PAGE, 0), Madvise(odd, 0, 0))
    assert seen.results == (-EINVAL, -EINVAL)


@pytest.mark.requirement("madvise-wraps")
def test_a_range_must_not_wrap_around(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 1),), Madvise(page_address(0), (1 << 64) - 2 * PAGE, 0))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("madvise-length-rounds-to-zero")
def test_a_length_that_rounds_up_to_nothing_is_refused(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 1),), Madvise(page_address(0), (1 << 64) - 1, 0))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("madvise-length-zero")
def test_no_length_succeeds_where_nothing_is_mapped(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 1),), Madvise(page_address(9), 0, 4))
    assert seen.results == (0,)


@pytest.mark.requirement("madvise-gap-enomem")
def test_a_gap_is_told_after_what_lies_behind_it_was_advised(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 2), anon(4, 2)), madvise(0, 6, "SEQUENTIAL"))
    assert seen.results == (-ENOMEM,)
    assert seen.after(0).flags(0) & f.SR
    assert seen.after(0).flags(5) & f.SR


@pytest.mark.requirement("madvise-error-ends")
def test_an_error_wins_over_a_gap_and_ends_the_walk(kernel: Kernel) -> None:
    layout = (anon(0, 1), locked(2, 1), written(3, 1))
    seen = kernel.run(layout, madvise(0, 4, "DONTNEED"))
    assert seen.results == (-EINVAL,)
    assert seen.after(0).page(3) & PAGE_PRESENT


@pytest.mark.requirement("madvise-dontneed-content")
def test_dontneed_of_private_anonymous_memory_leaves_zeros(kernel: Kernel) -> None:
    seen = kernel.run((written(0, 3),), madvise(1, 1, "DONTNEED"), TouchPages(1, 1, write=False))
    assert seen.results == (0, 1)
    assert not seen.after(0).page(1) & PAGE_PRESENT
    assert seen.after(1).page(1) & CONTENT_MASK == 0
    assert seen.after(1).page(0) & CONTENT_MASK != 0


@pytest.mark.requirement("madvise-dontneed-locked")
def test_locked_memory_is_not_discarded(kernel: Kernel) -> None:
    seen = kernel.run((locked(0, 2),), madvise(0, 2, "DONTNEED"), madvise(0, 2, "DONTNEED_LOCKED"))
    assert seen.results == (-EINVAL, 0)


@pytest.mark.requirement("madvise-free-anon")
def test_free_wants_anonymous_memory(kernel: Kernel) -> None:
    mapping = Mapping(Kind.MEMFD, 0, 2, touches=(Touch(0, 2),))
    seen = kernel.run((mapping,), madvise(0, 2, "FREE"), files=(FileSlot(Backing.MEMFD, 2),))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("madvise-remove-shared")
def test_remove_wants_a_shared_writable_mapping(kernel: Kernel) -> None:
    private = Mapping(Kind.MEMFD, 0, 2)
    shared = Mapping(Kind.MEMFD, 4, 2, sharing=Sharing.SHARED)
    seen = kernel.run(
        (private, shared),
        madvise(0, 2, "REMOVE"),
        madvise(4, 2, "REMOVE"),
        files=(FileSlot(Backing.MEMFD, 2),),
    )
    assert seen.results == (-EACCES, 0)


@pytest.mark.requirement("madvise-wipeonfork-anon")
def test_wipeonfork_wants_private_anonymous_memory(kernel: Kernel) -> None:
    shared = anon(0, 1, sharing=Sharing.SHARED)
    seen = kernel.run((shared,), madvise(0, 1, "WIPEONFORK"))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("fork-wipeonfork")
def test_a_child_finds_wiped_memory_empty(kernel: Kernel) -> None:
    seen = kernel.run((written(0, 2),), madvise(0, 1, "WIPEONFORK"), Fork())
    assert seen.results == (0, 0)
    assert not seen.after(1, child=True).page(0) & PAGE_PRESENT
    assert seen.after(1, child=True).page(1) & PAGE_PRESENT
    assert seen.after(1).page(0) & PAGE_PRESENT


@pytest.mark.requirement("fork-dontfork")
def test_a_child_does_not_get_what_dontfork_keeps(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 3),), madvise(1, 1, "DONTFORK"), Fork())
    assert seen.after(1, child=True).extents() == [(0, 1), (2, 3)]
    assert seen.after(1).extents() == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.requirement("madvise-guard-content")
def test_a_guarded_page_is_empty_and_fatal(kernel: Kernel) -> None:
    seen = kernel.run((written(0, 2),), madvise(1, 1, "GUARD_INSTALL"), TouchPages(0, 2))
    assert seen.results == (0, -(SIGSEGV << 16 | 1))
    assert seen.after(0).page(1) & PAGE_GUARD


@pytest.mark.requirement("madvise-populate-gap")
def test_populate_stops_at_the_first_gap(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 1), anon(2, 1)), madvise(0, 3, "POPULATE_WRITE"))
    assert seen.results == (-ENOMEM,)
    assert seen.after(0).page(0) & PAGE_PRESENT
    assert not seen.after(0).page(2) & PAGE_PRESENT
