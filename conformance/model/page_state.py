"""What accesses and discards do to single pages. Source: mm/memory.c, mm/gup.c."""

from __future__ import annotations

from typing import Final

from conformance.abi import vm_flags as f
from conformance.model.address_space import (
    BYTES,
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
from conformance.model.huge_pages import HUGE_PAGES, huge_fault, may_be_huge
from conformance.model.split_merge import prepare_anon_vma
from conformance.program.places import PAGE
from conformance.spec.cite import cite, met

SIGBUS: Final = 7
SIGSEGV: Final = 11
_WATCHED: Final = "a page that is watched, and that reclaim may have taken"
NO_MEMORY: Final = 256  # stands for a signal: a fault that could not allocate (VM_FAULT_OOM)
PLAIN_MASK: Final = f.WR | f.HT | f.UM | f.DP
PLAIN: Final = f.WR  # writable, and a missing page is simply made
WORDS: Final = (0, 2040, 4088)
STACK_GUARD_PAGES: Final = 256  # stack_guard_gap


def fault(space: AddressSpace, vma: Vma, page: int, write: bool) -> int:
    """An access that the VMA's protection allows: 0, or the signal it ends with, or NO_MEMORY.

    Source: handle_pte_fault(). Anonymous reads map the zero page and need no anon_vma.
    """
    index = page - space.base
    if index < 0 or index >= space.count:
        return 0
    pte = space.pte[index]
    if pte == PTE_GUARD:
        cite("guard-fatal")
        return SIGSEGV
    if pte == PTE_POISON:
        cite("madvise-hwpoison-kills")
        return SIGBUS
    if pte == PTE_PRESENT:
        if write and not vma.flags & f.SH and space.copy_of[index] == NO_COPY:
            if space.allocations.fail():
                return NO_MEMORY
            prepare_anon_vma(space, vma)
            if space.allocations.fail():
                return NO_MEMORY
            space.copy_of[index] = _shown(space, vma, page)
            space.lazy[index] = bool(vma.flags & f.DP)
        if write and not space.own(index):
            return NO_MEMORY
        return 0
    if vma.special:  # of perf only the first page may be written: perf_mmap_pfn_mkwrite()
        return SIGBUS if write and vma.file is not None and vma.file_page(page) else 0
    if space.allocations.fail():  # a page table, or what comes before anything else
        return NO_MEMORY
    if vma.flags & f.HT:
        return _huge_fault(space, vma, page, write)
    if pte == PTE_MAYBE and space.copy_of[index] != NO_COPY:
        if vma.flags & f.UM:
            space.unsure = "a page of userfaultfd that reclaim may have thrown away"
        space.pte[index] = PTE_PRESENT
        if write and not space.own(index):
            return NO_MEMORY
        return 0
    if space.large:
        if vma.anonymous and may_be_huge(space, vma, page):
            huge_fault(space, vma, page, write)
            pte = space.pte[index]
        space.tables.add(page // HUGE_PAGES)
    file = vma.file
    if vma.anonymous or file is None:
        if vma.flags & f.UM and pte == PTE_MAYBE:
            space.unsure = "a page of userfaultfd that may be there already"
        if write:  # before anything else can fail: do_anonymous_page()
            prepare_anon_vma(space, vma)
            if space.allocations.fail():
                return NO_MEMORY
        if vma.flags & f.UM:
            cite("touch-uffd")
            return SIGBUS
        if space.watched_from <= page < space.watched_to:
            if pte == PTE_MAYBE:
                space.unsure = _WATCHED
            space.slept = True
            prepare_anon_vma(space, vma)  # UFFDIO_ZEROPAGE does, for reads too
        if write:
            if vma.flags & f.DP:
                met("droppable-may-go")
            space.copy_of[index] = 0
            space.lazy[index] = bool(vma.flags & f.DP)
        space.pte[index] = PTE_PRESENT
        return 0
    return _file_fault(space, vma, page, write, file)


def _file_fault(space: AddressSpace, vma: Vma, page: int, write: bool, file: File) -> int:
    """do_fault(): of a page that its file has, or has to make."""
    index = page - space.base
    file_page = vma.file_page(page)
    private_write = write and not vma.flags & f.SH
    if private_write:  # before the file is asked: do_cow_fault()
        prepare_anon_vma(space, vma)
        if space.allocations.fail():
            return NO_MEMORY
    if not private_write:
        _fault_around(space, vma, page, write)
    if file_page >= file.pages:
        cite("touch-beyond-eof")
        return SIGBUS
    if vma.flags & f.UM and file.shmem and _uffd_missing(space, file, file_page):
        return SIGBUS
    if space.watched_from <= page < space.watched_to and file.shmem:
        if file_page in file.dropped:
            space.unsure = _WATCHED
        space.slept = space.slept or file_page not in file.cached
    if file.dropped:
        file.dropped.discard(file_page)
    file.cached.add(file_page)
    if space.allocations.fail():  # the file has the page, the process not yet: finish_fault()
        return NO_MEMORY
    if private_write:
        space.copy_of[index] = _shown(space, vma, page)
    space.pte[index] = PTE_PRESENT
    return 0


def _uffd_missing(space: AddressSpace, file: File, file_page: int) -> bool:
    """Is a page of a file that userfaultfd watches one that it has to make?"""
    if file_page in file.dropped:
        space.unsure = "a page of userfaultfd that reclaim may have taken from its file"
    if file_page in file.cached:
        return False
    cite("touch-uffd")
    return True


def _huge_fault(space: AddressSpace, vma: Vma, page: int, write: bool) -> int:
    """hugetlb_fault(): a whole huge page at once; private ones are anonymous from the start."""
    first = page - page % HUGE_PAGES
    private = not vma.flags & f.SH
    if vma.flags & f.UM:
        return SIGBUS
    if private:
        prepare_anon_vma(space, vma)
    for index in space.arena_span(first, first + HUGE_PAGES):
        if space.pte[index] == PTE_NONE:
            space.pte[index] = PTE_PRESENT
            if private:
                space.copy_of[index] = 0
    return 0


def _fault_around(space: AddressSpace, vma: Vma, page: int, write: bool) -> None:
    """Neighbours that a fault on the file's own page may map with it, if they are cached.

    A read: an aligned window, do_fault_around(). A file system with large folios may map all
    of one, which may be as large as what is mapped here, on a shared write too: finish_fault().
    """
    file = vma.file
    if file is None or vma.secret or vma.flags & (f.UW | f.UI):
        return
    table = page & ~511
    why = "fault-around"
    if not file.shmem and not vma.flags & f.UM:
        low, high = max(vma.start, table), min(vma.end, table + 512)
        why = "large-folio"
    elif write or space.facts.fault_around_pages <= 1:
        return
    else:
        window = space.facts.fault_around_pages
        low = max(page // window * window, vma.start)
        high = min(low + window, vma.end, table + 512)
    for other in space.arena_span(low, high):
        if space.pte[other] == PTE_NONE:
            file_page = vma.file_page(other + space.base)
            if file_page < file.pages and (not file.shmem or file_page in file.cached):
                met("touch-neighbours")
                space.pte[other] = PTE_MAYBE
                space.why[other] = why


def _shown(space: AddressSpace, vma: Vma, page: int) -> int:
    """The content that a private copy starts with: a tag, or BYTES with the bytes copied."""
    file = vma.file
    if file is None or vma.anonymous:
        return 0
    file_page = vma.file_page(page)
    spelled = file.spelled.get(file_page)
    if spelled is not None:
        space.bytes[page - space.base] = bytearray(spelled)
        return BYTES
    return file.content.get(file_page, 0)


def reading_faults(space: AddressSpace, vma: Vma, index: int) -> bool:
    """Would a read of this page, which is not mapped, end in a signal?"""
    if vma.anonymous or vma.file is None:
        return bool(vma.flags & f.UM)
    page = vma.file_page(index + space.base)
    if page >= vma.file.pages:
        return True
    return bool(vma.flags & f.UM) and vma.file.shmem and page not in vma.file.cached


def touch_run(space: AddressSpace, first: int, pages: int, write: bool, tag: int) -> int:
    """Accesses to pages one after the other, as call.TouchPages: the pages accessed, or
    -(signal << 16 | pages before it). Page i gets the tag `tag` + i."""
    done = 0
    while done < pages:
        vma = space.at(first + done)
        if (
            vma is not None
            and write
            and vma.anonymous
            and vma.flags & PLAIN_MASK == PLAIN
            and (not space.large)
        ):
            # The usual run: fresh private memory, nothing in the way.
            end = min(first + pages, vma.end, space.base + space.count)
            while first + done < end:
                index = first + done - space.base
                if space.pte[index] != PTE_NONE:
                    break
                prepare_anon_vma(space, vma)
                space.pte[index] = PTE_PRESENT
                space.copy_of[index] = tag + done
                done += 1
            if done == pages:
                break
        signal = touch(space, first + done, write, tag + done)
        if signal:
            return -(signal << 16 | done)
        done += 1
    return pages


def touch(space: AddressSpace, page: int, write: bool, tag: int) -> int:
    """One access by the program itself: 0, or the signal. A write stores `tag`."""
    vma = space.at(page)
    if vma is None:
        vma = grow_down(space, page)
        if vma is None:
            cite("touch-denied")
            return SIGSEGV
    needed = f.WR if write else f.RD
    if not vma.flags & needed:
        cite("touch-denied")
        return SIGSEGV
    signal = fault(space, vma, page, write)
    if signal == 0 and write:
        store_tag(space, vma, page, tag)
    return signal


def grow_down(space: AddressSpace, page: int) -> Vma | None:
    """expand_stack(): a MAP_GROWSDOWN VMA above the page takes it in, where it may."""
    index = space.find(page)
    if index >= len(space.vmas):
        return None
    vma = space.vmas[index]
    if not vma.flags & f.GD:
        return None
    if index > 0:
        prev = space.vmas[index - 1]
        if not prev.flags & f.GD and prev.flags & f.ACCESS and page - prev.end < STACK_GUARD_PAGES:
            return None
    cite("touch-grows-down")
    prepare_anon_vma(space, vma)
    vma.pgoff -= vma.start - page
    vma.start = page
    return vma


def store_tag(space: AddressSpace, vma: Vma, page: int, tag: int) -> None:
    """The three words of a page get a tag. The page has been faulted in for writing."""
    index = page - space.base
    if vma.flags & f.SH and vma.file is not None:
        spelled = vma.file.spelled.get(vma.file_page(page))
        if spelled is None:
            vma.file.content[vma.file_page(page)] = tag
        else:
            _put_tag(spelled, tag)
        return
    if space.lazy[index] and not vma.flags & f.DP:
        met("madvise-free-rewritten")
    space.lazy[index] = bool(vma.flags & f.DP)
    if space.copy_of[index] == BYTES:
        _put_tag(space.bytes[index], tag)
    else:
        space.copy_of[index] = tag


def _put_tag(data: bytearray, tag: int) -> None:
    for at in WORDS:
        data[at : at + 8] = tag.to_bytes(8, "little")


def page_bytes(space: AddressSpace, vma: Vma, page: int) -> bytearray:
    """The page spelled out, to be written to: from now on it is kept byte by byte."""
    index = page - space.base
    if index < 0:
        return bytearray(PAGE)  # below the arena: nobody looks there
    file = vma.file
    if vma.flags & f.SH and file is not None:
        return file_bytes(file, vma.file_page(page))
    if vma.flags & f.DP:  # else lazy stays: what is written around may be the old or zero
        space.lazy[index] = True
    if space.copy_of[index] != BYTES:
        space.bytes[index] = spell(space.copy_of[index])
        space.copy_of[index] = BYTES
    return space.bytes[index]


def file_bytes(file: File, file_page: int) -> bytearray:
    """A page of a file spelled out, to be written to."""
    data = file.spelled.get(file_page)
    if data is None:
        data = spell(file.content.get(file_page, 0))
        file.spelled[file_page] = data
    return data


def spell(tag: int) -> bytearray:
    """A page that holds a tag, as bytes."""
    data = bytearray(PAGE)
    if tag:
        _put_tag(data, tag)
    return data


def look(space: AddressSpace, vma: Vma, page: int) -> bytes | bytearray:
    """The bytes of a page as a reader finds them; a stack's new pages are zero."""
    index = page - space.base
    if index < 0:
        return spell(0)
    copy = space.copy_of[index]
    if copy == BYTES:
        return space.bytes[index]
    if copy != NO_COPY:
        return spell(copy)
    file = vma.file
    if file is None or vma.anonymous:
        return spell(0)
    spelled = file.spelled.get(vma.file_page(page))
    if spelled is not None:
        return spelled
    return spell(file.content.get(vma.file_page(page), 0))


def zap(space: AddressSpace, start: int, end: int) -> None:
    """zap_page_range_single(): page table entries go, guard markers stay."""
    for index in space.arena_span(start, end):
        if space.pte[index] != PTE_GUARD:
            space.clear_page(index)
        else:
            met("madvise-dontneed-guards")


def unmap_pages(space: AddressSpace, start: int, end: int) -> None:
    """munmap(): everything goes, markers too."""
    for index in space.arena_span(start, end):
        space.clear_page(index)


def populate(
    space: AddressSpace, vma: Vma, start: int, end: int, write: bool, first: bool = True
) -> tuple[int, int]:
    """Fault pages in as get_user_pages() does: (pages done, signal that stopped it or 0).

    first: the call begins here. A fault without memory ends it only at its first page: where pages
    were done, __get_user_pages() gives their number, and madvise_populate() goes on behind them.
    """
    held = 0
    for page in range(start, end):
        if page > start or not first:
            held, space.allocations.due = held or space.allocations.due, 0
        signal = fault(space, vma, page, write)
        if signal:
            if held:  # it is asked for again, and now the call begins there
                space.allocations.due = held
                signal = fault(space, vma, page, write)
            return page - start, signal
        if page - space.base >= space.count and page >= space.base:
            break
    space.allocations.due = space.allocations.due or held
    return end - start, 0
