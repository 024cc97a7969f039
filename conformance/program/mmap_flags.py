"""Flags of the calls that make, move and lock mappings, and those that a mapping is made with."""

from __future__ import annotations

from typing import Final

from conformance.program.mapping import Kind, Mapping, Sharing

MAP_SHARED, MAP_PRIVATE, MAP_DROPPABLE = 0x1, 0x2, 0x8
MAP_FIXED, MAP_ANONYMOUS, MAP_GROWSDOWN = 0x10, 0x20, 0x100
MAP_NORESERVE, MAP_HUGETLB = 0x4000, 0x40000
MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
MLOCK_ONFAULT: Final = 1
F_ADD_SEALS, F_SEAL_FUTURE_WRITE = 1033, 0x10

_KIND_FLAGS: Final = {
    Kind.ANON: MAP_ANONYMOUS,
    Kind.NORESERVE: MAP_ANONYMOUS | MAP_NORESERVE,
    Kind.GROWSDOWN: MAP_ANONYMOUS | MAP_GROWSDOWN,
    Kind.DROPPABLE: MAP_ANONYMOUS | MAP_DROPPABLE,
    Kind.ZERO: 0,
    Kind.MEMFD: 0,
    Kind.TMPFS: 0,
    Kind.DISK: 0,
    Kind.HUGETLB: MAP_ANONYMOUS | MAP_HUGETLB,
}
_DROPPABLE: Final = Kind.DROPPABLE
_SHARED: Final = Sharing.SHARED


def mmap_flags(mapping: Mapping) -> int:
    """The flags argument that mmap() gets for a mapping."""
    flags = MAP_FIXED | _KIND_FLAGS[mapping.kind]
    if mapping.kind is _DROPPABLE:  # neither shared nor private
        return flags
    return flags | (MAP_SHARED if mapping.sharing is _SHARED else MAP_PRIVATE)
