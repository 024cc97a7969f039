"""A program of a sweep that is no cell, and the words that such programs are written with."""

from __future__ import annotations

from typing import Final, NamedTuple

from conformance.abi.advice import BY_NAME
from conformance.program.control_struct import Range
from conformance.program.mapping import Kind, Lock, Mapping, Mark, Touch
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program

DONTDUMP: Final = BY_NAME["DONTDUMP"].value
ROOM: Final = 8  # pages that [vvar] may span


class Swept(NamedTuple):
    """One program. id: "chapter/...", without address or number of a run; it never changes its
    meaning."""

    id: str
    program: Program


def advice(name: str) -> int:
    """The value of an advice."""
    return BY_NAME[name].value


def span(page: int, pages: int, name: str) -> Range:
    """struct madvise_range on arena pages."""
    return Range(page_address(page), pages * PAGE, advice(name))


def good(at: int, pages: int = 4, undumped: bool = False) -> Mapping:
    """Private memory, every page written, that takes any advice. undumped: marked DONTDUMP, so
    that it shows where DODUMP was given."""
    marks = (Mark(0, pages, DONTDUMP),) if undumped else ()
    return Mapping(Kind.ANON, at, pages, touches=(Touch(0, pages),), marks=marks)


def locked(at: int, pages: int = 4) -> Mapping:
    """Private memory that refuses discards and COLD."""
    return Mapping(Kind.ANON, at, pages, lock=Lock.LOCKED)


def droppable(at: int, pages: int = 4) -> Mapping:
    """Memory that refuses DODUMP."""
    return Mapping(Kind.DROPPABLE, at, pages)


def vvar(at: int) -> Mapping:
    """Memory of the kernel's, a child's too, that refuses COLD."""
    return Mapping(Kind.VVAR, at, ROOM)
