"""The state of one process: its VMAs, what each arena page holds, and the files behind.

Pages are absolute page numbers (address >> 12). Page contents are kept for the arena only;
what lies elsewhere (a program with `whole`) is known as VMAs alone.
"""

from __future__ import annotations

from typing import Final

from conformance.model.allocations import Allocations
from conformance.model.allowed import Alternative
from conformance.model.pauses import Pause
from conformance.program.content import FILE_TAG
from conformance.program.kernel_facts import KernelFacts
from conformance.program.places import ARENA_BASE, PAGE

PAGE_SHIFT: Final = 12
ARENA_FIRST: Final = ARENA_BASE >> PAGE_SHIFT

# What the page table says of a page.
PTE_NONE: Final = 0
PTE_PRESENT: Final = 1
PTE_GUARD: Final = 2
PTE_MAYBE: Final = 3  # present or not: the kernel may choose (reason in AddressSpace.why)
PTE_POISON: Final = 4  # MADV_HWPOISON took the page

LARGE_PAGES: Final = 512  # an arena of so many pages has room for a huge page

NO_COPY: Final = -1  # the page has no private copy: it shows the file, or zeros
BYTES: Final = -2  # the private copy is spelled out in AddressSpace.bytes


class File:
    """What a mapping shows: a file slot, the object behind shared anonymous memory, and so on.

    content: the tag of each page that is not zero; cached: pages in the page cache, for files
    that a missing page of userfaultfd is decided by (shmem); dropped: of these, pages that were
    clean when PAGEOUT was asked for and may have left it. spelled: pages written byte by byte.
    shmem: memfd, tmpfs, shared anonymous. punch: the errno of FALLOC_FL_PUNCH_HOLE, or 0.
    """

    __slots__ = (
        "name", "pages", "content", "cached", "dropped", "spelled", "shmem", "punch", "sealed",
        "own_area", "device",
    )  # fmt: skip

    def __init__(self, name: str, pages: int, shmem: bool) -> None:
        self.name = name
        self.pages = pages
        self.content: dict[int, int] = {}
        self.cached: set[int] = set()
        self.dropped: set[int] = set()
        self.spelled: dict[int, bytearray] = {}
        self.shmem = shmem
        self.punch = 0
        self.sealed = False
        self.own_area = False  # its file_operations choose addresses: mremap() moves it alone
        self.device = False  # /dev/zero: nothing behind

    def fill(self, slot: int) -> None:
        """Put the initial pattern of a tmpfs or disk slot into every page."""
        for page in range(self.pages):
            self.content[page] = FILE_TAG | (slot << 16) | (page + 1)
            self.cached.add(page)


class Vma:
    """struct vm_area_struct, as far as it shows. start, end, pgoff in pages.

    anonymous: vma_is_anonymous(), true of private /dev/zero too. anon_vma: an identity, 0 for
    none, negative where a fork made it. special: it forbids splitting (vm_special_mapping).
    secret: secretmem. handle: which open file it was mapped from, since two opens of one file do
    not merge. shift: by how many pages the anonymous offset of a private file mapping exceeds its
    place (anon_pgoff_apart).
    """

    __slots__ = ("start", "end", "flags", "pgoff", "file", "anonymous", "anon_vma", "special",
                 "secret", "handle", "shift")  # fmt: skip

    def __init__(
        self, start: int, end: int, flags: int, pgoff: int, file: File | None, anonymous: bool
    ) -> None:
        self.start = start
        self.end = end
        self.flags = flags
        self.pgoff = pgoff
        self.file = file
        self.anonymous = anonymous
        self.anon_vma = 0
        self.special = False
        self.secret = False
        self.handle = 0
        self.shift = 0

    def copy(self, start: int, end: int) -> Vma:
        """The part [start, end) as a VMA of its own, with pgoff to match."""
        new = Vma(
            start, end, self.flags, self.pgoff + start - self.start, self.file, self.anonymous
        )
        new.anon_vma = self.anon_vma
        new.special = self.special
        new.secret = self.secret
        new.handle = self.handle
        new.shift = self.shift
        return new

    def file_page(self, page: int) -> int:
        """Which page of the file an absolute page shows."""
        return self.pgoff + page - self.start


class AddressSpace:
    """One mm_struct. vmas is sorted by address and never overlaps."""

    __slots__ = ("facts", "vmas", "base", "count", "pte", "copy_of", "lazy", "bytes", "covered",
                 "next_anon_vma", "why", "unsure", "default_flags", "peer", "large",
                 "tables", "memory_error", "allocations", "pause", "behind_stale", "choices",
                 "deactivated", "shared",
                 "zero_poisoned", "watched_from", "watched_to", "slept", "storm")  # fmt: skip

    def __init__(self, facts: KernelFacts, pages: int) -> None:
        self.facts = facts
        self.vmas: list[Vma] = []
        self.base = ARENA_FIRST
        self.count = pages
        self.pte: list[int] = [PTE_NONE] * pages
        self.copy_of: list[int] = [NO_COPY] * pages
        self.lazy: list[bool] = [False] * pages
        self.bytes: dict[int, bytearray] = {}  # arena page -> its bytes, where copy_of is BYTES
        self.covered: dict[int, list[tuple[int, int]]] = {}  # arena page -> struct extents
        self.next_anon_vma = 1
        self.why: dict[int, str] = {}  # arena page -> reason of PTE_MAYBE
        self.peer: AddressSpace | None = None  # another process that maps the same files
        self.default_flags = 0  # mm->def_flags, as set_default leaves it
        self.large = pages >= LARGE_PAGES
        self.tables: set[int] = set()  # if large: 2 MiB where a page table is, or may be left
        self.memory_error = False  # the call at hand met poisoned memory: SIGBUS comes with it
        self.allocations = Allocations()
        self.pause: Pause | None = None  # in a race: told of each atomic step before it is made
        self.behind_stale: dict[int, tuple[File, int]] = {}  # page taken away -> file, its page
        self.watched_from = self.watched_to = 0  # userfaultfd watches these pages during the call
        self.slept = False  # the call came to sleep there
        self.storm = False  # signals come all the time, during the call
        self.choices: tuple[Alternative, ...] = ()  # what else the call at hand may return
        self.deactivated: set[int] = set()  # arena pages that COLD took off their list for a while
        # Arena pages whose memory the second process has as well, since the fork that made it; it
        # does nothing to them by itself. Kept where an allocation may fail.
        self.shared: set[int] = set()
        self.zero_poisoned = False  # for sure: the zero page was, by this program
        self.unsure = ""  # why the state is not known any more, or ""

    def find(self, page: int) -> int:
        """Index of the first VMA that ends after `page`; len(vmas) if none (find_vma())."""
        vmas = self.vmas
        low, high = 0, len(vmas)
        while low < high:
            mid = (low + high) >> 1
            if vmas[mid].end > page:
                high = mid
            else:
                low = mid + 1
        return low

    def at(self, page: int) -> Vma | None:
        """The VMA that contains `page` (vma_lookup())."""
        index = self.find(page)
        if index < len(self.vmas):
            vma = self.vmas[index]
            if vma.start <= page:
                return vma
        return None

    def insert(self, vma: Vma) -> None:
        """Add a VMA into free space."""
        self.vmas.insert(self.find(vma.start), vma)

    def remove(self, vma: Vma) -> None:
        """Drop a VMA object that is in the list."""
        self.vmas.remove(vma)

    def clear_page(self, index: int) -> None:
        """Forget everything the page table holds for an arena page, markers included."""
        self.pte[index] = PTE_NONE
        self.copy_of[index] = NO_COPY
        self.lazy[index] = False
        if self.deactivated:
            self.deactivated.discard(index)
        if self.bytes:
            self.bytes.pop(index, None)
        if self.shared:
            self.shared.discard(index)

    def own(self, index: int) -> bool:
        """An arena page is written to. Where the second process has the same memory, this one gets
        a copy (wp_page_copy()); False without memory for it."""
        if index in self.shared:
            if self.allocations.fail():
                return False
            self.shared.remove(index)
        return True

    def arena_span(self, start: int, end: int) -> range:
        """Arena page indices of the absolute pages [start, end) that a snapshot covers."""
        return range(max(start - self.base, 0), min(end - self.base, self.count))

    def take_watched(self, start: int, end: int) -> None:
        """Pages are to be removed: who watches them is told first (userfaultfd_remove())."""
        if start < self.watched_to and self.watched_from < end:
            self.slept = True

    def locked_pages(self) -> int:
        """mm->locked_vm, in pages."""
        total = 0
        for vma in self.vmas:
            if vma.flags & 1 << 10:  # vm_flags.LO
                total += vma.end - vma.start
        return total


def page_of(address: int) -> int:
    """Absolute page number of an address."""
    return address >> PAGE_SHIFT


def pages_up(length: int) -> int:
    """PAGE_ALIGN(length) in pages, wrapped to 64 bits as the kernel's is."""
    return ((length + PAGE - 1) & 0xFFFF_FFFF_FFFF_FFFF) >> PAGE_SHIFT
