"""What accesses do, and what a forked child gets."""

from __future__ import annotations

import pytest

from conformance.abi import vm_flags as f
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import (
    MEMFD,
    anon,
    droppable,
    locked,
    memfd,
    read,
    shared,
    vvar,
    written,
)
from conformance.program.call import Fork, TouchPages
from conformance.program.content import file_tag
from conformance.program.mapping import (
    Backing,
    FileSlot,
    Kind,
    Mapping,
    Prot,
    Touch,
    Uffd,
)

SIGBUS, SIGSEGV = 7, 11


@pytest.mark.requirement("touch-effect")
def test_what_is_written_stays_and_the_rest_is_zero(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 3),), TouchPages(1), read(0, 2))
    assert seen.results == (1, 2)
    assert seen.after(1).present(0, 1, 2) == [True, True, False]
    assert (seen.after(1).contents(0), seen.after(1).contents(1) != [0]) == ([0], True)


@pytest.mark.requirement("touch-denied")
def test_access_without_a_right_to_it_is_fatal(kernel: Kernel) -> None:
    layout = (anon(0, 1, prot=Prot.R), anon(1, 1, prot=Prot.NONE))
    seen = kernel.run(layout, TouchPages(0), read(1), read(2))
    assert seen.results == (-(SIGSEGV << 16),) * 3


@pytest.mark.requirement("touch-beyond-eof")
def test_access_behind_the_end_of_a_file_is_sigbus(kernel: Kernel) -> None:
    files = (FileSlot(Backing.MEMFD, 1),)
    seen = kernel.run((memfd(0, 2),), read(0, 2), TouchPages(1), files=files)
    assert seen.results == (-(SIGBUS << 16 | 1), -(SIGBUS << 16))


@pytest.mark.requirement("touch-uffd")
def test_a_page_that_userfaultfd_has_to_make_is_sigbus(kernel: Kernel) -> None:
    layout = (anon(0, 2, uffd=Uffd.MISSING, touches=(Touch(0),)),)
    seen = kernel.run(layout, read(0, 2), TouchPages(1))
    assert seen.results == (-(SIGBUS << 16 | 1), -(SIGBUS << 16))


@pytest.mark.requirement("touch-grows-down")
def test_a_stack_grows_down_to_the_access(kernel: Kernel) -> None:
    seen = kernel.run((Mapping(Kind.GROWSDOWN, 300, 2),), TouchPages(297))
    assert seen.results == (1,)
    assert seen.after(0).extents() == [(297, 302)]


@pytest.mark.requirement("touch-neighbours")
def test_neighbours_come_along_only_if_the_file_has_them(kernel: Kernel) -> None:
    files = (FileSlot(Backing.TMPFS, 4),)
    seen = kernel.run((Mapping(Kind.TMPFS, 0, 4),), read(1), files=files)
    after = seen.after(0)
    assert after.contents(1) == [file_tag(0, 1)]
    for page, there in zip((0, 2, 3), after.present(0, 2, 3), strict=True):
        assert after.contents(page) == [file_tag(0, page) if there else 0]


@pytest.mark.requirement("droppable-may-go")
def test_droppable_memory_holds_what_was_written_or_nothing(kernel: Kernel) -> None:
    seen = kernel.run((droppable(0, 2),), read(0, 2), read(0, 2))
    first, second = seen.after(0).contents(0, 1), seen.after(1).contents(0, 1)
    assert all(later in (earlier, 0) for earlier, later in zip(first, second, strict=True))


@pytest.mark.requirement("special-content")
def test_the_kernels_own_pages_can_be_read_or_raise_sigbus(kernel: Kernel) -> None:
    pages = kernel.target.facts.vvar_pages
    seen = kernel.run((vvar(0),), *[read(page) for page in range(min(pages, 8))])
    assert set(seen.results) <= {1, -(SIGBUS << 16)}


@pytest.mark.requirement("fork-effect")
def test_a_child_has_a_copy(kernel: Kernel) -> None:
    layout = (written(0, 2), shared(2, 2), memfd(4, 1, touches=(Touch(0),)))
    seen = kernel.run(layout, Fork(), read(0, 5), files=MEMFD)
    child = seen.after(0, child=True)
    assert child.extents() == seen.after(0).extents()
    assert child.contents(0, 1) == seen.after(1).contents(0, 1)
    assert 0 not in child.contents(0, 1)


@pytest.mark.requirement("fork-unlocked")
def test_a_child_has_no_locks(kernel: Kernel) -> None:
    seen = kernel.run((locked(0, 2),), Fork())
    assert seen.after(0).flags(0) & f.LO
    assert not seen.after(0, child=True).flags(0) & f.LO


@pytest.mark.requirement("fork-uffd")
def test_a_child_is_not_watched(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 2, uffd=Uffd.MISSING),), Fork())
    assert seen.after(0).flags(0) & f.UM
    assert not seen.after(0, child=True).flags(0) & f.UM


@pytest.mark.requirement("process-survives", "call-returns", "kernel-quiet")
def test_a_process_lives_and_its_kernel_says_nothing(kernel: Kernel) -> None:
    seen = kernel.run((written(0, 4),), TouchPages(0, 4), Fork(), read(0, 4))
    assert seen.results == (4, 0, 4)
    assert seen.outcome.log == ""
