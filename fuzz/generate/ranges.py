"""Ranges to advise, most of them along the edges of what is mapped."""

from __future__ import annotations

from typing import Final

from conformance.program.mapping import Kind, Sharing
from conformance.program.places import ARENA_PAGES_MAX, PAGE, page_address
from fuzz.generate.boundaries import (
    BROAD_RANGES,
    CUT_RANGES,
    EDGE_SHIFTS,
    FAR_RANGES,
    ODD_BYTES,
    POISON,
    POISON_RANGES,
    VOID_RANGES,
    WRAPPING_RANGES,
)
from fuzz.generate.chooser import Chooser
from fuzz.generate.layouts import Layout, parts_of
from fuzz.generate.swarm import Swarm
from fuzz.generate.tables import (
    ALL_OF_LAYOUT,
    BROAD,
    EDGE_PAGE,
    EDGES,
    EMPTY,
    FAR,
    INSIDE,
    NEIGHBOURS,
    ODD_LENGTH,
    SHIFTED,
    UNALIGNED,
    VOID,
    WHOLE_MAPPING,
    WRAPPING,
)

_NO_SHIFT: Final = (0, 0)
_BEFORE: Final = (0, -1)
_ANON: Final = Kind.ANON
_PRIVATE: Final = Sharing.PRIVATE
ARENA_FORMS: Final = (INSIDE, INSIDE, WHOLE_MAPPING, EDGES, SHIFTED, NEIGHBOURS, EDGE_PAGE)


def draw_range(chooser: Chooser, layout: Layout, forms: tuple[int, ...]) -> tuple[int, int]:
    """(start address, length in bytes) in one of these forms.

    Whatever the form, no byte of a zone or of the executor lies in a range that the kernel
    would walk.
    """
    form = chooser.pick(forms)
    if form <= ALL_OF_LAYOUT:
        page, pages = page_range(chooser, layout, form)
        return page_address(page), pages * PAGE
    if form == EMPTY:
        return page_address(chooser.pick(layout.edges)), 0
    if form == ODD_LENGTH or form == UNALIGNED:
        page, pages = page_range(chooser, layout, EDGES)
        odd = chooser.pick(ODD_BYTES)
        if form == ODD_LENGTH:
            return page_address(page), pages * PAGE - odd
        return page_address(page) + odd, pages * PAGE
    if form == BROAD:
        return chooser.pick(BROAD_RANGES)
    if form == VOID:
        return chooser.pick(VOID_RANGES)
    if form == WRAPPING:
        return chooser.pick(WRAPPING_RANGES)
    return chooser.pick(FAR_RANGES if form == FAR else CUT_RANGES)


def harmless_range(chooser: Chooser, layout: Layout, ilp32: bool) -> tuple[int, int]:
    """A range in which no page can be poisoned: empty, unaligned, or with nothing mapped."""
    which = chooser.integer(0, 3)
    if which == 0:
        return page_address(chooser.pick(layout.edges)), 0
    if which == 1:
        return page_address(chooser.pick(layout.edges)) + chooser.pick(ODD_BYTES), PAGE
    if which == 2:
        return chooser.pick(POISON_RANGES)
    return chooser.pick(FAR_RANGES if ilp32 else WRAPPING_RANGES)


def range_for(chooser: Chooser, layout: Layout, swarm: Swarm, advice: int) -> tuple[int, int]:
    """A range that this advice may be tried on without harm to the machine."""
    if advice in POISON:
        if swarm.poison and not swarm.ilp32 and chooser.chance(1, 2):
            return poisoned_range(chooser, layout)
        return harmless_range(chooser, layout, swarm.ilp32)
    return draw_range(chooser, layout, swarm.ranges)


def poisoned_range(chooser: Chooser, layout: Layout) -> tuple[int, int]:
    """A few written pages of private anonymous memory, or a harmless range where there are none.

    Others are shared with programs to come: pages of files, and the zero page.
    """
    written = [
        (mapping.at + touch.page, touch.pages)
        for mapping in layout.mappings
        if mapping.kind is _ANON and mapping.sharing is _PRIVATE
        for touch in mapping.touches
        if touch.write
    ]
    if not written:
        return harmless_range(chooser, layout, ilp32=False)
    page, pages = chooser.pick(tuple(written))
    return page_address(page), min(pages, chooser.integer(1, 3)) * PAGE


def page_range(chooser: Chooser, layout: Layout, form: int) -> tuple[int, int]:
    """(first arena page, pages) in one of the forms up to ALL_OF_LAYOUT; at least one page.

    May begin one page before the arena, where nothing is mapped, and end past its last.
    """
    pick = chooser.pick
    if form == ALL_OF_LAYOUT:
        return 0, layout.end + chooser.integer(0, 1)
    if form == EDGES or form == SHIFTED:
        low, high = pick(layout.edges), pick(layout.edges)
        if low > high:
            low, high = high, low
        before, after = pick(EDGE_SHIFTS) if form == SHIFTED else _NO_SHIFT
        low += before
        return low, max(1, high + after - low)
    if form == EDGE_PAGE:
        return pick(layout.edges) + pick(_BEFORE), 1
    mappings = layout.mappings
    index = chooser.integer(0, len(mappings) - 1)
    mapping = mappings[index]
    if form == WHOLE_MAPPING:
        return mapping.at, mapping.pages
    page, pages = pick(parts_of(mapping.pages))
    page += mapping.at
    if form == INSIDE or index + 1 == len(mappings):
        return page, pages
    if form == NEIGHBOURS:
        behind = mappings[index + 1]
        last = behind.at + pick(parts_of(behind.pages))[1]
        return page, last - page
    raise ValueError(f"form {form} is no range of pages")


def arena_range(chooser: Chooser, layout: Layout) -> tuple[int, int]:
    """(first arena page, pages) inside the arena, for steps that change what is mapped."""
    form = chooser.pick(ARENA_FORMS)
    page, pages = page_range(chooser, layout, form)
    if page < 0:
        return 0, pages
    return page, min(pages, ARENA_PAGES_MAX - page)
