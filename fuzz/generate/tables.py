"""The full tables: every variant that a generator may draw, with its weight.

Simplest first, because drivers that shrink move towards the first entry.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from conformance.program.mapping import Backing, Kind, Lock, Prot, Sharing, Uffd
from conformance.program.places import (
    FD_NOT_PIDFD,
    FD_PIDFD_DEAD,
    FD_PIDFD_KTHREAD,
    FD_PIDFD_REMOTE,
    FD_PIDFD_SELF,
    FD_PIDFD_ZOMBIE,
    PIDFD_BAD,
    PIDFD_SELF_GROUP,
    PIDFD_SELF_THREAD,
)
from fuzz.generate.boundaries import INVALID_ADVICES, MARK_ADVICES, REGISTER_ADVICES, VALID_ADVICES
from fuzz.generate.chooser import table

# What a touch does to a page of a mapping with these rights.
ACCESS_NONE, ACCESS_READ, ACCESS_WRITE = 0, 1, 2


class Template(NamedTuple):
    """The part of a mapping that neighbours share when they are to merge. backing: of the file
    kinds, else None."""

    kind: Kind
    prot: Prot
    sharing: Sharing
    access: int
    backing: Backing | None = None
    read_only_fd: bool = False


def _template(kind: Kind, prot: Prot, sharing: Sharing, ro: bool = False) -> Template:
    access = {Prot.RW: ACCESS_WRITE, Prot.NONE: ACCESS_NONE}.get(prot, ACCESS_READ)
    backing = {Kind.MEMFD: Backing.MEMFD, Kind.TMPFS: Backing.TMPFS, Kind.DISK: Backing.DISK}
    return Template(kind, prot, sharing, access, backing.get(kind), ro)


def _file_rows(kind: Kind, share: int) -> list[tuple[int, Template]]:
    """Weights of one file kind, whose total is about 20 * share."""
    private, shared = Sharing.PRIVATE, Sharing.SHARED
    rows = [
        (6 * share, _template(kind, Prot.RW, private)),
        (7 * share, _template(kind, Prot.RW, shared)),
        (2 * share, _template(kind, Prot.R, private)),
        (1 * share, _template(kind, Prot.R, shared)),
        (1 * share, _template(kind, Prot.NONE, shared)),
        (1 * share, _template(kind, Prot.RW, private, ro=True)),
        (1 * share, _template(kind, Prot.R, shared, ro=True)),
    ]
    return rows


TEMPLATE_ROWS: Final = (
    (240, _template(Kind.ANON, Prot.RW, Sharing.PRIVATE)),
    (20, _template(Kind.ANON, Prot.R, Sharing.PRIVATE)),
    (40, _template(Kind.ANON, Prot.NONE, Sharing.PRIVATE)),
    (6, _template(Kind.ANON, Prot.RX, Sharing.PRIVATE)),
    (50, _template(Kind.ANON, Prot.RW, Sharing.SHARED)),
    (6, _template(Kind.ANON, Prot.R, Sharing.SHARED)),
    (10, _template(Kind.ANON, Prot.NONE, Sharing.SHARED)),
    (16, _template(Kind.NORESERVE, Prot.RW, Sharing.PRIVATE)),
    (6, _template(Kind.NORESERVE, Prot.RW, Sharing.SHARED)),
    (20, _template(Kind.GROWSDOWN, Prot.RW, Sharing.PRIVATE)),
    (16, _template(Kind.ZERO, Prot.RW, Sharing.PRIVATE)),
    (6, _template(Kind.ZERO, Prot.R, Sharing.PRIVATE)),
    (8, _template(Kind.ZERO, Prot.RW, Sharing.SHARED)),
    *_file_rows(Kind.MEMFD, 9),
    *_file_rows(Kind.TMPFS, 6),
    *_file_rows(Kind.DISK, 2),
    (8, _template(Kind.DROPPABLE, Prot.RW, Sharing.PRIVATE)),
    (6, _template(Kind.SECRETMEM, Prot.RW, Sharing.SHARED)),
    (1, _template(Kind.PERF, Prot.RW, Sharing.SHARED)),
    (2, _template(Kind.VVAR, Prot.R, Sharing.PRIVATE)),
)
TEMPLATES: Final = table(*TEMPLATE_ROWS)
# What a program may map once more over its layout: kinds that need no file slot and no
# process of their own.
PLAIN_TEMPLATES: Final = table(
    *(
        row
        for row in TEMPLATE_ROWS
        if row[1].backing is None and row[1].kind not in (Kind.VVAR, Kind.PERF)
    )
)
HUGETLB: Final = _template(Kind.HUGETLB, Prot.RW, Sharing.PRIVATE)


class Extra(NamedTuple):
    """What else is done to a whole mapping."""

    lock: Lock = Lock.NO
    uffd: Uffd = Uffd.NO
    sealed: bool = False
    soft_dirty_cleared: bool = False


PLAIN: Final = Extra()
EXTRAS_NONE: Final = (PLAIN,)
EXTRAS_SOME: Final = table((5, PLAIN), (2, Extra(Lock.LOCKED)), (1, Extra(Lock.ONFAULT)))
EXTRAS_MANY: Final = table(
    (12, PLAIN),
    (2, Extra(Lock.LOCKED)),
    (2, Extra(Lock.ONFAULT)),
    (2, Extra(uffd=Uffd.MISSING)),
    (2, Extra(uffd=Uffd.WP)),
    (2, Extra(sealed=True)),
    (2, Extra(soft_dirty_cleared=True)),
    (1, Extra(Lock.LOCKED, sealed=True)),
)
# UFFDIO_REGISTER refuses the others; a registration that fails teaches nothing new.
UFFD_KINDS: Final = frozenset({Kind.ANON, Kind.NORESERVE, Kind.MEMFD, Kind.TMPFS})

GAPS: Final = table((10, 0), (4, 1), (2, 2), (1, 3), (1, 9))  # pages before a mapping
SIZES: Final = table(
    (8, 1), (8, 2), (7, 3), (6, 4), (3, 5), (3, 6), (1, 7), (4, 8), (1, 12), (1, 16), (1, 33)
)  # fmt: skip
MAPPING_COUNTS: Final = table(
    (3, 1), (4, 2), (5, 3), (5, 4), (4, 5), (3, 6), (2, 8), (1, 10), (1, 13), (1, 16)
)  # fmt: skip
STEP_COUNTS: Final = table((3, 1), (5, 2), (6, 3), (4, 4), (2, 5), (1, 6), (1, 7), (1, 8))

# Forms of a range; ranges.py says what each is.
(
    WHOLE_MAPPING, INSIDE, EDGES, SHIFTED, NEIGHBOURS, EDGE_PAGE, ALL_OF_LAYOUT,
    EMPTY, ODD_LENGTH, UNALIGNED, BROAD, VOID, WRAPPING, FAR, CUT,
) = range(15)  # fmt: skip
RANGES_CLEAN: Final = table(
    (4, WHOLE_MAPPING), (4, INSIDE), (4, EDGES), (4, SHIFTED), (4, NEIGHBOURS), (2, EDGE_PAGE),
    (2, ALL_OF_LAYOUT), (1, ODD_LENGTH),
)  # fmt: skip
RANGES_ANY: Final = RANGES_CLEAN + table(
    (2, EMPTY), (1, ODD_LENGTH), (1, UNALIGNED), (1, BROAD), (1, VOID), (1, WRAPPING)
)
RANGES_HOSTILE: Final = tuple(range(WRAPPING + 1)) + (EMPTY, UNALIGNED, VOID)
# In programs of ILP32 callers nothing wraps, but much of a register is not looked at.
RANGES_ILP32: Final = RANGES_CLEAN + table(
    (2, EMPTY), (1, ODD_LENGTH), (1, UNALIGNED), (1, BROAD), (1, VOID), (2, FAR), (2, CUT)
)

# Kinds of step; calls of the three surfaces first.
(
    STEP_MADVISE, STEP_PROCESS_MADVISE, STEP_MADVISE_RANGES, STEP_TOUCH, STEP_MMAP,
    STEP_MUNMAP, STEP_MPROTECT, STEP_MREMAP, STEP_FORK,
) = range(9)  # fmt: skip
_CALL_STEPS: Final = {
    "madvise": STEP_MADVISE,
    "process_madvise": STEP_PROCESS_MADVISE,
    "madvise_ranges": STEP_MADVISE_RANGES,
}
_MM_STEPS: Final = table(
    (4, STEP_TOUCH), (2, STEP_MMAP), (2, STEP_MUNMAP), (2, STEP_MPROTECT), (2, STEP_MREMAP),
    (2, STEP_FORK),
)  # fmt: skip

FD_NEVER_OPEN: Final = 5000
PIDFDS_SELF: Final = (FD_PIDFD_SELF,)
PIDFDS_ANY: Final = table(
    (6, FD_PIDFD_SELF),
    (2, PIDFD_SELF_THREAD),
    (2, PIDFD_SELF_GROUP),
    (4, FD_PIDFD_REMOTE),
    (1, FD_PIDFD_DEAD),
    (1, FD_PIDFD_ZOMBIE),
    (1, FD_PIDFD_KTHREAD),
    (1, FD_NOT_PIDFD),
    (1, PIDFD_BAD),
    (1, -(1 << 31)),
    (1, FD_NEVER_OPEN),
)

_CALL_TABLES: dict[frozenset[str], tuple[int, ...]] = {}
_STEP_TABLES: dict[frozenset[str], tuple[int, ...]] = {}
_ADVICE_TABLES: dict[tuple[int, ...], tuple[int, ...]] = {}


def call_table(surfaces: frozenset[str]) -> tuple[int, ...]:
    """The surfaces' steps, evenly. Raises KeyError for a name that is no surface, and ValueError
    for none at all."""
    found = _CALL_TABLES.get(surfaces)
    if found is None:
        if not surfaces:
            raise ValueError(f"no surface to call: name one of {', '.join(_CALL_STEPS)}")
        found = tuple(sorted([_CALL_STEPS[name] for name in surfaces]))
        _CALL_TABLES[surfaces] = found
    return found


def step_table(surfaces: frozenset[str]) -> tuple[int, ...]:
    """Calls of the surfaces, twice as many as ordinary mm steps."""
    found = _STEP_TABLES.get(surfaces)
    if found is None:
        calls = call_table(surfaces)
        found = calls * (2 * len(_MM_STEPS) // len(calls)) + _MM_STEPS
        _STEP_TABLES[surfaces] = found
    return found


def advice_table(preferred: tuple[int, ...]) -> tuple[int, ...]:
    """Every advice with one weight (or only the preferred ones), and each ninth draw or so a
    value that is none."""
    found = _ADVICE_TABLES.get(preferred)
    if found is None:
        valid = preferred or VALID_ADVICES
        repeats = max(1, (4 * len(VALID_ADVICES)) // len(valid))
        found = valid * repeats + INVALID_ADVICES + REGISTER_ADVICES
        _ADVICE_TABLES[preferred] = found
    return found


def clean_advice_table(preferred: tuple[int, ...]) -> tuple[int, ...]:
    """The advices that have an effect on a machine that is not to be harmed."""
    return preferred or MARK_ADVICES
