"""Taking pages out of the arena, as one takes columns out of a table: mappings, ranges and places
of structs that span them become shorter, what lies above moves down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from msgspec.structs import replace

from conformance.program import call as c
from conformance.program import control_struct as cs
from conformance.program.mapping import Mapping
from conformance.program.places import ARENA_BASE, ARENA_END_MAX, PAGE
from conformance.program.plan import signal_of
from conformance.program.program import Program

SIZES: Final = (1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1)  # pages taken out at once
REACH_PAGES_MAX: Final = 96  # how far up single pages are tried one by one

_Map = Callable[[int], int]  # old page number -> new page number


def fewer_columns(program: Program) -> Iterator[Program]:
    """The program without a run of pages, long runs first, everywhere they fit."""
    pages = program.arena_pages()
    for size in SIZES:
        if size > pages:
            continue
        last = pages if size > 1 else min(pages, REACH_PAGES_MAX)
        for first in range(0, last, size):
            yield delete_columns(program, first, size)


def delete_columns(program: Program, first: int, count: int) -> Program:
    """The program without arena pages [first, first + count). A mapping that lies wholly in them
    goes; one that is touched or marked there is less so."""

    def page(number: int) -> int:
        if number <= first:
            return number
        return max(first, number - count)

    layout = [_mapping(mapping, page) for mapping in program.layout]
    return replace(
        program,
        layout=tuple(mapping for mapping in layout if mapping is not None),
        steps=tuple(moved for step in program.steps for moved in _step(step, page)),
    )


def _mapping(mapping: Mapping, page: _Map) -> Mapping | None:
    at = page(mapping.at)
    pages = page(mapping.at + mapping.pages) - at
    if not pages:
        return None
    return replace(
        mapping,
        at=at,
        pages=pages,
        touches=_inner(mapping.touches, mapping.at, at, page),
        marks=_inner(mapping.marks, mapping.at, at, page),
    )


def _inner(parts: tuple[Any, ...], old_at: int, new_at: int, page: _Map) -> tuple[Any, ...]:
    """Touches or marks, whose pages count from the start of their mapping."""
    out = []
    for part in parts:
        start = page(old_at + part.page)
        pages = page(old_at + part.page + part.pages) - start
        if pages:
            out.append(replace(part, page=start - new_at, pages=pages))
    return tuple(out)


def _address(address: int, page: _Map) -> int:
    if not ARENA_BASE <= address <= ARENA_END_MAX:
        return address
    number, inside = divmod(address - ARENA_BASE, PAGE)
    return ARENA_BASE + page(number) * PAGE + inside


def _length(start: int, length: int, page: _Map) -> int:
    """The length that takes the moved start to the moved end; unchanged where either is outside."""
    end = start + length
    if not (ARENA_BASE <= start and end <= ARENA_END_MAX):
        return length
    # An end inside a page moves with that page; the page itself stays in the range.
    number, inside = divmod(end - ARENA_BASE, PAGE)
    new_end = ARENA_BASE + page(number) * PAGE + inside
    return max(0, new_end - _address(start, page))


def _race(race: c.Race, page: _Map) -> c.Race:
    """Each actor's steps, moved; who has none left stays away."""
    actors = []
    for actor in race.actors:
        steps = tuple(moved for step in actor.steps for moved in _step(step, page))
        if steps:
            actors.append(replace(actor, steps=steps))
    return c.Race(tuple(actors))


def _step(step: Any, page: _Map) -> list[Any]:
    """The step, moved; nothing where it is an access or a mapping of pages that are gone."""
    signal = signal_of(step)
    if signal is not None and signal.pages:
        start = page(signal.page)
        pages = page(signal.page + signal.pages) - start
        step = replace(step, signal=replace(signal, page=start, pages=pages) if pages else None)
    if isinstance(step, c.Race):
        return [_race(step, page)]
    if isinstance(step, c.Store):
        return [replace(step, at=_address(step.at, page))]
    if isinstance(step, c.TouchPages):
        start = page(step.page)
        pages = page(step.page + step.pages) - start
        return [replace(step, page=start, pages=pages)] if pages else []
    if isinstance(step, c.Mmap):
        mapping = _mapping(step.mapping, page)
        return [c.Mmap(mapping)] if mapping is not None else []
    if isinstance(step, c.Madvise | c.Munmap | c.Mprotect):
        return [
            replace(
                step,
                start=_address(step.start, page),
                length=_length(step.start, step.length, page),
            )
        ]
    if isinstance(step, c.Mremap):
        to = step.start if step.target is None else step.target
        return [
            replace(
                step,
                start=_address(step.start, page),
                old_length=_length(step.start, step.old_length, page),
                new_length=_length(to, step.new_length, page),
                target=None if step.target is None else _address(step.target, page),
            )
        ]
    if isinstance(step, c.ProcessMadvise):
        return [
            replace(
                step,
                vec=tuple(_range(entry, page) for entry in step.vec),
                vec_at=_address(step.vec_at, page),
            )
        ]
    if isinstance(step, c.MadviseRanges):
        return [
            replace(
                step,
                control=_control(step.control, page),
                ctl_at=_address(step.ctl_at, page),
                array_at=_address(step.array_at, page),
                stats_at=_address(step.stats_at, page),
                per_range_at=_address(step.per_range_at, page),
            )
        ]
    return [step]


def _range(entry: Any, page: _Map) -> Any:
    return replace(
        entry, start=_address(entry.start, page), length=_length(entry.start, entry.length, page)
    )


def _control(control: cs.Control, page: _Map) -> cs.Control:
    if isinstance(control, cs.ControlBytes):
        return replace(control, ranges=tuple(_range(entry, page) for entry in control.ranges))
    arm = control.arm
    if isinstance(arm, cs.Single):
        arm = replace(arm, range=_range(arm.range, page))
    elif isinstance(arm, cs.Multi):
        arm = replace(arm, ranges=tuple(_range(entry, page) for entry in arm.ranges))
    return replace(control, arm=arm)
