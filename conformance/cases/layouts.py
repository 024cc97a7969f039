"""Layouts and calls that many cases use, in as few words as can be."""

from __future__ import annotations

from typing import Any

from conformance.abi.advice import BY_NAME
from conformance.program.call import IoRange, Madvise, MadviseRanges, ProcessMadvise
from conformance.program.control_struct import All, ControlFields, Multi, Range, Single
from conformance.program.mapping import Kind, Lock, Mapping, Touch
from conformance.program.places import PAGE, page_address

ANON = Kind.ANON


def anon(at: int, pages: int, **more: Any) -> Mapping:
    """Private anonymous memory, not touched."""
    return Mapping(ANON, at, pages, **more)


def written(at: int, pages: int, **more: Any) -> Mapping:
    """Private anonymous memory, every page written."""
    return Mapping(ANON, at, pages, touches=(Touch(0, pages),), **more)


def locked(at: int, pages: int) -> Mapping:
    """Private anonymous memory under mlock(2)."""
    return Mapping(ANON, at, pages, lock=Lock.LOCKED)


def advice(name: str) -> int:
    """The value of an advice."""
    return BY_NAME[name].value


def madvise(page: int, pages: int, name: str) -> Madvise:
    """madvise(2) on arena pages."""
    return Madvise(page_address(page), pages * PAGE, advice(name))


def vector(name: str, *spans: tuple[int, int], **more: Any) -> ProcessMadvise:
    """process_madvise(2) on oneself, on spans of (page, pages)."""
    vec = tuple(IoRange(page_address(page), pages * PAGE) for page, pages in spans)
    return ProcessMadvise(advice(name), vec, **more)


def span(page: int, pages: int, name: str) -> Range:
    """struct madvise_range on arena pages."""
    return Range(page_address(page), pages * PAGE, advice(name))


def single(entry: Range, **more: Any) -> MadviseRanges:
    """madvise_ranges(SINGLE); more: members of the control struct, or of the call."""
    return _call(Single(entry), more)


def multi(*entries: Range, count: int | None = None, **more: Any) -> MadviseRanges:
    """madvise_ranges(MULTI); count: what the struct says, None: as many as there are."""
    return _call(Multi(entries, count), more)


def whole(name: str, set_default: int = 0, **more: Any) -> MadviseRanges:
    """madvise_ranges(ALL)."""
    return _call(All(advice(name), set_default), more)


def _call(arm: Single | Multi | All, more: dict[str, Any]) -> MadviseRanges:
    members = {name: more.pop(name) for name in list(more) if name in _MEMBERS}
    return MadviseRanges(ControlFields(arm, **members), **more)


_MEMBERS = frozenset(ControlFields.__struct_fields__)
