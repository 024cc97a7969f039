"""What a row of cells shows: which pages are mapped, where VMAs begin, what is in each page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from conformance.abi import vm_flags
from conformance.abi.advice import BY_NAME
from conformance.model.prediction import ExpectedSnapshot
from conformance.oracle.compare_effects import COMPARED_FLAGS, PGOFF_FILE, page_allowed
from conformance.oracle.explain import content_class
from conformance.program.mapping import Lock, Mapping
from conformance.program.outcome import (
    CONTENT_MASK,
    PAGE_GUARD,
    PAGE_PRESENT,
    PAGE_READ,
    PAGE_SWAP,
    PAGE_UNREADABLE,
    Snapshot,
)
from conformance.program.places import ARENA_BASE, PAGE
from conformance.program.program import Program
from conformance.program.step_words import mapping_words
from conformance.program.text_places import run_text
from conformance.program.text_write import mark_text

UNMAPPED: Final = " "
ABSENT: Final = "."
NAMES: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# What a cell means, and how it is coloured where there are colours.
MEANINGS: Final[dict[str, tuple[str, str]]] = {
    ".": ("not present", "dim"),
    "w": ("written", "green"),
    "z": ("zeros", "cyan"),
    "r": ("read", "cyan"),
    "f": ("as the file", "blue"),
    "p": ("present, not looked at", "cyan"),
    "L": ("locked in memory", "yellow"),
    "G": ("guard", "bold red"),
    "s": ("swapped out", "magenta"),
    "#": ("mixed content", "bold magenta"),
    "!": ("cannot be read", "red"),
    "?": ("the kernel may choose", "dim"),
}
_CONTENT: Final = {"zero": "z", "torn": "#", "file": "f", "written": "w"}
_DISCARDS: Final = frozenset(
    BY_NAME[name].value for name in ("DONTNEED", "DONTNEED_LOCKED", "FREE", "REMOVE")
)
_POPULATES: Final = frozenset(BY_NAME[name].value for name in ("POPULATE_READ", "POPULATE_WRITE"))
_GUARD_INSTALL: Final = BY_NAME["GUARD_INSTALL"].value
_GUARD_REMOVE: Final = BY_NAME["GUARD_REMOVE"].value


class Area(NamedTuple):
    """A VMA, or a mapping of the layout: arena pages [start, end), and what is to say of it."""

    start: int
    end: int
    words: str


class Picture(NamedTuple):
    """cells: one character for each arena page; areas: in order of address."""

    cells: str
    areas: tuple[Area, ...]


def layout_picture(program: Program, pages: int) -> Picture:
    """The layout as the program itself tells it, before the first step: no kernel is asked, so
    that cells say what was done to a page, not what became of it."""
    cells = [UNMAPPED] * pages
    areas = []
    for mapping in sorted(program.layout, key=lambda m: m.at):
        for page, cell in enumerate(_prepared_cells(mapping), mapping.at):
            cells[page] = cell
        words = [mapping_words(mapping), *(mark_text(mark) for mark in mapping.marks)]
        areas.append(Area(mapping.at, mapping.at + mapping.pages, ", ".join(words)))
    return Picture("".join(cells), tuple(areas))


def _prepared_cells(mapping: Mapping) -> list[str]:
    cells = ["L" if mapping.lock is Lock.LOCKED else ABSENT] * mapping.pages
    for touch in mapping.touches:
        for page in range(touch.page, touch.page + touch.pages):
            if touch.write or cells[page] != "w":
                cells[page] = "w" if touch.write else "r"
    for mark in mapping.marks:
        for page in range(mark.page, mark.page + mark.pages):
            cells[page] = _marked_cell(cells[page], mark.advice)
    return cells


def _marked_cell(cell: str, advice: int | None) -> str:
    if advice == _GUARD_INSTALL:
        return "G"
    if advice == _GUARD_REMOVE:
        return ABSENT if cell == "G" else cell
    if cell == "G":
        return cell
    if advice in _DISCARDS:
        return ABSENT
    if advice in _POPULATES and cell == ABSENT:
        return "r"
    return cell


def snapshot_picture(snapshot: Snapshot | ExpectedSnapshot, pages: int) -> Picture:
    """A snapshot of the arena: what a target saw, or what the model expects."""
    cells = [UNMAPPED] * pages
    areas = []
    for start, end, words in snapshot_vmas(snapshot.vmas):
        areas.append(Area(start, end, words))
        for page in range(max(start, 0), min(end, pages)):
            word = snapshot.pages[page] if page < len(snapshot.pages) else 0
            cells[page] = page_cell(word)
            if isinstance(snapshot, ExpectedSnapshot) and _is_free(snapshot, page):
                cells[page] = "?"
    return Picture("".join(cells), tuple(areas))


def _is_free(snapshot: ExpectedSnapshot, page: int) -> bool:
    """May the kernel choose what the cell of a page shows?"""
    word = snapshot.pages[page]
    cell = page_cell(word)
    if any(page_cell(other) != cell for other in snapshot.page_alternatives.get(page, ())):
        return True
    mask = snapshot.page_masks.get(page, -1)
    return page_cell(word ^ (PAGE_PRESENT & ~mask)) != cell


def snapshot_vmas(flat: Sequence[int]) -> list[tuple[int, int, str]]:
    """Each VMA of a snapshot: first page, page after, and its properties in words."""
    out = []
    for i in range(0, len(flat), 4):
        start, end, flags, pgoff = flat[i : i + 4]
        file = f"file page {pgoff & ~PGOFF_FILE}, " if pgoff & PGOFF_FILE else ""
        words = f"{file}{vm_flags.names(flags & COMPARED_FLAGS)}"
        out.append(((start - ARENA_BASE) // PAGE, (end - ARENA_BASE) // PAGE, words))
    return out


def page_cell(word: int) -> str:
    """The character for a page word of a snapshot."""
    if word & PAGE_GUARD:
        return "G"
    if word & PAGE_UNREADABLE:
        return "!"
    if word & PAGE_SWAP:
        return "s"
    if not word & PAGE_PRESENT:
        return ABSENT
    if not word & PAGE_READ:
        return "p"
    return _CONTENT[content_class(word & CONTENT_MASK)]


def area_lines(areas: tuple[Area, ...]) -> list[str]:
    """Each area in one line: its letter, its pages, its properties."""
    runs = [run_text(area.start, area.end - area.start) for area in areas]
    width = max(map(len, runs), default=0)
    return [
        f"{area_name(i)}  {run:<{width}}  {area.words}"
        for i, (area, run) in enumerate(zip(areas, runs, strict=True))
    ]


def area_name(index: int) -> str:
    """The letter of an area in a row; those beyond the alphabet share one."""
    return NAMES[index] if index < len(NAMES) else "*"


def differing_pages(expected: ExpectedSnapshot, seen: Snapshot) -> frozenset[int]:
    """The pages whose words the model does not allow."""
    return frozenset(
        page
        for page in range(min(len(expected.pages), len(seen.pages)))
        if expected.pages[page] != seen.pages[page]
        and not page_allowed(expected, page, seen.pages[page])
    )
