"""Every advice, on every kind of VMA, on every part of it: a small program each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from conformance.abi.advice import BY_NAME as ADVICE_BY_NAME
from conformance.abi.advice import Family
from conformance.program.call import Fork, IoRange, Madvise, ProcessMadvise, Step
from conformance.program.mapping import Kind, Mapping
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from conformance.sweep.vma_kinds import (
    ALL_WRITTEN,
    BY_NAME,
    HUGE_PAGES,
    VMA_KINDS,
    WRITTEN,
    VmaKind,
)

MADVISE: Final = "madvise"
PROCESS_MADVISE: Final = "process_madvise"
PLACES: Final = (
    "whole", "head", "middle", "tail", "across-two", "across-gap", "start-in-gap", "end-in-gap",
)  # fmt: skip
INVALID: Final = "INVALID"  # in place of an advice's name: a value that no kernel knows
INVALID_VALUE: Final = 77
AT: Final = 4  # first page of the mapping, behind a gap
GAP: Final = 2  # pages, between two mappings and of a gap that is advised
# What an advice takes back is given first, so that taking it back shows.
BEFORE: Final[dict[str, str]] = {
    "NORMAL": "RANDOM",
    "DOFORK": "DONTFORK",
    "DODUMP": "DONTDUMP",
    "KEEPONFORK": "WIPEONFORK",
    "UNMERGEABLE": "MERGEABLE",
    "NOHUGEPAGE": "HUGEPAGE",
    "GUARD_REMOVE": "GUARD_INSTALL",
}
# What they are for shows in a child.
FORKS: Final = frozenset({"DONTFORK", "DOFORK", "WIPEONFORK", "KEEPONFORK"})
SECOND: Final = ADVICE_BY_NAME["SEQUENTIAL"].value  # keeps the second of two from merging


class Cell(NamedTuple):
    """One advice given to one place of one kind of VMA.

    id: "advice/kind/place", with "process_madvise/" before it on that surface; it names no
    address and never changes its meaning. advice: a name of abi.advice, or INVALID. kind: a name
    of vma_kinds. guest: only a kernel that can be thrown away may run it.
    """

    id: str
    surface: str
    advice: str
    kind: str
    place: str
    program: Program
    guest: bool = False


def cells(surface: str = MADVISE) -> Iterator[Cell]:
    """All cells of madvise(2), or of process_madvise(2) on oneself; the order is stable. Memory
    that is poisoned is lost to a guest: of process_madvise(2), only a program's own pages are."""
    for name in (*ADVICE_BY_NAME, INVALID):
        for kind in VMA_KINDS:
            if surface == PROCESS_MADVISE and poisons(name) and not kind.poisonable():
                continue
            for place in PLACES:
                yield cell(name, kind.name, place, surface)


def poisons(advice: str) -> bool:
    """Is it HWPOISON or SOFT_OFFLINE?"""
    return advice != INVALID and ADVICE_BY_NAME[advice].family is Family.POISON


def cell(advice: str, kind: str, place: str, surface: str = MADVISE) -> Cell:
    """One cell. Raises KeyError and ValueError for names that there are not."""
    of, beside = BY_NAME[kind], BY_NAME["anon"]
    if surface == PROCESS_MADVISE and poisons(advice):
        # What a page shows that was only read, the zero page, is everybody's.
        beside = beside._replace(touched=ALL_WRITTEN)
        of = of._replace(touched=ALL_WRITTEN) if of.touched == WRITTEN else of
    row = None if advice == INVALID else ADVICE_BY_NAME[advice]
    value = INVALID_VALUE if row is None else row.value
    before = (ADVICE_BY_NAME[BEFORE[advice]].value,) if advice in BEFORE else ()
    layout, first, after = _laid_out(of, beside, place, before)
    start, length = page_address(first), (after - first) * PAGE
    call: Step = Madvise(start, length, value)
    if surface == PROCESS_MADVISE:
        call = ProcessMadvise(value, (IoRange(start, length),))
    elif surface != MADVISE:
        raise ValueError(f"no sweep of {surface}; there are {MADVISE} and {PROCESS_MADVISE}")
    steps = (call, Fork()) if advice in FORKS else (call,)
    mapped = sum(mapping.pages for mapping in layout if mapping.kind is of.kind)
    ident = f"{advice}/{kind}/{place}"
    return Cell(
        ident if surface == MADVISE else f"{surface}/{ident}",
        surface,
        advice,
        kind,
        place,
        Program(layout, steps, of.files(mapped)),
        poisons(advice),
    )


def _laid_out(
    kind: VmaKind, beside: VmaKind, place: str, before: tuple[int, ...]
) -> tuple[tuple[Mapping, ...], int, int]:
    """The layout of a place, and the pages [first, after) that are advised. beside: stands for the
    second of a kind that there is but one of."""
    at = HUGE_PAGES if kind.kind is Kind.HUGETLB else AT
    if place in ("across-two", "across-gap"):
        gap = GAP if place == "across-gap" else 0
        if kind.kind is Kind.HUGETLB:
            gap *= HUGE_PAGES // GAP
        half = kind.half if kind.twin else kind.pages
        one = kind.mapping(at, half, 0, before)
        other = kind if kind.twin else beside
        two = other.mapping(at + half + gap, other.half, half, (*before, SECOND))
        return (one, two), at, two.at + two.pages
    pages = kind.pages
    # Of a huge page no quarter can be advised, and no middle that is not cut.
    quarter = HUGE_PAGES if kind.kind is Kind.HUGETLB else pages // 4
    first, after = {
        "whole": (0, pages),
        "head": (0, quarter),
        "middle": (pages // 4, pages - pages // 4),
        "tail": (pages - quarter, pages),
        "start-in-gap": (-GAP, pages // 2),
        "end-in-gap": (pages // 2, pages + GAP),
    }[place]
    return (kind.mapping(at, pages, 0, before),), at + first, at + after
