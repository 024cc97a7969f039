"""Layouts and calls that many cases use, in as few words as can be."""

from __future__ import annotations

from typing import Any

from conformance.abi.advice import BY_NAME
from conformance.program.call import (
    IoRange,
    Madvise,
    MadviseRanges,
    ProcessMadvise,
    TouchPages,
)
from conformance.program.control_struct import All, ControlFields, Multi, Range, Single
from conformance.program.mapping import (
    Backing,
    FileSlot,
    Kind,
    Lock,
    Mapping,
    Prot,
    Sharing,
    Touch,
)
from conformance.program.places import PAGE, page_address

ANON = Kind.ANON
HUGE = 512  # pages in a huge page, and the first arena page that one may begin at
MEMFD = (FileSlot(Backing.MEMFD, 8),)  # for memfd()


def anon(at: int, pages: int, **more: Any) -> Mapping:
    """Private anonymous memory, not touched."""
    return Mapping(ANON, at, pages, **more)


def written(at: int, pages: int, **more: Any) -> Mapping:
    """Private anonymous memory, every page written."""
    return Mapping(ANON, at, pages, touches=(Touch(0, pages),), **more)


def shared(at: int, pages: int, **more: Any) -> Mapping:
    """Shared anonymous memory, every page written."""
    return Mapping(ANON, at, pages, sharing=Sharing.SHARED, touches=(Touch(0, pages),), **more)


def memfd(at: int, pages: int, **more: Any) -> Mapping:
    """A shared mapping of file slot 0, a memfd, not touched."""
    return Mapping(Kind.MEMFD, at, pages, sharing=Sharing.SHARED, **more)


def perf(at: int) -> Mapping:
    """Page frames of the kernel's, five of them."""
    return Mapping(Kind.PERF, at, 5, sharing=Sharing.SHARED)


def vvar(at: int) -> Mapping:
    """The process's own [vvar], with room for eight pages."""
    return Mapping(Kind.VVAR, at, 8, Prot.R)


def droppable(at: int, pages: int) -> Mapping:
    """MAP_DROPPABLE, every page written."""
    return Mapping(Kind.DROPPABLE, at, pages, touches=(Touch(0, pages),))


def hugetlb(pages: int = 2 * HUGE) -> Mapping:
    """Private huge pages of hugetlb from arena page HUGE on, the first one written."""
    return Mapping(Kind.HUGETLB, HUGE, pages, touches=(Touch(0),))


def locked(at: int, pages: int) -> Mapping:
    """Private anonymous memory under mlock(2)."""
    return Mapping(ANON, at, pages, lock=Lock.LOCKED)


def advice(name: str) -> int:
    """The value of an advice."""
    return BY_NAME[name].value


def madvise(page: int, pages: int, name: str) -> Madvise:
    """madvise(2) on arena pages."""
    return Madvise(page_address(page), pages * PAGE, advice(name))


def read(page: int, pages: int = 1) -> TouchPages:
    """The program reads pages."""
    return TouchPages(page, pages, write=False)


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
