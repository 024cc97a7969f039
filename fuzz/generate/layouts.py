"""Layouts: mappings with and without gaps, alike often enough to merge, touched and marked."""

from __future__ import annotations

from typing import Final

from conformance.abi.advice import BY_NAME
from conformance.program.mapping import Backing, FileSlot, Kind, Mapping, Mark, Prot, Touch, Uffd
from conformance.program.places import FILE_SLOTS
from fuzz.generate.boundaries import MARK_ADVICES
from fuzz.generate.chooser import Chooser, table
from fuzz.generate.options import GenerateOptions
from fuzz.generate.swarm import Swarm
from fuzz.generate.tables import (
    ACCESS_NONE,
    ACCESS_READ,
    GAPS,
    HUGETLB,
    MAPPING_COUNTS,
    PLAIN,
    SIZES,
    TEMPLATES,
    UFFD_KINDS,
    Extra,
    Template,
)

PAGES_CAP: Final = 480  # a layout without hugetlb ends below this page
HUGE_PAGES: Final = 512  # base pages in a 2 MiB page
VVAR_PAGES: Final = 8  # room for [vvar], which no kernel so far fills
SLOTS_USUAL: Final = 4
_HUGETLB_ONE_IN: Final = 400
# A mapping with room for huge pages costs as much as a hundred ordinary programs, in guests more.
_HUGE_ONE_IN: Final = 1000
_HUGE_SIZES: Final = table((4, 0), (2, 1), (2, HUGE_PAGES), (1, HUGE_PAGES + 3))  # beyond one
_HUGE_STARTS: Final = table((3, 0), (1, 1), (1, 16))  # before the boundary, in pages
_HUGE_TOUCHES: Final = table(
    (4, (Touch(0),)), (2, ()), (2, (Touch(20, 3),)), (2, (Touch(9, 1, False),)),
    (1, (Touch(0, 600),)), (1, (Touch(3, 1, False), Touch(500))),
)  # fmt: skip
_HUGE_MARKS: Final = table(
    (5, "HUGEPAGE"), (1, "NOHUGEPAGE"), (1, "DONTNEED"), (1, "GUARD_INSTALL"), (2, ""),
)  # fmt: skip
_MARK_COUNTS: Final = table((16, 0), (5, 1), (2, 2), (1, 3))
# A member of an enum is looked up through its metaclass, which costs more than a draw.
_PERF: Final = Kind.PERF
_PERF_SIZES: Final = (2, 3, 5)
_VVAR: Final = Kind.VVAR
_NO_UFFD: Final = Uffd.NO
_MARK_PROTS: Final = (Prot.R, Prot.NONE, Prot.RW)
_OFFSETS: Final = table((4, 0), (2, 1), (1, 2), (1, 5))  # first page mapped of a shared file
# Pages that a file is longer than what is mapped of it; below 0 the mapping passes its end.
_FILE_EXCESS: Final = table((8, 0), (2, 1), (1, 3), (3, -1), (1, -2), (1, -9))

Touches = tuple[Touch, ...]
_TOUCHES: dict[int, tuple[Touches, ...]] = {}
_PARTS: dict[int, tuple[tuple[int, int], ...]] = {}


class Layout:
    """A drawn layout, and what the steps after it aim at.

    edges: pages at which a mapping or a mark begins or ends; end: first page after all.
    """

    __slots__ = ("mappings", "files", "edges", "end")

    def __init__(
        self, mappings: list[Mapping], files: tuple[FileSlot, ...], edges: tuple[int, ...]
    ) -> None:
        self.mappings = mappings
        self.files = files
        self.edges = edges
        self.end = mappings[-1].at + mappings[-1].pages


class _Slots:
    """The files of a layout while it grows: backing, pages mapped, and page after the mapping
    that was made last, of each."""

    __slots__ = ("backings", "extents", "nexts")

    def __init__(self) -> None:
        self.backings: list[Backing] = []
        self.extents: list[int] = []
        self.nexts: list[int] = []

    def draw(self, chooser: Chooser, backing: Backing) -> int:
        """A slot of this backing: one that is mapped already in half of the cases, which makes
        aliases, as long as there is room for new ones."""
        same = [i for i, known in enumerate(self.backings) if known is backing]
        full = len(self.backings) >= (FILE_SLOTS if not same else SLOTS_USUAL)
        if same and (full or chooser.chance(1, 2)):
            return chooser.pick(tuple(same))
        self.backings.append(backing)
        self.extents.append(0)
        self.nexts.append(0)
        return len(self.backings) - 1

    def map(self, slot: int, offset: int, pages: int) -> None:
        """Note that pages [offset, offset + pages) of a slot are mapped."""
        self.nexts[slot] = offset + pages
        self.extents[slot] = max(self.extents[slot], offset + pages)

    def finish(self, chooser: Chooser) -> tuple[FileSlot, ...]:
        """The files, some shorter than what is mapped of them, some memfds to be sealed."""
        out: list[FileSlot] = []
        for backing, extent in zip(self.backings, self.extents, strict=True):
            pages = max(0, extent + chooser.pick(_FILE_EXCESS))
            sealed = backing is Backing.MEMFD and chooser.chance(1, 12)
            out.append(FileSlot(backing, pages, sealed))
        return tuple(out)


def draw_layout(chooser: Chooser, swarm: Swarm, options: GenerateOptions) -> Layout:
    """One to options.mappings_max mappings, in order of address."""
    pick = chooser.pick
    mappings: list[Mapping] = []
    edges: list[int] = []
    slots = _Slots()
    at = 0
    template = TEMPLATES[0]
    extra = PLAIN
    has_vvar = False
    before: Mapping | None = None
    for _ in range(min(pick(MAPPING_COUNTS), options.mappings_max)):
        at += pick(GAPS)
        twin = before is not None and chooser.chance(swarm.twins, 8)
        if not twin:
            template = pick(swarm.templates)
            extra = pick(swarm.extras)
        pages = pick(SIZES)
        if template.kind is _PERF:
            pages = pick(_PERF_SIZES)
        if template.kind is _VVAR:
            pages = VVAR_PAGES
            if has_vvar:  # a process has one only
                template = TEMPLATES[0]
            has_vvar = True
        if at + pages > PAGES_CAP:
            break
        like = before if twin else None
        mapping = _draw_mapping(chooser, swarm, slots, template, extra, at, pages, like)
        before = mapping
        mappings.append(mapping)
        edges.append(at)
        at += pages
        edges.append(at)
        for mark in mapping.marks:
            page = mapping.at + mark.page
            edges += (page, page + mark.pages)
    if chooser.chance(1, _HUGE_ONE_IN):
        mapping = _huge(chooser, swarm)
        del mappings[options.mappings_max - 1 :]
        mappings.append(mapping)
        low, high = mapping.at, mapping.at + mapping.pages
        inner = range(-(-low // HUGE_PAGES) * HUGE_PAGES, high, HUGE_PAGES)
        edges += (low, high, *inner, inner[0] + 1)
    elif chooser.chance(1, _HUGETLB_ONE_IN):
        del mappings[options.mappings_max - 1 :]
        mappings.append(_hugetlb(chooser, at))
        edges += (HUGE_PAGES, HUGE_PAGES + 1, 2 * HUGE_PAGES - 1, 2 * HUGE_PAGES)
    return Layout(mappings, slots.finish(chooser), tuple(edges))


def _draw_mapping(
    chooser: Chooser,
    swarm: Swarm,
    slots: _Slots,
    template: Template,
    extra: Extra,
    at: int,
    pages: int,
    like: Mapping | None,
) -> Mapping:
    """like: the mapping before, which this one repeats and may merge with."""
    slot = offset = 0
    if template.backing is not None:
        if like is not None and like.kind is template.kind:
            slot = like.file
            offset = slots.nexts[slot] + (1 if chooser.chance(1, 8) else 0)
        else:
            slot = slots.draw(chooser, template.backing)
            offset = chooser.pick(_OFFSETS)
        slots.map(slot, offset, pages)
    uffd = extra.uffd
    if uffd is not _NO_UFFD and template.kind not in UFFD_KINDS:
        uffd = _NO_UFFD
    marks: tuple[Mark, ...] = ()
    count = chooser.pick(_MARK_COUNTS)
    if count:
        marks = tuple([_draw_mark(chooser, swarm, pages) for _ in range(count)])
    return Mapping(
        template.kind,
        at,
        pages,
        template.prot,
        template.sharing,
        slot,
        offset,
        template.read_only_fd,
        extra.lock,
        uffd,
        extra.sealed,
        extra.soft_dirty_cleared,
        chooser.pick(touch_patterns(pages, template.access)),
        marks,
    )


def _draw_mark(chooser: Chooser, swarm: Swarm, pages: int) -> Mark:
    """Advice of the program's palette where a mark may have it, or any, or a protection."""
    page, count = chooser.pick(parts_of(pages))
    kind = chooser.integer(0, 3)
    if kind == 3:
        return Mark(page, count, None, chooser.pick(_MARK_PROTS))
    advice = chooser.pick(swarm.advices) if kind == 0 else chooser.pick(MARK_ADVICES)
    return Mark(page, count, advice if advice in MARK_ADVICES else MARK_ADVICES[0])


def _huge(chooser: Chooser, swarm: Swarm) -> Mapping:
    """Anonymous memory around a huge boundary behind everything else, touched here and there
    after it was advised (which a step then does), or before."""
    pick = chooser.pick
    before = pick(_HUGE_STARTS)
    pages = before + HUGE_PAGES + pick(_HUGE_SIZES)
    name = pick(_HUGE_MARKS)
    marks: tuple[Mark, ...] = ()
    if name:
        page, count = (0, pages) if chooser.chance(3, 4) else pick(parts_of(pages))
        marks = (Mark(page, count, BY_NAME[name].value),)
    template = TEMPLATES[0]
    touches = tuple([t for t in pick(_HUGE_TOUCHES) if t.page + t.pages <= pages])
    extra = pick(swarm.extras)
    return Mapping(
        template.kind,
        HUGE_PAGES - before,
        pages,
        template.prot,
        template.sharing,
        lock=extra.lock,
        uffd=extra.uffd,
        touches=touches,
        marks=marks,
    )


def _hugetlb(chooser: Chooser, after: int) -> Mapping:
    """One huge page at the first huge boundary behind everything else (which is page 512)."""
    assert after <= HUGE_PAGES
    touches = (Touch(0, 2),) if chooser.chance(1, 2) else ()
    return Mapping(
        HUGETLB.kind, HUGE_PAGES, HUGE_PAGES, HUGETLB.prot, HUGETLB.sharing, touches=touches
    )


def parts_of(pages: int) -> tuple[tuple[int, int], ...]:
    """(first, count) of parts of so many pages: all of them when few, else those at the ends
    and the middle."""
    found = _PARTS.get(pages)
    if found is None:
        ends = range(pages + 1) if pages <= 6 else (0, 1, 2, pages // 2, pages - 1, pages)
        found = tuple([(low, high - low) for low in ends for high in ends if low < high])
        _PARTS[pages] = found
    return found


def touch_patterns(pages: int, access: int) -> tuple[Touches, ...]:
    """Ways to touch a mapping of so many pages. Those without the right mostly stay away: a
    touch that faults ends its step, and leaves less to look at."""
    key = pages * 3 + access
    found = _TOUCHES.get(key)
    if found is None:
        found = _make_patterns(pages, access)
        _TOUCHES[key] = found
    return found


def _make_patterns(pages: int, access: int) -> tuple[Touches, ...]:
    none: Touches = ()
    reads = [(Touch(page, count, False),) for page, count in parts_of(pages)]
    writes = [(Touch(page, count),) for page, count in parts_of(pages)]
    read_all, write_all = (Touch(0, pages, False),), (Touch(0, pages),)
    parts = len(writes)
    if access == ACCESS_NONE:
        return table((20, none), (1, read_all), (1, write_all))
    if access == ACCESS_READ:
        return table((4 * parts, none), (4 * parts, read_all), (1, write_all)) + tuple(reads * 4)
    last = Touch(pages - 1)
    mixed: list[Touches] = [(Touch(0), last), (*read_all, last), (Touch(0), *read_all)]
    mixed.append(tuple([Touch(page) for page in range(0, min(pages, 8), 2)]))
    rows = table((2 * parts, none), (3 * parts, write_all), (parts, read_all))
    return rows + tuple(writes * 3 + reads) + tuple(mixed * max(1, parts // 2))
