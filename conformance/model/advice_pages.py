"""Advices on pages: discard, reclaim, guard, remove, collapse. Source: mm/madvise.c."""

from __future__ import annotations

from typing import Final

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EACCES, EBADF, EINVAL, ENOMEM, EOPNOTSUPP
from conformance.model.address_space import (
    NO_COPY,
    PTE_GUARD,
    PTE_MAYBE,
    PTE_NONE,
    PTE_POISON,
    PTE_PRESENT,
    AddressSpace,
    File,
    Vma,
)
from conformance.model.huge_pages import HUGE_PAGES
from conformance.model.page_state import zap
from conformance.model.split_merge import prepare_anon_vma
from conformance.spec.cite import cite, met

# One by one: native code has to know their types before it has read what they are imported into.
WILLNEED: Final = 3
DONTNEED: Final = 4
FREE: Final = 8
REMOVE: Final = 9
COLD: Final = 20
PAGEOUT: Final = 21
DONTNEED_LOCKED: Final = 24
COLLAPSE: Final = 25
GUARD_INSTALL: Final = 102
GUARD_REMOVE: Final = 103


def dontneed_free(space: AddressSpace, vma: Vma, start: int, end: int, advice: int) -> int:
    """madvise_dontneed_free()."""
    if vma.flags & f.HT:
        if advice == FREE:
            cite("madvise-free-hugetlb")
            return EINVAL
        if start % HUGE_PAGES:
            cite("madvise-hugetlb-aligned")
            return EINVAL
        if end % HUGE_PAGES:
            met("madvise-hugetlb-rounded")
        met("madvise-hugetlb-dontneed")
        end -= end % HUGE_PAGES
        zap(space, start, end)
        return 0
    if vma.flags & f.PF:
        cite("madvise-dontneed-locked")
        met("madvise-dontneed-pfn")
        return EINVAL
    if advice != DONTNEED_LOCKED and vma.flags & f.LO:
        cite("madvise-dontneed-locked")
        return EINVAL
    space.take_watched(start, end)
    if advice != FREE:
        cite("madvise-dontneed-content")
        if vma.flags & f.LO:
            met("madvise-dontneed-locked-discards")
        met(_discarded(vma))
        zap(space, start, end)
        return 0
    if not vma.anonymous:
        cite("madvise-free-anon")
        return EINVAL
    cite("madvise-free-content")
    for index in space.arena_span(start, end):
        if space.pte[index] == PTE_POISON:
            space.clear_page(index)
        elif space.copy_of[index] != NO_COPY and space.pte[index] in (PTE_PRESENT, PTE_MAYBE):
            if space.pte[index] == PTE_MAYBE:
                met("madvise-free-swapped")
            space.lazy[index] = True  # what was swapped out is gone at once
    return 0


def _discarded(vma: Vma) -> str:
    """The rule of what a page shows that DONTNEED took away."""
    if vma.flags & f.SH:
        return "madvise-dontneed-shared"
    return "madvise-dontneed-zero" if vma.anonymous else "madvise-dontneed-private-file"


def cold(space: AddressSpace, vma: Vma, start: int, end: int) -> int:
    """madvise_cold(): pages keep content and place."""
    if vma.flags & (f.LO | f.PF | f.HT):
        return _not_on_lists(vma)
    met("madvise-cold-kept")
    if space.facts.lru_gen:
        for index in space.arena_span(start, end):
            if space.pte[index] == PTE_PRESENT:
                space.deactivated.add(index)
    return 0


def _not_on_lists(vma: Vma) -> int:
    """can_madv_lru_vma() is not."""
    cite("madvise-cold-locked")
    if vma.flags & f.PF:
        met("madvise-cold-pfn")
    elif vma.flags & f.HT:
        met("madvise-cold-hugetlb")
    return EINVAL


def pageout(space: AddressSpace, vma: Vma, start: int, end: int) -> int:
    """madvise_pageout(): pages that can be read back may leave the page table."""
    if vma.flags & (f.LO | f.PF | f.HT):
        return _not_on_lists(vma)
    met("madvise-pageout-kept")
    for index in space.arena_span(start, end):
        if space.pte[index] not in (PTE_PRESENT, PTE_MAYBE):
            continue  # what a fault nearby may have mapped is found as well
        backed = space.copy_of[index] == NO_COPY and vma.file is not None and not vma.anonymous
        if backed and vma.file is not None:
            page = vma.file_page(index + space.base)
            if page not in vma.file.content and page not in vma.file.spelled:
                vma.file.dropped.add(page)
        if backed or space.facts.swap or space.lazy[index]:
            space.pte[index] = PTE_MAYBE
            space.why[index] = "reclaim-may-drop"
    return 0


def willneed(space: AddressSpace, vma: Vma, start: int, end: int) -> int:
    """madvise_willneed(): only asks; EBADF for memory without a file on kernels without swap."""
    if vma.file is None and not space.facts.config_swap:
        cite("madvise-willneed-noswap")
        return EBADF
    met("madvise-willneed-kept")
    return 0


def remove(space: AddressSpace, vma: Vma, start: int, end: int) -> int:
    """madvise_remove(): a hole in the file, seen through every mapping of it."""
    if vma.flags & f.LO:
        cite("madvise-remove-locked")
        return EINVAL
    if vma.file is None:
        cite("madvise-remove-file")
        return EINVAL
    if not (vma.flags & f.SH and vma.flags & f.MW):
        cite("madvise-remove-shared")
        if vma.flags & f.MS:  # shared, of a file opened read-only
            met("madvise-remove-maywrite")
        return EACCES
    space.take_watched(start, end)
    file = vma.file
    if vma.secret:
        cite("madvise-remove-unsupported")
        return EOPNOTSUPP
    if file.sealed:
        cite("madvise-remove-sealed")
        return 1
    if file.punch:
        cite("madvise-remove-unsupported")
        return file.punch
    if not file.shmem and space.allocations.fail():  # ext4_punch_hole(), for one
        space.unsure = "which blocks a file system took out before it had no memory"
        return ENOMEM
    cite("madvise-remove-content")
    first, last = vma.file_page(start), vma.file_page(end)
    for page in range(first, min(last, file.pages)):
        file.content.pop(page, None)
        file.spelled.pop(page, None)
        file.cached.discard(page)
    _drop_file_pages(space, file, first, last)
    if space.peer is not None:
        _drop_file_pages(space.peer, file, first, last)
    return 0


def _drop_file_pages(space: AddressSpace, file: File, first: int, last: int) -> None:
    """unmap_mapping_range() without even_cows: private copies and markers stay; of hugetlb only
    whole huge pages go, the rest is zeroed in place."""
    for vma in space.vmas:
        if vma.file is not file:
            continue
        low, high = first, last
        if not vma.flags & f.SH:
            met("madvise-remove-aliases")
        if vma.flags & f.HT:
            low, high = -(-first // HUGE_PAGES) * HUGE_PAGES, last // HUGE_PAGES * HUGE_PAGES
        start = max(vma.start, vma.start + low - vma.pgoff)
        end = min(vma.end, vma.start + high - vma.pgoff)
        for index in space.arena_span(start, end):
            if space.pte[index] == PTE_GUARD:
                met("madvise-remove-guards")
            elif space.copy_of[index] != NO_COPY:
                met("madvise-remove-private-copies")
            else:
                space.clear_page(index)


def guard_install(space: AddressSpace, vma: Vma, start: int, end: int) -> int:
    """madvise_guard_install(): pages go, markers come; `gu` stays for good."""
    if vma.flags & (f.SPECIAL | f.HT | f.LO):
        cite("madvise-guard-kind")
        if not vma.flags & (f.SPECIAL | f.HT):
            met("madvise-guard-locked")
        return EINVAL
    if not vma.anonymous:
        cite("madvise-guard-file")
        if not space.facts.guard_file:
            return EINVAL
    cite("madvise-guard-content")
    if space.facts.guard_flag:
        met("madvise-guard-flag")
        vma.flags |= f.GU
    if not space.facts.guard_flag or vma.anonymous:
        if not vma.anon_vma and space.allocations.fail():
            cite("allocation-guard")
            return ENOMEM
        prepare_anon_vma(space, vma)
    if space.allocations.due and _tables_fail(space, start, end):
        cite("allocation-guard")
        return ENOMEM
    for index in space.arena_span(start, end):
        space.clear_page(index)
        space.pte[index] = PTE_GUARD
    if space.large:
        space.tables.update(range(start // HUGE_PAGES, -(-end // HUGE_PAGES)))
    return 0


def _tables_fail(space: AddressSpace, start: int, end: int) -> bool:
    """Is there no memory for one of the page tables? Then the markers up to it are installed.

    They are put in page by page until a page is in the way; then all are zapped, and it begins
    anew. Source: madvise_guard_install(), walk_pte_range() with install_pte.
    """
    busy = end
    for page in range(start, end):
        index = page - space.base
        if 0 <= index < space.count and space.pte[index] not in (PTE_NONE, PTE_GUARD):
            busy = page
            break
    for table in range(start // HUGE_PAGES, -(-end // HUGE_PAGES)):
        first = max(start, table * HUGE_PAGES)
        if _has_table(space, table) or not space.allocations.fail():
            continue
        if first > busy:
            for index in space.arena_span(start, end):
                if space.pte[index] != PTE_GUARD:
                    space.clear_page(index)
        for index in space.arena_span(start, first):
            space.pte[index] = PTE_GUARD
        return True
    return False


def _has_table(space: AddressSpace, table: int) -> bool:
    """Is there a page table for these 2 MiB, for sure?"""
    span = space.arena_span(table * HUGE_PAGES, (table + 1) * HUGE_PAGES)
    return any(space.pte[index] not in (PTE_NONE, PTE_MAYBE) for index in span)


def guard_remove(space: AddressSpace, vma: Vma, start: int, end: int) -> int:
    """madvise_guard_remove(): allowed on locked and on sealed memory."""
    if vma.flags & (f.SPECIAL | f.HT):
        cite("madvise-guard-kind")
        return EINVAL
    if vma.flags & (f.LO | f.SL):
        met("madvise-guard-remove-locked")
    for index in space.arena_span(start, end):
        if space.pte[index] == PTE_GUARD:
            met("madvise-guard-remove")
            space.pte[index] = PTE_NONE
    return 0
