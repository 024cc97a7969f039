"""Where a call's structs lie: at their usual place, or where copying them in or out goes wrong."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from conformance.program.mapping import Mapping, Prot
from conformance.program.places import (
    ARENA_END_MAX,
    KERNEL,
    NONCANONICAL,
    NULL,
    PAGE,
    UNMAPPED,
    ZONE_BASE,
    ZONE_END,
    ZONE_RO_BASE,
    ZONE_RO_END,
    page_address,
)
from fuzz.generate.chooser import Chooser, table
from fuzz.generate.layouts import Layout

(
    USUAL, MISALIGNED, STRADDLING, READ_ONLY, READ_ONLY_STRADDLING, IN_ARENA, ACROSS_ARENA_EDGE,
    ACROSS_ARENA_PAGES, NOWHERE,
) = range(9)  # fmt: skip
PLACES_ODD: Final = table(
    (2, MISALIGNED), (2, STRADDLING), (2, READ_ONLY), (1, READ_ONLY_STRADDLING), (4, IN_ARENA),
    (2, ACROSS_ARENA_EDGE), (2, ACROSS_ARENA_PAGES), (2, NOWHERE),
)  # fmt: skip
_NOWHERE: Final = (NULL, UNMAPPED, KERNEL, NONCANONICAL, ARENA_END_MAX, 1, (1 << 64) - 8)
_SHIFTS: Final = (1, 4, 8, 12)
_RW: Final = Prot.RW
# Byte offsets in an arena page: its start, and either side of the words that touches write.
IN_PAGE: Final = (0, 8, 0x100, 0x7E0, 0x7F8, 0xF00)


def draw_place(chooser: Chooser, layout: Layout, usual: int, size: int) -> int:
    """An unusual address for a struct of `size` bytes; usual: its address otherwise."""
    pick = chooser.pick
    form = pick(PLACES_ODD)
    if form == MISALIGNED:
        return usual + pick(_SHIFTS)
    if form == STRADDLING:
        return ZONE_END - chooser.integer(0, size)
    if form == READ_ONLY:
        return ZONE_RO_BASE + usual - ZONE_BASE
    if form == READ_ONLY_STRADDLING:
        return ZONE_RO_END - chooser.integer(0, size)
    if form == NOWHERE:
        return pick(_NOWHERE)
    mappings = _writable(layout)
    if not mappings or chooser.chance(1, 8):
        mappings = tuple(layout.mappings)
    if form == ACROSS_ARENA_EDGE:
        edges = tuple([b.at for a, b in pairwise(mappings) if a.at + a.pages == b.at])
        edge = pick(edges or layout.edges)
        # Never across the arena's start: a stack there may grow into what the struct would hold.
        return page_address(max(edge, 1)) - chooser.integer(1, min(size, PAGE))
    mapping = pick(mappings)
    if form == ACROSS_ARENA_PAGES and mapping.pages > 1:
        return page_address(mapping.at + 1) - 8 * chooser.integer(1, 5)
    page = mapping.at + chooser.integer(0, min(mapping.pages, 4) - 1)
    return page_address(page) + pick(IN_PAGE)


def _writable(layout: Layout) -> tuple[Mapping, ...]:
    """Mappings that can be written to: elsewhere the struct cannot be put, and no call is made."""
    return tuple([mapping for mapping in layout.mappings if mapping.prot is _RW])
