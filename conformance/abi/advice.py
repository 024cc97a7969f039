"""The advice table: every advice of Linux 7.3, once.

Values are the generic ones of include/uapi/asm-generic/mman-common.h; alpha, mips,
parisc and xtensa number a few differently. The C header, the generators, the text form,
the model's dispatch and the documents all follow from these rows.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple


class Family(Enum):
    """What an advice acts on; the model has one file for each family."""

    FLAGS = "flags"  # VmFlags of the VMA: splits and merges
    DISCARD = "discard"  # pages thrown away: DONTNEED, FREE
    RECLAIM = "reclaim"  # pages aged or paged: WILLNEED, COLD, PAGEOUT
    POPULATE = "populate"  # page tables filled, no VMA walk
    GUARD = "guard"  # guard markers
    REMOVE = "remove"  # holes punched in the file behind
    HUGE = "huge"  # transparent huge pages
    MERGE = "merge"  # KSM
    POISON = "poison"  # memory failure injection: guests only


class Advice(NamedTuple):
    """One advice.

    since: first mainline release, as (major, minor).
    config: the CONFIG_ symbol without which madvise_behavior_valid() refuses it, or "".
    remote: process_madvise() takes it for another process (process_madvise_remote_valid()).
    discard: is_discard(): refused by mseal on anonymous VMAs that are not writable.
    whole: madvise_ranges(ALL) accepts it (SPEC all-advices).
    default: madvise_ranges(ALL, set_default) accepts it (SPEC default-advices).
    """

    name: str
    value: int
    since: tuple[int, int]
    family: Family
    config: str = ""
    remote: bool = False
    discard: bool = False
    whole: bool = False
    default: bool = False


_F = Family
ADVICES: Final[tuple[Advice, ...]] = (
    Advice("NORMAL", 0, (2, 4), _F.FLAGS, whole=True, default=True),
    Advice("RANDOM", 1, (2, 4), _F.FLAGS, whole=True, default=True),
    Advice("SEQUENTIAL", 2, (2, 4), _F.FLAGS, whole=True, default=True),
    Advice("WILLNEED", 3, (2, 4), _F.RECLAIM, remote=True, whole=True),
    Advice("DONTNEED", 4, (2, 4), _F.DISCARD, discard=True),
    Advice("FREE", 8, (4, 5), _F.DISCARD, discard=True),
    Advice("REMOVE", 9, (2, 6), _F.REMOVE, discard=True),
    Advice("DONTFORK", 10, (2, 6), _F.FLAGS, discard=True),
    Advice("DOFORK", 11, (2, 6), _F.FLAGS, whole=True),
    Advice("MERGEABLE", 12, (2, 6), _F.MERGE, "KSM", whole=True),
    Advice("UNMERGEABLE", 13, (2, 6), _F.MERGE, "KSM", whole=True),
    Advice("HUGEPAGE", 14, (2, 6), _F.HUGE, "TRANSPARENT_HUGEPAGE", whole=True, default=True),
    Advice("NOHUGEPAGE", 15, (2, 6), _F.HUGE, "TRANSPARENT_HUGEPAGE", whole=True, default=True),
    Advice("DONTDUMP", 16, (3, 4), _F.FLAGS, whole=True, default=True),
    Advice("DODUMP", 17, (3, 4), _F.FLAGS, whole=True, default=True),
    Advice("WIPEONFORK", 18, (4, 14), _F.FLAGS, discard=True),
    Advice("KEEPONFORK", 19, (4, 14), _F.FLAGS, whole=True),
    Advice("COLD", 20, (5, 4), _F.RECLAIM, remote=True, whole=True),
    Advice("PAGEOUT", 21, (5, 4), _F.RECLAIM, remote=True, whole=True),
    Advice("POPULATE_READ", 22, (5, 14), _F.POPULATE),
    Advice("POPULATE_WRITE", 23, (5, 14), _F.POPULATE),
    Advice("DONTNEED_LOCKED", 24, (5, 18), _F.DISCARD, discard=True),
    Advice("COLLAPSE", 25, (6, 1), _F.HUGE, "TRANSPARENT_HUGEPAGE", remote=True, whole=True),
    Advice("HWPOISON", 100, (2, 6), _F.POISON, "MEMORY_FAILURE"),
    Advice("SOFT_OFFLINE", 101, (2, 6), _F.POISON, "MEMORY_FAILURE"),
    Advice("GUARD_INSTALL", 102, (6, 13), _F.GUARD, discard=True),
    Advice("GUARD_REMOVE", 103, (6, 13), _F.GUARD),
)

BY_VALUE: Final[dict[int, Advice]] = {advice.value: advice for advice in ADVICES}
BY_NAME: Final[dict[str, Advice]] = {advice.name: advice for advice in ADVICES}


def advice_name(value: int) -> str:
    """The name of an advice value, or the number in decimal for one that Linux does not have."""
    row = BY_VALUE.get(value)
    return row.name if row else str(value)
