"""Advice on a range: what happens in each VMA, and the walk over them. Source: mm/madvise.c."""

from __future__ import annotations

from typing import Final

from conformance.abi import vm_flags as f
from conformance.abi.advice import ADVICES, BY_NAME, Family
from conformance.abi.errnos import EFAULT, EHWPOISON, EINVAL, ENOMEM, EPERM
from conformance.model import advice_pages as p
from conformance.model.address_space import PTE_POISON, AddressSpace, Vma
from conformance.model.advice_flags import apply_flags
from conformance.model.huge_pages import collapse
from conformance.model.page_state import NO_MEMORY, populate
from conformance.model.pauses import ASK, DROP, PAGE, READ, WRITE
from conformance.model.stale import taken_away
from conformance.program.places import ARENA_END_MAX
from conformance.program.places import PAGE as PAGE_BYTES
from conformance.spec.cite import cite, met

POPULATE_READ: Final = 22
POPULATE_WRITE: Final = 23
GUARD_INSTALL: Final = 102
_FLAG_ADVICES: Final = frozenset(
    a.value for a in ADVICES if a.family in (Family.FLAGS, Family.MERGE) or a.value in (14, 15)
)
# Done entry by entry of the page table, while the VMA stays what it is.
_PAGE_BY_PAGE: Final = frozenset(
    BY_NAME[name].value
    for name in ("DONTNEED", "DONTNEED_LOCKED", "FREE", "COLD", "PAGEOUT", "REMOVE",
                 "GUARD_INSTALL", "GUARD_REMOVE")
)  # fmt: skip
# These take pages away, and flush the processors' translations only when they are through: pages of
# all VMAs, of process_madvise() all elements (madvise_finish_tlb()).
_ZAPS: Final = frozenset(
    BY_NAME[name].value for name in ("DONTNEED", "DONTNEED_LOCKED", "GUARD_INSTALL")
)
# These let go of the lock in the middle of a VMA.
_LETS_GO: Final = frozenset(BY_NAME[name].value for name in ("WILLNEED", "REMOVE"))
AFTER_ARENA: Final = ARENA_END_MAX // PAGE_BYTES
_DISCARDS: Final = frozenset(a.value for a in ADVICES if a.discard)


def apply_part(space: AddressSpace, vma: Vma, start: int, end: int, advice: int) -> int:
    """Advise pages [start, end), which lie in one VMA: 0 or an errno.

    Source: madvise_vma_behavior(). The VMA may be split, merged or gone afterwards.
    """
    if space.pause is not None and advice in _PAGE_BY_PAGE and not vma.flags & f.HT:
        if end - start > 1:
            return _page_by_page(space, vma, start, end, advice)
        space.pause(PAGE, start, 0)
        if advice in _ZAPS:
            taken_away(space, start)
    if vma.flags & f.SL:
        if advice not in _DISCARDS:
            met("madvise-sealed-harmless")
        elif _seal_refuses(space, vma):
            cite("madvise-sealed")
            return EPERM
    if advice not in _DISCARDS:
        met("madvise-content-kept")
    if advice in _FLAG_ADVICES:
        return apply_flags(space, vma, start, end, advice)
    if advice in (p.DONTNEED, p.DONTNEED_LOCKED, p.FREE):
        return _emptied(space, start, p.dontneed_free(space, vma, start, end, advice))
    if advice == p.COLD:
        return p.cold(space, vma, start, end)
    if advice == p.PAGEOUT:
        return p.pageout(space, vma, start, end)
    if advice == p.WILLNEED:
        return p.willneed(space, vma, start, end)
    if advice == p.REMOVE:
        return p.remove(space, vma, start, end)
    if advice == p.GUARD_INSTALL:
        return _emptied(space, start, p.guard_install(space, vma, start, end))
    if advice == p.GUARD_REMOVE:
        return p.guard_remove(space, vma, start, end)
    if advice == p.COLLAPSE:
        return collapse(space, vma, start, end)
    return populate_part(space, vma, start, end, advice == POPULATE_WRITE)


def _emptied(space: AddressSpace, start: int, error: int) -> int:
    """A sacrificed process may throw away what it needs itself: structs, data and stack."""
    if not error and start >= AFTER_ARENA:
        space.unsure = "what is left of a process that has thrown its own memory away"
    return error


def _seal_refuses(space: AddressSpace, vma: Vma) -> bool:
    """can_madvise_modify() for a discard of a sealed VMA."""
    if not vma.anonymous or (vma.file is not None and not space.facts.sealed_zero_refused):
        met("madvise-sealed-file")
        return False
    if vma.flags & f.WR:
        met("madvise-sealed-writable")
        return False
    return True


def populate_part(
    space: AddressSpace, vma: Vma, start: int, end: int, write: bool, first: bool = True
) -> int:
    """POPULATE in one VMA: check_vma_flags() before any page, then page by page. first: the call of
    madvise_populate() begins here."""
    needed = f.WR if write else f.RD
    if vma.flags & (f.IO | f.PF) or vma.secret or not vma.flags & needed:
        cite("madvise-populate-access")
        if vma.flags & (f.IO | f.PF) or vma.secret:
            met("madvise-populate-kind")
        return EINVAL
    if vma.special:
        space.unsure = "POPULATE of a special mapping"
        return 0
    met("madvise-populate-present")
    if write and not vma.flags & f.SH:
        met("madvise-populate-copies")
    done, signal = populate(space, vma, start, end, write, first)
    if signal == NO_MEMORY:
        cite("allocation-populate")
        return ENOMEM
    if signal and done:
        met("error-partial-stays")
    index = start + done - space.base
    if signal and 0 <= index < space.count and space.pte[index] == PTE_POISON:
        cite("madvise-populate-poison")
        return EHWPOISON
    if signal:
        cite("madvise-populate-fault")
        return EFAULT
    return 0


def _page_by_page(space: AddressSpace, vma: Vma, start: int, end: int, advice: int) -> int:
    """apply_part() in a race: each entry of the page table changes by itself."""
    for page in range(start, end):
        error = apply_part(space, vma, page, page + 1, advice)
        if error:
            return error
    return 0


def take_lock(space: AddressSpace, advice: int, learnt: object) -> None:
    """get_lock_mode(), in a race. Where the kernel can do with the lock of one VMA, the others
    change by steps that could as well have come before or after."""
    if space.pause is not None:
        space.pause(WRITE if advice in _FLAG_ADVICES else READ, 0, learnt)


def drop_lock(space: AddressSpace) -> None:
    """The section that take_lock() began is over."""
    if space.pause is not None:
        space.pause(DROP, 0, None)


def dropped_between(space: AddressSpace, advice: int, learnt: object) -> None:
    """Behind a VMA: some advices let go of the lock, and look the next VMA up afresh."""
    if space.pause is not None and advice in _LETS_GO:
        space.pause(DROP, 0, None)
        space.pause(READ, 0, learnt)


def walk(space: AddressSpace, start: int, end: int, advice: int) -> int:
    """madvise_walk_vmas() over pages [start, end), under the lock: 0 or an errno."""
    if advice in (POPULATE_READ, POPULATE_WRITE):
        return _populate_range(space, start, end, advice == POPULATE_WRITE)
    if space.pause is None:
        return _walk(space, start, end, advice)
    take_lock(space, advice, 0)
    error = _walk(space, start, end, advice)
    drop_lock(space)
    if error in (0, ENOMEM) and may_start_over(space, start, end, advice):
        take_lock(space, advice, error)
        error = _walk(space, start, end, advice)
        drop_lock(space)
    return error


def may_start_over(space: AddressSpace, start: int, end: int, advice: int) -> bool:
    """In a race: does the call go back to where it began, its lock dropped, after much of it was
    done? A guard that finds its pages faulted in again and again does: -ERESTARTNOINTR of
    madvise_guard_install(). To do all of it twice at once is to do it once."""
    if advice != GUARD_INSTALL or space.pause is None:
        return False
    for page in range(start, end):
        if space.pause(ASK, page, None):
            return True
    return False


def _walk(space: AddressSpace, start: int, end: int, advice: int) -> int:
    unmapped = 0
    page = start
    while page < end:
        index = space.find(page)
        if index == len(space.vmas) or space.vmas[index].start >= end:
            cite("madvise-gap-enomem")
            return ENOMEM
        vma = space.vmas[index]
        if page < vma.start:
            cite("madvise-gap-enomem")
            unmapped = ENOMEM
            page = vma.start
        part_end = min(vma.end, end)
        error = apply_part(space, vma, page, part_end, advice)
        if error:
            cite("madvise-error-ends")
            return error
        page = part_end
        if page < end:
            dropped_between(space, advice, unmapped)
    return unmapped


def _populate_range(space: AddressSpace, start: int, end: int, write: bool) -> int:
    """madvise_populate(): no VMA walk, ends at the first hole."""
    page = start
    gap = 0
    twice = -1  # a page that was faulted in, and is looked up again
    while page < end:
        take_lock(space, POPULATE_READ, gap)
        vma = space.at(page)
        if vma is None:
            cite("madvise-populate-gap")
            drop_lock(space)
            if space.facts.populate_stops_at_gap:
                return ENOMEM
            gap = ENOMEM
            index = space.find(page)
            page = space.vmas[index].start if index < len(space.vmas) else end
            continue
        part_end = min(vma.end, end)
        if space.pause is not None:
            part_end = page + 1  # a fault may let go of the lock
        error = populate_part(space, vma, page, part_end, write, page == start)
        drop_lock(space)
        if error:
            return error
        if space.pause is not None and write and vma.flags & f.SH and twice != page:
            twice = page  # VM_FAULT_COMPLETED: done, but the lock was dropped
            continue
        page = part_end
    return gap


def advice_known(space: AddressSpace, advice: int) -> bool:
    """madvise_behavior_valid() on this kernel."""
    return advice in space.facts.advices


__all__ = ["EINVAL", "advice_known", "apply_part", "populate_part", "walk"]
