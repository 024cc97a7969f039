"""The kinds of VMA that a sweep advises: what backs one, its rights, and its state."""

from __future__ import annotations

from typing import Final, NamedTuple

from conformance.program.mapping import (
    FILE_KINDS,
    Backing,
    FileSlot,
    Kind,
    Lock,
    Mapping,
    Mark,
    Prot,
    Sharing,
    Touch,
    Uffd,
)

HUGE_PAGES: Final = 512  # base pages in a huge page
FILE_PAGES: Final = 16  # of the file behind file kinds: more than any program maps of it

WRITTEN, READ, UNTOUCHED, ALL_WRITTEN = range(4)  # what was done to a mapping's pages before
OWN: Final = frozenset({Kind.ANON, Kind.NORESERVE, Kind.GROWSDOWN, Kind.DROPPABLE, Kind.ZERO})
UNPINNABLE: Final = frozenset({Kind.PERF, Kind.VVAR, Kind.SECRETMEM})


class VmaKind(NamedTuple):
    """One kind. pages: of a VMA that stands alone; half: of each of two that stand together.

    touched: WRITTEN leaves the last page untouched and only reads the last but one. becomes: the
    protection given after the touches, None for that of the mapping. sealed_write: of its file.
    twin: can there be two of it? short: its file ends before the mapping does, by two pages.
    """

    name: str
    kind: Kind = Kind.ANON
    sharing: Sharing = Sharing.PRIVATE
    prot: Prot = Prot.RW
    touched: int = WRITTEN
    becomes: Prot | None = None
    lock: Lock = Lock.NO
    uffd: Uffd = Uffd.NO
    sealed: bool = False
    read_only_fd: bool = False
    sealed_write: bool = False
    short: bool = False
    pages: int = 8
    half: int = 4
    twin: bool = True

    def mapping(
        self, at: int, pages: int, offset: int = 0, advised: tuple[int, ...] = ()
    ) -> Mapping:
        """One mapping of this kind. offset: of a file, in pages; advised: what it was given
        before, one after the other, after its pages were touched."""
        marks = [Mark(0, pages, advice) for advice in advised]
        if self.becomes is not None:
            marks.append(Mark(0, pages, prot=self.becomes))
        return Mapping(
            self.kind,
            at,
            pages,
            self.prot,
            self.sharing,
            offset=offset if self.kind in FILE_KINDS else 0,
            read_only_fd=self.read_only_fd,
            lock=self.lock,
            uffd=self.uffd,
            sealed=self.sealed,
            touches=self._touches(pages),
            marks=tuple(marks),
        )

    def poisonable(self) -> bool:
        """Would poison in its pages, once all are written, stay in this program? What holds file
        pages, the zero page or huge pages would hand it on to every program that follows."""
        if self.kind in UNPINNABLE:
            return True
        private = self.sharing is Sharing.PRIVATE and self.kind in OWN
        return private and self.touched == WRITTEN

    def files(self, mapped: int) -> tuple[FileSlot, ...]:
        """The file behind it, of which so many pages are mapped."""
        if self.kind not in FILE_KINDS:
            return ()
        pages = mapped - 2 if self.short else FILE_PAGES
        return (FileSlot(Backing(self.kind.value), pages, self.sealed_write),)

    def _touches(self, pages: int) -> tuple[Touch, ...]:
        if self.touched == UNTOUCHED:
            return ()
        if self.kind is Kind.HUGETLB:
            return (Touch(0, 2),)  # the first huge page
        if self.touched == ALL_WRITTEN:
            return (Touch(0, pages),)
        if self.touched == READ:
            return (Touch(0, pages - 1, False),)
        return (Touch(0, pages - 2), Touch(pages - 2, 1, False))


_SHARED: Final = Sharing.SHARED
# short: reading beyond the end of a file is SIGBUS, so its pages stay as they are.
VMA_KINDS: Final[tuple[VmaKind, ...]] = (
    VmaKind("anon"),
    VmaKind("anon-untouched", touched=UNTOUCHED),
    VmaKind("anon-shared", sharing=_SHARED),
    VmaKind("anon-read-only", becomes=Prot.R),
    VmaKind("anon-no-access", becomes=Prot.NONE),
    VmaKind("anon-locked", lock=Lock.LOCKED),
    VmaKind("anon-locked-on-fault", lock=Lock.ONFAULT),
    VmaKind("anon-sealed", sealed=True),
    VmaKind("anon-sealed-read-only", sealed=True, becomes=Prot.R),
    VmaKind("anon-uffd-missing", uffd=Uffd.MISSING),
    VmaKind("anon-uffd-wp", uffd=Uffd.WP),
    VmaKind("noreserve", Kind.NORESERVE),
    VmaKind("growsdown", Kind.GROWSDOWN),
    VmaKind("droppable", Kind.DROPPABLE),
    VmaKind("zero", Kind.ZERO),
    VmaKind("zero-shared", Kind.ZERO, _SHARED),
    VmaKind("memfd", Kind.MEMFD),
    VmaKind("memfd-shared", Kind.MEMFD, _SHARED),
    VmaKind("memfd-shared-short", Kind.MEMFD, _SHARED, touched=UNTOUCHED, short=True),
    VmaKind("memfd-shared-read-only", Kind.MEMFD, _SHARED, Prot.R, READ, read_only_fd=True),
    VmaKind("memfd-shared-no-later-writes", Kind.MEMFD, _SHARED, sealed_write=True),
    VmaKind("tmpfs", Kind.TMPFS),
    VmaKind("tmpfs-shared", Kind.TMPFS, _SHARED),
    VmaKind("disk", Kind.DISK),
    VmaKind("disk-shared", Kind.DISK, _SHARED),
    VmaKind("disk-executable", Kind.DISK, prot=Prot.RX, touched=READ),
    VmaKind("secretmem", Kind.SECRETMEM, _SHARED),
    VmaKind("hugetlb", Kind.HUGETLB, pages=2 * HUGE_PAGES, half=HUGE_PAGES),
    VmaKind("perf", Kind.PERF, _SHARED, touched=UNTOUCHED, pages=9, half=5),
    VmaKind("vvar", Kind.VVAR, prot=Prot.R, touched=UNTOUCHED, twin=False),
)  # fmt: skip
BY_NAME: Final[dict[str, VmaKind]] = {kind.name: kind for kind in VMA_KINDS}
