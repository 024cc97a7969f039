"""Pages that are gone, while processors may still use them: a translation lives in the TLB, or in a
page table that is about to be cleared, until the call that takes it away flushes it.

Source: madvise_finish_tlb() for advice, vms_clear_ptes() for munmap(), which others see without
VMAs by then.
"""

from __future__ import annotations

from conformance.abi import vm_flags as f
from conformance.model.address_space import NO_COPY, PTE_MAYBE, PTE_PRESENT, AddressSpace
from conformance.model.page_state import file_bytes
from conformance.model.pauses import STALE, USES_STALE
from conformance.program.places import PAGE
from conformance.program.race import WORD


def taken_away(space: AddressSpace, page: int) -> None:
    """In a race: this page is about to go. Tells of it if an access could get through: where it is
    mapped, and as its entry allows. What has no page of its own shows the zero page or a page of
    the cache, read-only."""
    index = page - space.base
    vma = space.at(page)
    if vma is None or space.pause is None or not 0 <= index < space.count:
        return
    if vma.flags & f.RD and space.pte[index] in (PTE_PRESENT, PTE_MAYBE):
        own = vma.flags & f.SH or space.copy_of[index] != NO_COPY
        space.pause(STALE, page, bool(vma.flags & f.WR and own))
        space.behind_stale.pop(page, None)
        if vma.flags & f.SH and vma.file is not None:
            space.behind_stale[page] = (vma.file, vma.file_page(page))


def goes_there(space: AddressSpace, page: int, write: bool) -> bool:
    """Does an access use what another call has taken away, and not flushed?"""
    return space.pause is not None and space.pause(USES_STALE, page, write)


def store_there(space: AddressSpace, address: int, value: int) -> bool:
    """Does a word go to what another call has taken away? A file keeps it, of private memory
    nobody sees it any more."""
    page, offset = divmod(address, PAGE)
    if not goes_there(space, page, True):
        return False
    file, number = space.behind_stale.get(page, (None, 0))
    if file is not None and (not file.shmem or number in file.cached):  # else REMOVE was here since
        file_bytes(file, number)[offset : offset + WORD] = value.to_bytes(WORD, "little")
    return True
