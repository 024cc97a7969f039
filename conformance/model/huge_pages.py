"""Transparent huge pages: what a fault may map at once, and MADV_COLLAPSE.

Whether a page table lies where a huge page could be is not always known: faults make one,
munmap() and discards of all of it may free it again. Source: mm/huge_memory.c, mm/khugepaged.c.
"""

from __future__ import annotations

from typing import Final

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EINVAL, ENOMEM
from conformance.model.address_space import (
    NO_COPY,
    PTE_GUARD,
    PTE_MAYBE,
    PTE_NONE,
    PTE_PRESENT,
    AddressSpace,
    Vma,
)
from conformance.model.split_merge import prepare_anon_vma
from conformance.program.kernel_facts import KernelFacts
from conformance.spec.cite import cite, met

HUGE_PAGES: Final = 512  # pages of 4 KiB in a huge page of 2 MiB
UFFD: Final = f.UM | f.UW | f.UI
_UNKNOWN_TABLE: Final = "whether a page table lies where a huge page could be"


def may_be_huge(space: AddressSpace, vma: Vma, page: int) -> bool:
    """Would a fault on this anonymous page ask for a huge one? thp_vma_allowable_order()."""
    thp = space.facts.thp
    if vma.flags & f.NH or not (thp == "always" or (thp == "madvise" and vma.flags & f.HG)):
        return False
    first = page - page % HUGE_PAGES
    return first >= vma.start and first + HUGE_PAGES <= vma.end


def huge_fault(space: AddressSpace, vma: Vma, page: int, write: bool) -> None:
    """do_huge_pmd_anonymous_page(), where no page table is: reads get an anon_vma too, and all
    pages may be there afterwards."""
    first = page - page % HUGE_PAGES
    span = space.arena_span(first, first + HUGE_PAGES)
    known = first // HUGE_PAGES not in space.tables
    if not known:
        if not _empty(space, span):
            return
        if not vma.anon_vma and not write:
            space.unsure = _UNKNOWN_TABLE
            return
    cite("touch-huge")
    prepare_anon_vma(space, vma)
    if vma.flags & f.UM:
        return
    for index in span:
        if space.pte[index] == PTE_NONE:
            space.pte[index] = PTE_MAYBE
            space.why[index] = "huge-page"


def _empty(space: AddressSpace, span: range) -> bool:
    for index in span:
        if space.pte[index] != PTE_NONE:
            return False
    return True


def may_be_scanned(facts: KernelFacts, arena_pages: int) -> bool:
    """Is there room for a huge page, and somebody who looks for such?"""
    return arena_pages > HUGE_PAGES and facts.thp in ("always", "madvise")


def scan(space: AddressSpace) -> None:
    """khugepaged may have come by: it makes one huge page of small ones where at least one is
    there, and missing ones are zero and there afterwards. hpage_collapse_scan_pmd()."""
    for vma in space.vmas:
        if not vma.anonymous or not vma.anon_vma or vma.flags & (f.SPECIAL | f.HT | UFFD):
            continue
        for page in range(-(-vma.start // HUGE_PAGES) * HUGE_PAGES, vma.end, HUGE_PAGES):
            span = space.arena_span(page, page + HUGE_PAGES)
            if not span or not may_be_huge(space, vma, page) or _empty(space, span):
                continue
            if any(space.pte[index] == PTE_GUARD for index in span):
                continue
            for index in span:
                if space.pte[index] == PTE_NONE:
                    met("khugepaged-may-collapse")
                    space.pte[index] = PTE_MAYBE
                    space.why[index] = "khugepaged"


def collapse(space: AddressSpace, vma: Vma, start: int, end: int) -> int:
    """madvise_collapse(): 0 or an errno."""
    first = -(-vma.start // HUGE_PAGES) * HUGE_PAGES
    small = first + HUGE_PAGES > vma.end
    if small or vma.flags & (f.SPECIAL | f.HT | f.NH):
        cite("madvise-collapse-small")
        if vma.flags & (f.SPECIAL | f.HT | f.NH):
            met("madvise-collapse-kind")
        return EINVAL
    if not vma.anonymous:
        space.unsure = "COLLAPSE of a file with room for a huge page"
        return 0
    if not vma.anon_vma and space.facts.collapse_needs_anon_vma:
        cite("madvise-collapse-small")
        met("madvise-collapse-untouched")
        return EINVAL
    low, high = -(-start // HUGE_PAGES) * HUGE_PAGES, end // HUGE_PAGES * HUGE_PAGES
    if low >= high:
        cite("madvise-collapse-small")
        met("madvise-collapse-nothing")
        return EINVAL if low > high and not space.facts.collapse_below_pmd_ok else 0
    if vma.flags & (UFFD | f.DP) or space.peer is not None:
        space.unsure = "COLLAPSE of memory that others look at"
        return 0
    cite("madvise-collapse-content")
    failed = False
    for page in range(low, high, HUGE_PAGES):
        if space.allocations.fail():  # SCAN_ALLOC_HUGE_PAGE_FAIL; what was collapsed stays so
            return ENOMEM
        if not _collapse_one(space, page):
            failed = True
            if not space.facts.collapse_passes_holes:
                break
    return EINVAL if failed else 0


def _collapse_one(space: AddressSpace, page: int) -> bool:
    """Did the pages of one huge page become one? Those that are missing are zero afterwards."""
    span = space.arena_span(page, page + HUGE_PAGES)
    if _empty(space, span):
        met("madvise-collapse-empty")
        if page // HUGE_PAGES in space.tables:
            space.unsure = _UNKNOWN_TABLE
        return False
    for index in span:
        swapped = space.pte[index] == PTE_MAYBE and space.copy_of[index] != NO_COPY
        if space.pte[index] == PTE_GUARD or space.lazy[index] or swapped:
            space.unsure = "COLLAPSE of pages that are more than present or not"
            return True
    for index in span:
        if space.copy_of[index] == NO_COPY:
            space.copy_of[index] = 0
        space.pte[index] = PTE_PRESENT
    space.tables.add(page // HUGE_PAGES)
    return True
