"""Changes of the layout of a program, and of the process that it runs in."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from conformance.program.mapping import (
    FILE_KINDS,
    Backing,
    FileSlot,
    Kind,
    Lock,
    Mapping,
    Mark,
    Prot,
    Uffd,
)
from conformance.program.places import FILE_SLOTS
from conformance.program.program import Program, Rights
from fuzz.generate.boundaries import MARK_ADVICES
from fuzz.generate.chooser import Chooser
from fuzz.generate.layouts import Layout, parts_of, touch_patterns
from fuzz.generate.tables import ACCESS_WRITE, TEMPLATES

KIND, PROT, LOCK, UFFD, SEALED, SOFT_DIRTY, TOUCHES, MARK, NO_MARKS, SIZE, TWIN = range(11)
SHIFTS: Final = (-2, -1, 1, 2, 8)  # pages
PROTS: Final = (Prot.RW, Prot.R, Prot.NONE, Prot.RX)
LOCKS: Final = (Lock.NO, Lock.LOCKED, Lock.ONFAULT)
UFFDS: Final = (Uffd.NO, Uffd.MISSING, Uffd.WP)
RIGHTS: Final = tuple(Rights)
# Of a size of their own, or one for each process: they become nothing else, and nothing them.
SINGULAR: Final = frozenset({Kind.HUGETLB, Kind.PERF, Kind.VVAR})
MARKS_KEPT: Final = 3


def layout_of(program: Program) -> Layout:
    """What the generators aim at, of a program that is there already."""
    mappings: list[Mapping] = sorted(program.layout, key=lambda mapping: mapping.at)
    edges: list[int] = []
    for mapping in mappings:
        edges += (mapping.at, mapping.at + mapping.pages)
        for mark in mapping.marks:
            edges += (mapping.at + mark.page, mapping.at + mark.page + mark.pages)
    return Layout(mappings, program.files, tuple(edges))


def change_mapping(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """One mapping of another kind, protection or state, or touched and marked elsewhere."""
    del other
    at = chooser.integer(0, len(program.layout) - 1)
    mapping = program.layout[at]
    what = chooser.integer(0, TWIN)
    if what == KIND:
        return _of_other_kind(chooser, program, at)
    if what == TWIN:
        return _like_its_neighbour(program, at)
    return _with(program, at, _changed(chooser, mapping, what))


def _changed(chooser: Chooser, mapping: Mapping, what: int) -> Mapping:
    if what == PROT:
        return replace(mapping, prot=chooser.pick(PROTS))
    if what == LOCK:
        return replace(mapping, lock=chooser.pick(LOCKS))
    if what == UFFD:
        return replace(mapping, uffd=chooser.pick(UFFDS))
    if what == SEALED:
        return replace(mapping, sealed=not mapping.sealed)
    if what == SOFT_DIRTY:
        return replace(mapping, soft_dirty_cleared=not mapping.soft_dirty_cleared)
    if what == TOUCHES:
        return replace(mapping, touches=chooser.pick(touch_patterns(mapping.pages, ACCESS_WRITE)))
    if what == MARK:
        page, pages = chooser.pick(parts_of(mapping.pages))
        mark = Mark(page, pages, chooser.pick(MARK_ADVICES))
        if chooser.chance(1, 4):
            mark = Mark(page, pages, prot=chooser.pick(PROTS))
        return replace(mapping, marks=(*mapping.marks, mark)[-MARKS_KEPT:])
    if what == NO_MARKS:
        return replace(mapping, marks=())
    pages = max(1, mapping.pages + chooser.pick(SHIFTS))
    return replace(mapping, pages=pages, touches=(), marks=())


def _of_other_kind(chooser: Chooser, program: Program, at: int) -> Program | None:
    mapping, template = program.layout[at], chooser.pick(TEMPLATES)
    if mapping.kind in SINGULAR or template.kind in SINGULAR:
        return None
    files, slot = program.files, 0
    if template.backing is not None:
        files, slot = _slot(files, template.backing, mapping.pages)
        if len(files) > FILE_SLOTS:
            return None
    changed = replace(
        mapping, kind=template.kind, prot=template.prot, sharing=template.sharing, file=slot,
        offset=0, read_only_fd=template.read_only_fd,
    )  # fmt: skip
    return replace(_with(program, at, changed), files=files)


def _slot(
    files: tuple[FileSlot, ...], backing: Backing, pages: int
) -> tuple[tuple[FileSlot, ...], int]:
    for i, file in enumerate(files):
        if file.backing is backing:
            return files, i
    return (*files, FileSlot(backing, pages)), len(files)


def _like_its_neighbour(program: Program, at: int) -> Program | None:
    """The same as the mapping before it, with which it may then merge."""
    if not at:
        return None
    before, mapping = program.layout[at - 1], program.layout[at]
    if before.kind in SINGULAR or mapping.kind in SINGULAR:
        return None
    offset = before.offset + before.pages if before.kind in FILE_KINDS else 0
    alike = replace(before, at=mapping.at, pages=mapping.pages, offset=offset, touches=(), marks=())
    return _with(program, at, alike)


def move_mapping(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """One mapping, or it and all behind it, a few pages on: gaps open and close."""
    del other
    at = chooser.integer(0, len(program.layout) - 1)
    shift = chooser.pick(SHIFTS)
    last = len(program.layout) if chooser.chance(1, 2) else at + 1
    moved = tuple(
        replace(mapping, at=max(0, mapping.at + shift)) if at <= i < last else mapping
        for i, mapping in enumerate(program.layout)
    )
    return replace(program, layout=moved)


def other_process(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """Under other rights, in a sacrificial process, or with a file of another size."""
    del other
    what = chooser.integer(0, 2)
    if what == 0:
        return replace(program, rights=chooser.pick(RIGHTS), whole=False)
    if what == 1:
        return replace(program, whole=not program.whole, rights=Rights.ALL)
    if not program.files:
        return None
    at = chooser.integer(0, len(program.files) - 1)
    file = program.files[at]
    if file.backing is Backing.MEMFD and chooser.chance(1, 2):
        file = replace(file, sealed_write=not file.sealed_write)
    else:
        file = replace(file, pages=max(0, file.pages + chooser.pick(SHIFTS)))
    return replace(program, files=program.files[:at] + (file,) + program.files[at + 1 :])


def _with(program: Program, at: int, mapping: Mapping) -> Program:
    return replace(program, layout=program.layout[:at] + (mapping,) + program.layout[at + 1 :])
