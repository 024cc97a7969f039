"""MADV_HWPOISON and MADV_SOFT_OFFLINE. Source: madvise_inject_error(), mm/memory-failure.c.

Known is what happens to private anonymous pages that were written: what becomes of zero pages,
files and huge pages depends on what they are to others, and on what was poisoned before.
"""

from __future__ import annotations

from typing import Final

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EFAULT, EPERM
from conformance.model.address_space import (
    NO_COPY,
    PTE_GUARD,
    PTE_POISON,
    PTE_PRESENT,
    AddressSpace,
    Vma,
)
from conformance.spec.cite import cite

HWPOISON, SOFT_OFFLINE = 100, 101
POISON: Final = (HWPOISON, SOFT_OFFLINE)


def inject_error(space: AddressSpace, first: int, pages: int, advice: int) -> int:
    """Page by page, with no look at VMAs but what pinning a page takes: 0 or an errno."""
    if not space.facts.cap_sys_admin:
        cite("madvise-poison-capability")
        return EPERM
    for page in range(first, first + pages):
        vma = space.at(page)
        if vma is None or not vma.flags & f.RD or vma.flags & (f.IO | f.PF) or vma.secret:
            cite("madvise-poison-unmapped")
            return EFAULT
        index = page - space.base
        if 0 <= index < space.count and space.pte[index] in (PTE_GUARD, PTE_POISON):
            cite("madvise-poison-unmapped")
            return EFAULT
        if not _own_page(space, vma, index):
            space.unsure = "memory failure in a page that is not the process's alone"
            return 0
        if advice == SOFT_OFFLINE:
            cite("madvise-soft-offline-content")
            continue
        cite("madvise-hwpoison-kills")
        space.clear_page(index)
        space.pte[index] = PTE_POISON
        space.memory_error = True
    return 0


def _own_page(space: AddressSpace, vma: Vma, index: int) -> bool:
    if space.large or space.peer is not None or not 0 <= index < space.count:
        return False
    if not vma.anonymous or vma.flags & (f.HT | f.DP | f.LO | f.MG | f.UM | f.UW):
        return False
    present = space.pte[index] == PTE_PRESENT and space.copy_of[index] != NO_COPY
    return present and not space.lazy[index]
