"""Memory pressure: what reclaim may take of every mapping. Source: mm/vmscan.c."""

from __future__ import annotations

from conformance.abi import vm_flags as f
from conformance.model.address_space import AddressSpace, File
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
    _shrink(process.space)
    if process.remote is not None:
        _shrink(process.remote)
    for file in process.files:
        _drop_clean(file)
    return 0


def _drop_clean(file: File) -> None:
    """Pages that a file has got and nobody has written hold what it would give again: mapped or
    not, they may go from it (__remove_mapping())."""
    for page in file.cached:
        if page not in file.content and page not in file.spelled:
            file.dropped.add(page)


def _shrink(space: AddressSpace) -> None:
    for vma in space.vmas:
        if not (vma.flags & _STAYS or vma.special or vma.secret):
            pageout(space, vma, vma.start, vma.end)
