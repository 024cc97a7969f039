"""Memory under mseal(2)."""

from __future__ import annotations

import pytest

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EPERM
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import MEMFD, anon, madvise, memfd, read, written
from conformance.program.call import Mmap, Mprotect, Mremap, Munmap
from conformance.program.mapping import Mapping, Mark, Prot
from conformance.program.places import PAGE, page_address

TWO = 2 * PAGE


def read_only(at: int) -> Mapping:
    """Two pages, written, then made read-only and sealed."""
    return written(at, 2, marks=(Mark(0, 2, prot=Prot.R),), sealed=True)


@pytest.mark.requirement("madvise-sealed")
@pytest.mark.parametrize(
    "name",
    ["DONTNEED", "DONTNEED_LOCKED", "FREE", "DONTFORK", "WIPEONFORK", "GUARD_INSTALL", "REMOVE"],
)
def test_what_may_not_be_written_may_not_be_discarded(kernel: Kernel, name: str) -> None:
    seen = kernel.run((read_only(0),), madvise(0, 2, name), read(0, 2))
    assert seen.results == (-EPERM, 2)
    assert 0 not in seen.after(1).contents(0, 1)


@pytest.mark.requirement("madvise-sealed-writable")
def test_what_may_be_written_may_be_discarded(kernel: Kernel) -> None:
    seen = kernel.run((written(0, 2, sealed=True),), madvise(0, 1, "DONTNEED"))
    assert seen.results == (0,)
    assert seen.after(0).present(0, 1) == [False, True]


@pytest.mark.requirement("madvise-sealed-file")
def test_a_file_loses_nothing_by_being_discarded(kernel: Kernel) -> None:
    layout = (memfd(0, 2, prot=Prot.R, sealed=True),)
    seen = kernel.run(layout, read(0, 2), madvise(0, 2, "DONTNEED"), files=MEMFD)
    assert seen.results == (2, 0)
    assert seen.after(1).present(0, 1) == [False, False]


@pytest.mark.requirement("madvise-sealed-harmless")
@pytest.mark.parametrize("name", ["RANDOM", "DONTDUMP", "COLD", "WILLNEED", "MERGEABLE"])
def test_other_advice_is_taken(kernel: Kernel, name: str) -> None:
    seen = kernel.run((read_only(0),), madvise(0, 2, name))
    assert seen.results == (0,)


@pytest.mark.requirement("mseal-effect")
def test_all_of_a_mapping_is_sealed_and_only_it(kernel: Kernel) -> None:
    layout = (anon(0, 2, sealed=True), anon(2, 2))
    seen = kernel.run(layout, madvise(0, 4, "NORMAL"))
    assert seen.after(0).extents() == [(0, 2), (2, 4)]
    assert (seen.after(0).flags(0) & f.SL, seen.after(0).flags(2) & f.SL) == (f.SL, 0)


@pytest.mark.requirement("munmap-sealed")
def test_sealed_memory_is_not_unmapped_or_mapped_over(kernel: Kernel) -> None:
    layout = (anon(0, 2), anon(2, 2, sealed=True))
    over = Mmap(anon(3, 1, prot=Prot.R))
    seen = kernel.run(layout, Munmap(page_address(1), TWO), Munmap(page_address(3), PAGE), over)
    assert seen.results[:2] == (-EPERM, -EPERM)
    assert seen.results[2] < 0
    assert seen.after(2).flags(3) & f.SL
    assert seen.after(2).flags(1) != -1


@pytest.mark.requirement("mprotect-sealed")
def test_the_protection_of_sealed_memory_stays(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 2, sealed=True),), Mprotect(page_address(0), PAGE, Prot.R))
    assert seen.results == (-EPERM,)
    assert seen.after(0).extents() == [(0, 2)]


@pytest.mark.requirement("mremap-sealed")
def test_sealed_memory_is_not_moved(kernel: Kernel) -> None:
    call = Mremap(page_address(0), TWO, TWO, page_address(8))
    seen = kernel.run((anon(0, 2, sealed=True),), call)
    assert seen.results == (-EPERM,)
    assert seen.after(0).extents() == [(0, 2)]
