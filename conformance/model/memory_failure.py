"""MADV_HWPOISON and MADV_SOFT_OFFLINE. Source: madvise_inject_error(), mm/memory-failure.c.

Known is what happens to pages that are the process's alone and to the zero page: what becomes of
pages of files that are poisoned, and of huge pages, depends on what they are to others.
"""

from __future__ import annotations

from typing import Final

from conformance.abi import vm_flags as f
from conformance.abi.errnos import (
    EBUSY,
    EFAULT,
    EHWPOISON,
    EIO,
    ENOMEM,
    ENOTRECOVERABLE,
    EPERM,
)
from conformance.model.address_space import (
    NO_COPY,
    PTE_GUARD,
    PTE_MAYBE,
    PTE_NONE,
    PTE_POISON,
    PTE_PRESENT,
    AddressSpace,
    Vma,
)
from conformance.model.allowed import Alternative
from conformance.model.page_state import NO_MEMORY, fault, reading_faults
from conformance.program.outcome import MEMORY_ERROR
from conformance.spec.cite import cite

HWPOISON, SOFT_OFFLINE = 100, 101
POISON: Final = (HWPOISON, SOFT_OFFLINE)
_NOT_ALONE: Final = "memory failure in a page that is not the process's alone"
_ZERO: Final = "zero-page"
_BATCH: Final = "lru-batch"


def inject_error(space: AddressSpace, first: int, pages: int, advice: int) -> int:
    """Page by page, with no look at VMAs but what pinning a page takes: 0 or an errno.

    What else it may be is left in space.choices.
    """
    if not space.facts.cap_sys_admin:
        cite("madvise-poison-capability")
        return EPERM
    waiting = space.deactivated and advice == SOFT_OFFLINE
    for page in range(first, first + pages):
        if waiting and page - space.base in space.deactivated:
            return _offline_waiting_page(space, page, first + pages - page)
        vma = _pin(space, page)
        if isinstance(vma, int):
            if vma == EFAULT:
                cite("madvise-poison-unmapped")
            return vma
        index = page - space.base
        if _may_be_shared(space, vma, index):
            space.unsure = _NOT_ALONE
            return 0
        if vma.anonymous and space.copy_of[index] == NO_COPY:
            cite("madvise-poison-zero")
            if advice == HWPOISON:
                return _poison_zero_page(space)
            if space.zero_poisoned:
                continue
            return _offline_zero_page(space, range(page + 1, first + pages))
        if advice == SOFT_OFFLINE:
            if space.allocations.fail():  # where the page is to go: migrate_pages()
                return ENOMEM
            cite("madvise-soft-offline-content")
            continue
        if space.copy_of[index] == NO_COPY:
            space.unsure = _NOT_ALONE
            return 0
        if space.allocations.fail():  # add_to_kill()
            space.unsure = "who is told of a page that is lost, without memory for the list of them"
            return 0
        cite("madvise-hwpoison-kills")
        space.clear_page(index)
        space.pte[index] = PTE_POISON
        space.memory_error = True
    return 0


def _offline_waiting_page(space: AddressSpace, page: int, pages: int) -> int:
    """From a page on that a batch may have hold of: the call ends there, or it goes on. Source:
    folio_deactivate(), lru_deactivate_fn(); soft_offline_in_use_page() of what it cannot isolate or
    migrate. On 6.12 and 7.3 the call was EBUSY each time, and never where lru_add_drain() had been
    in between: COLD or PAGEOUT of any other page begins with it."""
    waiting = {index + space.base for index in space.deactivated}
    space.deactivated.clear()
    alike = all(
        0 <= other - space.base < space.count and space.pte[other - space.base] == PTE_PRESENT
        for other in range(page, page + pages)
    )
    result = inject_error(space, page, pages, SOFT_OFFLINE)
    space.deactivated.update(other - space.base for other in waiting)
    if not space.unsure:
        space.choices = (*space.choices, Alternative(-EBUSY, _BATCH, alike))
    return result


def _pin(space: AddressSpace, page: int) -> Vma | int:
    """get_user_pages_fast() for reading: the VMA of a page that is there now, or an errno."""
    vma = space.at(page)
    if vma is None or not vma.flags & f.RD or vma.flags & (f.IO | f.PF) or vma.secret:
        return EFAULT
    signal = fault(space, vma, page, False)
    if signal == NO_MEMORY:
        return ENOMEM
    return EFAULT if signal else vma


def _may_be_shared(space: AddressSpace, vma: Vma, index: int) -> bool:
    """Is it a page whose fate depends on others, or that is more than a page?"""
    if space.large or space.peer is not None or not 0 <= index < space.count:
        return True
    return bool(vma.special or vma.flags & (f.HT | f.MG) or space.lazy[index])


def _poison_zero_page(space: AddressSpace) -> int:
    """It can be taken from nobody: the first who tries is told so, later ones are killed."""
    if space.zero_poisoned:
        space.memory_error = True
        return EHWPOISON
    space.zero_poisoned = True
    killed = Alternative(-EHWPOISON - MEMORY_ERROR, _ZERO, alike=True)
    space.choices = (killed,)
    return EBUSY


def _offline_zero_page(space: AddressSpace, rest: range) -> int:
    """An error, or no look at it where it is poisoned: then the rest of the range comes next, and
    anonymous pages that it lacks may be read in or not."""
    then, alike = 0, True
    for page in rest:
        vma = space.at(page)
        if vma is not None and _may_be_shared(space, vma, page - space.base):
            space.unsure = _NOT_ALONE
            return 0
        if vma is None or not _could_pin(space, vma, page):
            then = -EFAULT
            break
        index = page - space.base
        if space.pte[index] == PTE_NONE:
            alike = alike and vma.anonymous
            if vma.anonymous:
                space.pte[index] = PTE_MAYBE
                space.why[index] = _ZERO
    space.choices = (Alternative(then, _ZERO, alike),)
    return ENOTRECOVERABLE if space.facts.offline_notrecoverable else EIO


def _could_pin(space: AddressSpace, vma: Vma, page: int) -> bool:
    """_pin() would find a page there, in memory that is private and anonymous or of a file."""
    if not vma.flags & f.RD or vma.flags & (f.IO | f.PF) or vma.secret:
        return False
    index = page - space.base
    if space.pte[index] in (PTE_GUARD, PTE_POISON):
        return False
    return space.pte[index] == PTE_PRESENT or not reading_faults(space, vma, index)
