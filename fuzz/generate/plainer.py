"""The programs that are left of one when parts of it are dropped or made plainer, from choices.

A choice of 0 drops a part, or makes a value as plain as it can be; the highest one keeps it as it
is. So a driver that shrinks its choices shrinks the program, and the highest choices are the
program itself. Like every generator it knows nothing of what is right; what it makes need not
validate.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from itertools import pairwise
from typing import Any, Final, Protocol

import msgspec
from msgspec.structs import replace

from conformance.abi.advice import BY_NAME
from conformance.program import call as c
from conformance.program import control_struct as cs
from conformance.program.mapping import FILE_KINDS, Kind, Mapping
from conformance.program.places import ARENA_BASE, ARENA_END_MAX, PAGE
from conformance.program.program import Program, Rights

# Takes pages [first, first + count) out of a program's arena.
DeleteColumns = Callable[[Program, int, int], Program]

ADVICES: Final = tuple(BY_NAME[name].value for name in ("NORMAL", "COLD", "DONTNEED", "FREE"))
SEGMENTS_MAX: Final = 48  # of the arena, between its edges: more of them are left alone
_NO_DEFAULT: Final = (msgspec.NODEFAULT,)
_PLAIN_KIND: Final[dict[str, Any]] = {"kind": Kind.ANON, "write": True}


class Whittler(Protocol):
    """The one thing that is asked of a Chooser here."""

    def integer(self, low: int, high: int) -> int:
        """See Chooser."""
        ...


def plainer(chooser: Whittler, program: Program, delete_columns: DeleteColumns) -> Program:
    """What a chooser leaves of a program."""
    steps = _kept(chooser, program.steps)
    layout = _kept(chooser, program.layout)
    changes: dict[str, Any] = {"steps": steps, "layout": layout}
    if program.whole:
        changes["whole"] = _flag(chooser)
    if program.rights is not Rights.ALL and not _flag(chooser):
        changes["rights"] = Rights.ALL
    out = _fewer_pages(chooser, replace(program, **changes), delete_columns)
    out = replace(
        out,
        layout=tuple(_mapping(chooser, mapping) for mapping in out.layout),
        steps=tuple(_step(chooser, step) for step in out.steps),
    )
    return _used_files(out)


def _flag(chooser: Whittler) -> bool:
    return chooser.integer(0, 1) == 1


def _kept(chooser: Whittler, items: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple([item for item in items if _flag(chooser)])


def _fewer_pages(chooser: Whittler, program: Program, delete: DeleteColumns) -> Program:
    """How many pages are left between each two edges, from the top down: what lies below a
    deletion keeps its place."""
    edges = sorted({0, *_edges(program)})
    segments = list(pairwise(edges))[:SEGMENTS_MAX]
    for low, high in reversed(segments):
        left = chooser.integer(0, high - low)
        if left < high - low:
            program = delete(program, low + left, high - low - left)
    return program


def _edges(program: Program) -> list[int]:
    """Page numbers at which something of a program begins or ends."""
    mapped = [*program.layout, *(s.mapping for s in program.steps if isinstance(s, c.Mmap))]
    edges = [edge for mapping in mapped for edge in (mapping.at, mapping.at + mapping.pages)]
    for step in program.steps:
        if isinstance(step, c.TouchPages):
            edges += (step.page, step.page + step.pages)
        for start, length in _spans(step):
            for address in (start, start + length):
                if ARENA_BASE <= address <= ARENA_END_MAX:
                    edges.append((address - ARENA_BASE) // PAGE)
    return edges


def _spans(step: c.Step) -> list[tuple[int, int]]:
    if isinstance(step, c.Madvise | c.Munmap | c.Mprotect):
        return [(step.start, step.length)]
    if isinstance(step, c.Mremap):
        return [(step.start, step.old_length), (step.target or step.start, step.new_length)]
    if isinstance(step, c.ProcessMadvise):
        return [(entry.start, entry.length) for entry in step.vec]
    if isinstance(step, c.MadviseRanges):
        return [(entry.start, entry.length) for entry in _ranges(step.control)]
    return []


def _ranges(control: cs.Control) -> tuple[cs.Range, ...]:
    if isinstance(control, cs.ControlBytes):
        return control.ranges
    if isinstance(control.arm, cs.Multi):
        return control.arm.ranges
    return (control.arm.range,) if isinstance(control.arm, cs.Single) else ()


def _mapping(chooser: Whittler, mapping: Mapping) -> Mapping:
    """at and pages stay: the edges have decided them."""
    out: Mapping = _struct(chooser, mapping, ("at", "pages", "file"))
    if out.kind not in FILE_KINDS:
        return replace(out, file=0, offset=0, read_only_fd=False)
    return out


def _step(chooser: Whittler, step: c.Step) -> c.Step:
    if isinstance(step, c.Mmap):
        return c.Mmap(_mapping(chooser, step.mapping))
    out: c.Step = _struct(chooser, step, ("raw",))
    if isinstance(out, c.MadviseRanges) and isinstance(out.control, cs.ControlFields):
        arm = out.control.arm
        if isinstance(arm, cs.Multi) and len(arm.ranges) == 1 and not _flag(chooser):
            return replace(out, control=replace(out.control, arm=cs.Single(arm.ranges[0])))
    return out


def _struct(chooser: Whittler, value: Any, as_is: tuple[str, ...] = ()) -> Any:
    """A struct with each of its members plainer."""
    changes: dict[str, Any] = {}
    for field in msgspec.structs.fields(value):
        if field.name in as_is:
            continue
        member = getattr(value, field.name)
        default = field.default
        if default in _NO_DEFAULT:
            default = _PLAIN_KIND.get(field.name, member)
        if isinstance(member, tuple):
            kept = _kept(chooser, member)
            changes[field.name] = tuple(_struct(chooser, element) for element in kept)
        elif isinstance(member, msgspec.Struct):
            changes[field.name] = _struct(chooser, member)
        elif field.name == "advice" and isinstance(member, int):
            changes[field.name] = _advice(chooser, member)
        elif isinstance(member, int) and not isinstance(member, bool | Enum):
            default = field.default if isinstance(field.default, int) else 0
            changes[field.name] = _number(chooser, member, default)
        elif member != default:
            changes[field.name] = member if _flag(chooser) else default
    return replace(value, **changes)


def _advice(chooser: Whittler, advice: int) -> int:
    """One of the plain ones that stand before it, or itself."""
    known = ADVICES[: ADVICES.index(advice)] if advice in ADVICES else ADVICES
    if not known:
        return advice
    return (*known, advice)[chooser.integer(0, len(known))]


def _number(chooser: Whittler, value: int, default: int) -> int:
    """A number between the plain one and itself, whole pages apart from what is left of one."""
    if value == default:
        return value
    if default and not _flag(chooser):
        return default
    base = ARENA_BASE if ARENA_BASE <= value <= ARENA_END_MAX else 0
    if not 0 <= value - base < ARENA_END_MAX:  # minus something, or an address far away
        return value if default or _flag(chooser) else default
    pages, inside = divmod(value - base, PAGE)
    pages = chooser.integer(0, pages) if pages else 0
    inside = chooser.integer(0, inside) if inside else 0
    return base + pages * PAGE + inside


def _used_files(program: Program) -> Program:
    """Without the files that nothing maps any more."""
    mapped = [*program.layout, *(s.mapping for s in program.steps if isinstance(s, c.Mmap))]
    used = sorted({m.file for m in mapped if m.kind in FILE_KINDS})
    if len(used) == len(program.files):
        return program

    def renumbered(mapping: Mapping) -> Mapping:
        if mapping.kind not in FILE_KINDS:
            return mapping
        return replace(mapping, file=used.index(mapping.file))

    return replace(
        program,
        files=tuple(slot for i, slot in enumerate(program.files) if i in used),
        layout=tuple(renumbered(mapping) for mapping in program.layout),
        steps=tuple(
            c.Mmap(renumbered(step.mapping)) if isinstance(step, c.Mmap) else step
            for step in program.steps
        ),
    )
