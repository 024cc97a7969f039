"""Memory pressure: what reclaim may take of every mapping. Source: mm/vmscan.c."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from conformance.abi import vm_flags as f
from conformance.model.address_space import NO_COPY, PTE_PRESENT, AddressSpace, File, Vma
from conformance.model.advice_pages import pageout
from conformance.model.process import Process
from conformance.spec.cite import cite

_STAYS = f.LO | f.PF | f.HT  # on no list that reclaim walks, or refused by folio_referenced()


def reclaim(process: Process) -> int:
    """memory.reclaim of the cgroup that all processes of the program are in; always 0.

    shrink_folio_list() may take any page that can be read back, as PAGEOUT may, and is as free
    to leave it.
    """
    cite("reclaim-effect")
    spaces = [process.space] if process.remote is None else [process.space, process.remote]
    for space in spaces:
        _shrink(space)
    for file in process.files:
        _drop_clean(file, spaces)
    return 0


def _drop_clean(file: File, spaces: Sequence[AddressSpace]) -> None:
    """Pages that a file has got and nobody has written hold what it would give again: mapped or
    not, they may go from it (__remove_mapping()), unless someone has locked them."""
    locked: set[int] = set()
    for space in spaces:
        for vma in space.vmas:
            if vma.file is file and vma.flags & f.LO:
                locked.update(_mapped_pages(space, vma))
    for page in file.cached - locked:
        if page not in file.content and page not in file.spelled:
            file.dropped.add(page)


def _mapped_pages(space: AddressSpace, vma: Vma) -> Iterator[int]:
    """Of its file, those that it maps for sure, and not a copy."""
    for index in space.arena_span(vma.start, vma.end):
        if space.pte[index] == PTE_PRESENT and space.copy_of[index] == NO_COPY:
            yield vma.file_page(index + space.base)


def _shrink(space: AddressSpace) -> None:
    for vma in space.vmas:
        if not (vma.flags & _STAYS or vma.special or vma.secret):
            pageout(space, vma, vma.start, vma.end)
