"""mmap, munmap, mprotect, mremap, mlock, userfaultfd: what the three calls are judged among."""

from __future__ import annotations

import pytest

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EACCES, EFAULT, EINVAL, ENOMEM, EPERM
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import (
    HUGE,
    MEMFD,
    anon,
    droppable,
    hugetlb,
    locked,
    memfd,
    perf,
    read,
    written,
)
from conformance.program.call import Mmap, Mprotect, Mremap, Munmap, TouchPages
from conformance.program.mapping import (
    Backing,
    FileSlot,
    Kind,
    Lock,
    Mapping,
    Prot,
    Sharing,
    Uffd,
)
from conformance.program.places import PAGE, page_address


def at(page: int, pages: int) -> tuple[int, int]:
    """Address and length."""
    return page_address(page), pages * PAGE


def move(page: int, pages: int, to: int, **more: bool) -> Mremap:
    """mremap() that keeps the size."""
    return Mremap(*at(page, pages), pages * PAGE, page_address(to), **more)


@pytest.mark.requirement("mmap-fixed", "touch-effect")
def test_a_fixed_mapping_replaces_what_was_there(kernel: Kernel) -> None:
    new = Mmap(Mapping(Kind.ANON, 1, 2, Prot.R, Sharing.SHARED))
    seen = kernel.run((written(0, 4),), new, read(0, 4))
    assert seen.results == (page_address(1), 4)
    assert seen.after(0).extents() == [(0, 1), (1, 3), (3, 4)]
    assert seen.after(0).flags(1) & (f.RD | f.WR | f.SH) == f.RD | f.SH
    assert seen.after(1).contents(1, 2) == [0, 0]
    assert 0 not in seen.after(1).contents(0, 3)


@pytest.mark.requirement("mmap-read-only-fd")
def test_a_file_opened_read_only_is_not_mapped_writable(kernel: Kernel) -> None:
    shared = Mmap(memfd(4, 1, read_only_fd=True))
    private = Mmap(Mapping(Kind.MEMFD, 4, 1, read_only_fd=True))
    seen = kernel.run((anon(0, 1),), shared, private, files=MEMFD)
    assert seen.results == (-EACCES, page_address(4))


@pytest.mark.requirement("mmap-sealed-file", "seal-file-effect")
def test_a_sealed_file_is_mapped_writable_by_those_who_had_it(kernel: Kernel) -> None:
    files = (FileSlot(Backing.MEMFD, 8, sealed_write=True),)
    seen = kernel.run((memfd(0, 1),), TouchPages(0), Mmap(memfd(4, 1)), files=files)
    assert seen.results == (1, -EPERM)


@pytest.mark.requirement("secretmem-shared-only")
def test_secret_memory_is_shared_only(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 1),), Mmap(Mapping(Kind.SECRETMEM, 4, 1)))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("mmap-noexec")
def test_secret_memory_is_not_executable(kernel: Kernel) -> None:
    secret = Mapping(Kind.SECRETMEM, 0, 1, Prot.RX, Sharing.SHARED)
    seen = kernel.run((anon(0, 1),), Mmap(secret))
    assert seen.results == (-EPERM,)
    assert seen.after(0).extents() == [(0, 1)]


@pytest.mark.requirement("mmap-growsdown-private")
def test_stacks_are_private(kernel: Kernel) -> None:
    stack = Mapping(Kind.GROWSDOWN, 4, 1, sharing=Sharing.SHARED)
    seen = kernel.run((anon(0, 1),), Mmap(stack))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("munmap-effect")
def test_unmapping_takes_parts_and_passes_gaps(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 3), anon(5, 3)), Munmap(*at(2, 4)))
    assert seen.results == (0,)
    assert seen.after(0).extents() == [(0, 2), (6, 8)]


@pytest.mark.requirement("munmap-arguments")
def test_what_munmap_refuses(kernel: Kernel) -> None:
    odd, none = Munmap(page_address(0) + 1, PAGE), Munmap(page_address(0), 0)
    seen = kernel.run((anon(0, 1),), odd, none)
    assert seen.results == (-EINVAL, -EINVAL)
    assert seen.after(1).extents() == [(0, 1)]


@pytest.mark.requirement("mprotect-effect", "vma-split")
def test_a_part_is_protected(kernel: Kernel) -> None:
    seen = kernel.run((written(0, 4),), Mprotect(*at(1, 2), Prot.R), TouchPages(1))
    assert seen.results == (0, -(11 << 16))
    assert seen.after(0).extents() == [(0, 1), (1, 3), (3, 4)]
    assert not seen.after(0).flags(1) & f.WR


@pytest.mark.requirement("mprotect-gap")
def test_protection_ends_at_a_gap(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 1), anon(2, 1)), Mprotect(*at(0, 3), Prot.R))
    assert seen.results == (-ENOMEM,)
    assert [seen.after(0).flags(page) & f.WR for page in (0, 2)] == [0, f.WR]


@pytest.mark.requirement("mprotect-may")
def test_what_was_opened_read_only_stays_so(kernel: Kernel) -> None:
    layout = (memfd(0, 1, prot=Prot.R, read_only_fd=True),)
    seen = kernel.run(layout, Mprotect(*at(0, 1), Prot.RW), files=MEMFD)
    assert seen.results == (-EACCES,)


@pytest.mark.requirement("mprotect-arguments")
def test_what_mprotect_refuses(kernel: Kernel) -> None:
    odd = Mprotect(page_address(0) + 1, PAGE, Prot.R)
    wraps = Mprotect(page_address(0), (1 << 64) - PAGE, Prot.R)
    seen = kernel.run((anon(0, 1),), odd, wraps, Mprotect(page_address(9), 0, Prot.R))
    assert seen.results == (-EINVAL, -ENOMEM, 0)


@pytest.mark.requirement("mremap-move")
def test_pages_move_with_what_they_hold(kernel: Kernel) -> None:
    seen = kernel.run((written(0, 4), anon(9, 1)), read(1, 2), move(1, 2, 8), read(8, 2))
    assert seen.results == (2, page_address(8), 2)
    assert seen.after(2).extents() == [(0, 1), (3, 4), (8, 10)]
    assert seen.after(2).contents(8, 9) == seen.after(0).contents(1, 2)


@pytest.mark.requirement("mremap-move")
def test_the_source_may_stay_mapped_and_empty(kernel: Kernel) -> None:
    if not kernel.target.facts.has_mremap_dontunmap:
        kernel.lacks("MREMAP_DONTUNMAP")
    seen = kernel.run((written(0, 2),), read(0, 2), move(0, 2, 8, dont_unmap=True), read(8, 2))
    assert seen.after(2).extents() == [(0, 2), (8, 10)]
    assert seen.after(1).present(0, 1) == [False, False]
    assert seen.after(2).contents(8, 9) == seen.after(0).contents(0, 1)


@pytest.mark.requirement("mremap-grow")
def test_a_mapping_grows_into_free_space(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 2),), Mremap(*at(0, 2), 5 * PAGE))
    assert seen.results == (page_address(0),)
    assert seen.after(0).extents() == [(0, 5)]


@pytest.mark.requirement("mremap-no-room")
def test_a_mapping_grows_over_nothing_else(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 2), memfd(3, 1)), Mremap(*at(0, 2), 4 * PAGE), files=MEMFD)
    assert seen.results == (-ENOMEM,)
    assert seen.after(0).extents() == [(0, 2), (3, 4)]


@pytest.mark.requirement("mremap-arguments")
def test_what_mremap_refuses(kernel: Kernel) -> None:
    odd = Mremap(page_address(0) + 1, PAGE, PAGE)
    nothing = Mremap(page_address(0), PAGE, 0)
    over_itself = move(0, 2, 1)
    seen = kernel.run((anon(0, 2),), odd, nothing, over_itself)
    assert seen.results == (-EINVAL, -EINVAL, -EINVAL)


@pytest.mark.requirement("mremap-unmapped")
def test_what_is_not_mapped_is_not_moved(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 1),), move(4, 1, 8), Mremap(*at(4, 1), 2 * PAGE))
    assert seen.results == (-EFAULT, -EFAULT)


@pytest.mark.requirement("mremap-beyond-vma")
def test_a_range_beyond_its_mapping_does_not_grow(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 2),), Mremap(*at(0, 4), 6 * PAGE))
    assert seen.results == (-EFAULT,)


@pytest.mark.requirement("mremap-many")
def test_several_mappings_move_with_their_gaps(kernel: Kernel) -> None:
    if not kernel.target.facts.mremap_many:
        kernel.lacks("mremap() of several mappings (6.17)")
    seen = kernel.run((written(0, 1), anon(2, 1, prot=Prot.R)), move(0, 3, 8))
    assert seen.results == (page_address(8),)
    assert seen.after(0).extents() == [(8, 9), (10, 11)]


@pytest.mark.requirement("mremap-duplicate")
def test_private_memory_has_no_second_view(kernel: Kernel) -> None:
    call = Mremap(page_address(0), 0, PAGE, page_address(8))
    private = kernel.run((written(0, 1),), call)
    assert private.results == (-EINVAL,)
    shared = kernel.run((memfd(0, 1),), TouchPages(0), call, read(8), files=MEMFD)
    assert shared.results == (1, page_address(8), 1)
    assert shared.after(2).contents(8) == shared.after(2).contents(0)


@pytest.mark.requirement("mremap-special")
def test_page_frames_do_not_grow(kernel: Kernel) -> None:
    seen = kernel.run((perf(0),), Mremap(*at(0, 5), 6 * PAGE))
    assert seen.results == (-EFAULT,)


@pytest.mark.requirement("mremap-part-of-special")
def test_a_part_of_page_frames_does_not_move(kernel: Kernel) -> None:
    seen = kernel.run((perf(0),), move(1, 2, 8))
    assert seen.results == (-EINVAL,)
    assert seen.after(0).extents() == [(0, 5)]


@pytest.mark.requirement("mremap-hugetlb")
def test_huge_pages_move_whole(kernel: Kernel) -> None:
    odd = move(HUGE + 1, HUGE - 1, 3 * HUGE)
    whole = move(HUGE, HUGE, 3 * HUGE)
    seen = kernel.run((hugetlb(HUGE),), odd, whole)
    assert seen.results == (-EINVAL, page_address(3 * HUGE))


@pytest.mark.requirement("mlock-effect")
def test_locked_memory_is_there(kernel: Kernel) -> None:
    layout = (locked(0, 2), anon(4, 2, lock=Lock.ONFAULT))
    seen = kernel.run(layout, read(4))
    assert seen.after(0).present(0, 1, 4, 5) == [True, True, True, False]
    assert seen.after(0).flags(0) & seen.after(0).flags(4) & f.LO


@pytest.mark.requirement("mlock-populate")
def test_what_cannot_be_there_is_locked_all_the_same(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 2, prot=Prot.NONE, lock=Lock.LOCKED),), read(0))
    setup = len(seen.program.setup())
    assert seen.outcome.results[setup - 1] == -ENOMEM
    assert seen.after(0).flags(0) & f.LO


@pytest.mark.requirement("uffd-effect")
@pytest.mark.parametrize(("mode", "flag"), [(Uffd.MISSING, f.UM), (Uffd.WP, f.UW)])
def test_registered_memory_carries_its_mode(kernel: Kernel, mode: Uffd, flag: int) -> None:
    seen = kernel.run((anon(0, 2, uffd=mode), anon(2, 2)), TouchPages(2))
    assert seen.after(0).extents() == [(0, 2), (2, 4)]
    assert seen.after(0).flags(0) & flag
    assert not seen.after(0).flags(2) & flag


@pytest.mark.requirement("uffd-kind")
def test_droppable_memory_is_not_registered(kernel: Kernel) -> None:
    mapping = Mapping(Kind.DROPPABLE, 0, 2, uffd=Uffd.MISSING)
    seen = kernel.run((mapping,), read(0))
    assert seen.outcome.results[len(seen.program.setup()) - 1] == -EINVAL
    assert seen.results == (1,)


@pytest.mark.requirement("uffd-may-write")
def test_what_can_never_be_written_is_not_registered(kernel: Kernel) -> None:
    layout = (memfd(0, 2, prot=Prot.R, read_only_fd=True, uffd=Uffd.MISSING),)
    seen = kernel.run(layout, read(0), files=MEMFD)
    assert seen.outcome.results[len(seen.program.setup()) - 1] == -EPERM


@pytest.mark.requirement("soft-dirty-effect")
def test_forgetting_what_was_written_changes_nothing_else(kernel: Kernel) -> None:
    layout = (written(0, 2, soft_dirty_cleared=True), droppable(4, 2))
    seen = kernel.run(layout, read(0, 2))
    assert seen.results == (2,)
    assert seen.after(0).extents() == [(0, 2), (4, 6)]
    assert 0 not in seen.after(0).contents(0, 1)
