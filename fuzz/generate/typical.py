"""The typical program: what benchmarks run, so that their figures compare.

Six mappings with gaps (8 + 4 pages anonymous, 8 shared memfd, 8 private on disk, 4 locked, 6
without access), 16 written pages, and three calls: pages discarded, flags changed from one
mapping over a gap into the next, pages aged over a gap. Only advices and ranges vary.
"""

from __future__ import annotations

from typing import Final

from conformance.abi.advice import BY_NAME
from conformance.program.call import Madvise
from conformance.program.mapping import Backing, FileSlot, Kind, Lock, Mapping, Prot, Sharing, Touch
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from fuzz.generate.chooser import Chooser

ANON_PAGES: Final = 8
LAYOUT: Final = (
    Mapping(Kind.ANON, 0, ANON_PAGES, touches=(Touch(0, 4),)),
    Mapping(Kind.ANON, 10, 4, touches=(Touch(1, 2),)),
    Mapping(Kind.MEMFD, 16, 8, sharing=Sharing.SHARED, touches=(Touch(0, 5),)),
    Mapping(Kind.DISK, 26, 8, file=1, touches=(Touch(3, 5),)),
    Mapping(Kind.ANON, 38, 4, lock=Lock.LOCKED),
    Mapping(Kind.ANON, 44, 6, prot=Prot.NONE),
)
FILES: Final = (FileSlot(Backing.MEMFD, 8), FileSlot(Backing.DISK, 8))
_DISCARDS: Final = tuple(BY_NAME[name].value for name in ("DONTNEED", "FREE", "DONTNEED_LOCKED"))
_FLAGS: Final = tuple(
    BY_NAME[name].value for name in ("SEQUENTIAL", "RANDOM", "DONTFORK", "DONTDUMP", "NOHUGEPAGE")
)
_AGEING: Final = tuple(BY_NAME[name].value for name in ("COLD", "WILLNEED"))


def typical(chooser: Chooser) -> Program:
    """One typical program."""
    first = chooser.integer(0, 3)
    pages = chooser.integer(1, ANON_PAGES - first)
    discard = Madvise(page_address(first), pages * PAGE, chooser.pick(_DISCARDS))
    flag = _over_gap(chooser, LAYOUT[0], LAYOUT[1], _FLAGS)
    age = _over_gap(chooser, LAYOUT[2], LAYOUT[3], _AGEING)
    return Program(LAYOUT, (discard, flag, age), FILES)


def _over_gap(chooser: Chooser, left: Mapping, right: Mapping, advices: tuple[int, ...]) -> Madvise:
    """From inside one mapping into the next: the gap makes it ENOMEM, its ends split both."""
    low = left.at + chooser.integer(1, left.pages - 1)
    high = right.at + chooser.integer(1, right.pages - 1)
    return Madvise(page_address(low), (high - low) * PAGE, chooser.pick(advices))
