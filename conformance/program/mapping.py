"""A mapping of the initial layout: what kind of VMA, where, and what was done to it beforehand."""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec


class Kind(str, Enum):
    """What backs a mapping."""

    ANON = "anon"  # MAP_ANONYMOUS
    NORESERVE = "noreserve"  # MAP_ANONYMOUS | MAP_NORESERVE
    GROWSDOWN = "growsdown"  # MAP_ANONYMOUS | MAP_GROWSDOWN
    DROPPABLE = "droppable"  # MAP_DROPPABLE, Linux 6.11
    ZERO = "zero"  # /dev/zero
    MEMFD = "memfd"  # a file slot with backing memfd
    TMPFS = "tmpfs"  # a file slot with backing tmpfs
    DISK = "disk"  # a file slot with backing disk (ext4 and the like)
    SECRETMEM = "secretmem"  # memfd_secret
    HUGETLB = "hugetlb"  # MAP_HUGETLB, 2 MiB pages
    PERF = "perf"  # the ring buffer of a perf event: page frames, mapped shared
    VVAR = "vvar"  # the process's own [vvar], moved here by mremap


FILE_KINDS: Final = frozenset({Kind.MEMFD, Kind.TMPFS, Kind.DISK})


class Sharing(str, Enum):
    """MAP_PRIVATE or MAP_SHARED."""

    PRIVATE = "private"
    SHARED = "shared"


class Prot(str, Enum):
    """Protection of a mapping, as /proc/PID/maps writes it."""

    NONE = "---"
    R = "r--"
    RW = "rw-"
    RX = "r-x"

    @property
    def bits(self) -> int:
        """PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4."""
        return PROT_BITS[self]


PROT_BITS: Final[dict[Prot, int]] = {Prot.NONE: 0, Prot.R: 1, Prot.RW: 3, Prot.RX: 5}


class Lock(str, Enum):
    """mlock state."""

    NO = "no"
    LOCKED = "locked"  # mlock(2): populates
    ONFAULT = "onfault"  # mlock2(MLOCK_ONFAULT)


class Uffd(str, Enum):
    """userfaultfd registration; always with UFFD_FEATURE_SIGBUS, so that nothing can block."""

    NO = "no"
    MISSING = "missing"
    WP = "wp"


class Touch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Access pages [page, page + pages), counted from the start of the mapping, one word each."""

    page: int
    pages: int = 1
    write: bool = True


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Advice or a protection given to pages [page, page + pages) of the mapping beforehand.

    Exactly one of advice (a value, see abi.advice) and prot is set.
    """

    page: int
    pages: int
    advice: int | None = None
    prot: Prot | None = None


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One mapping of the layout.

    at, pages: place and size in the arena, in pages. file: index into Program.files (file
    kinds only); offset: first page of the file that is mapped. read_only_fd: the file is
    opened read-only, so that VM_MAYWRITE is clear when shared. A vvar mapping spans what
    the kernel's [vvar] spans; `pages` is the room reserved for it.
    """

    kind: Kind
    at: int
    pages: int
    prot: Prot = Prot.RW
    sharing: Sharing = Sharing.PRIVATE
    file: int = 0
    offset: int = 0
    read_only_fd: bool = False
    lock: Lock = Lock.NO
    uffd: Uffd = Uffd.NO
    sealed: bool = False
    soft_dirty_cleared: bool = False
    touches: tuple[Touch, ...] = ()
    marks: tuple[Mark, ...] = ()


class Backing(str, Enum):
    """Where a file slot lives."""

    MEMFD = "memfd"
    TMPFS = "tmpfs"
    DISK = "disk"


class FileSlot(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file that mappings share.

    pages: its size in pages; a mapping may reach beyond. memfd starts as zeros, the other
    two with a pattern in each page (see program.content). sealed_write: F_SEAL_FUTURE_WRITE
    is set once the layout is mapped (memfd only).
    """

    backing: Backing
    pages: int
    sealed_write: bool = False
