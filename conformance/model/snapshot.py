"""What a snapshot must show of an address space."""

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
    Vma,
)
from conformance.model.page_state import WORDS, look, reading_faults, spell
from conformance.model.prediction import ExpectedSnapshot
from conformance.program.content import TORN
from conformance.program.outcome import (
    PAGE_GUARD,
    PAGE_PRESENT,
    PAGE_READ,
    PAGE_SWAP,
    PAGE_UNREADABLE,
)
from conformance.program.places import PAGE

FILE_BIT: Final = 1 << 63
ALL_BITS: Final = (1 << 37) - 1
SEEN: Final = PAGE_PRESENT | PAGE_READ


def expect_snapshot(
    space: AddressSpace, step: int, child: bool, read_all: bool
) -> ExpectedSnapshot:
    """The arena of this address space as Outcome.Snapshot would have it."""
    vmas: list[int] = []
    pages = [0] * space.count
    out = ExpectedSnapshot(step, child, vmas, pages)
    base, end = space.base, space.base + space.count
    plain = not space.covered
    shown = -1 if space.facts.lockonfault_shown else ~f.LF
    for vma in space.vmas:
        if vma.start >= end:
            continue
        pgoff = FILE_BIT | vma.pgoff if vma.file is not None else 0
        vmas += (vma.start * PAGE, vma.end * PAGE, vma.flags & shown, pgoff)
        readable = vma.flags & f.RD
        for index in range(max(vma.start - base, 0), min(vma.end - base, space.count)):
            if vma.special:
                out.page_masks[index] = 0
                continue
            pte = space.pte[index]
            if pte == PTE_NONE and not read_all:
                continue
            copy = space.copy_of[index]
            if pte == PTE_PRESENT and copy >= 0 and readable and plain and not space.lazy[index]:
                pages[index] = SEEN | copy  # the usual page: a private copy of one write
                continue
            if pte == PTE_GUARD:
                pages[index] = PAGE_GUARD | (PAGE_UNREADABLE if read_all and readable else 0)
                out.page_masks[index] = ALL_BITS & ~PAGE_SWAP
                continue
            if pte == PTE_POISON:  # an entry that is told as swapped out
                pages[index] = PAGE_SWAP | (PAGE_UNREADABLE if read_all and readable else 0)
                continue
            _expect_page(space, vma, index, out, read_all)
    return out


def _expect_page(
    space: AddressSpace, vma: Vma, index: int, out: ExpectedSnapshot, read_all: bool
) -> None:
    pte = space.pte[index]
    word = 0 if pte == PTE_NONE else PAGE_PRESENT
    if vma.flags & f.RD:
        if pte == PTE_NONE and reading_faults(space, vma, index):
            word |= PAGE_UNREADABLE
        else:
            word |= PAGE_READ | content(space, vma, index)
            if pte == PTE_NONE and vma.file is not None:
                vma.file.cached.add(vma.file_page(index + space.base))  # by the look itself
    out.pages[index] = word
    if pte != PTE_PRESENT and _reclaim_decides(space, vma, index):
        out.page_masks[index] = PAGE_GUARD
        out.reasons[index] = "reclaim-may-drop"
        return
    if pte == PTE_MAYBE:
        free = PAGE_PRESENT | PAGE_SWAP | (0 if read_all else PAGE_READ)
        out.page_masks[index] = ALL_BITS & ~free
        out.reasons[index] = space.why.get(index, "")
        if read_all and vma.flags & f.UM:
            out.page_alternatives[index] = (PAGE_UNREADABLE,)
    if space.lazy[index]:
        zero = PAGE_PRESENT | (word & PAGE_READ)
        gone = 0
        if read_all:  # thrown away, and read again: by userfaultfd's leave
            gone = PAGE_UNREADABLE if vma.flags & f.UM else zero & ~PAGE_PRESENT
        out.page_alternatives[index] = (zero, gone)
        out.reasons[index] = "droppable" if vma.flags & f.DP else "lazy-free"


def _reclaim_decides(space: AddressSpace, vma: Vma, index: int) -> bool:
    """Missing in a file that userfaultfd watches, or not: as reclaim left it."""
    file = vma.file
    if file is None or not file.dropped or not vma.flags & f.UM:
        return False
    return vma.file_page(index + space.base) in file.dropped


def content(space: AddressSpace, vma: Vma, index: int) -> int:
    """The content tag of a page, as program.content defines it."""
    copy = space.copy_of[index]
    covered = space.covered.get(index)
    if copy >= 0 and covered is None:
        return copy
    if copy == NO_COPY and covered is None:
        file = vma.file
        if file is None or vma.anonymous:
            return 0
        page = vma.file_page(index + space.base)
        if page not in file.spelled:
            return file.content.get(page, 0)
    if copy >= 0:
        return page_tag(spell(copy), covered or [])
    if copy == BYTES:
        return page_tag(space.bytes[index], covered or [])
    return page_tag(look(space, vma, index + space.base), covered or [])


def page_tag(data: bytes | bytearray, covered: list[tuple[int, int]]) -> int:
    """The tag of a page's bytes; words that a struct covers are not looked at."""
    seen = bytearray(data)
    hidden = set()
    for offset, size in covered:
        for word in range(offset // 8 * 8, offset + size, 8):
            hidden.add(word)
            seen[word : word + 8] = bytes(8)
    tags = set()
    for at in WORDS:
        if at not in hidden:
            tags.add(int.from_bytes(seen[at : at + 8], "little"))
            seen[at : at + 8] = bytes(8)
    if any(seen) or len(tags) > 1:
        return TORN
    tag = tags.pop() if tags else 0
    return tag if tag < TORN else TORN
