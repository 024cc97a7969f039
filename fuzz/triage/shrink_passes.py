"""What may be left out of a program, or made plainer. Each pass proposes; it judges nothing.

Proposals need not be valid, nor smaller: shrink() sorts that out. They come with the boldest
first, since only so many of a pass are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from msgspec.structs import replace

from conformance.program import call as c
from conformance.program.mapping import FILE_KINDS, Kind, Mapping, Prot, Sharing
from conformance.program.program import Program, Rights
from fuzz.triage.shrink_columns import fewer_columns
from fuzz.triage.shrink_steps import simpler_steps, with_defaults, without_runs

Pass = Callable[[Program], Iterator[Program]]


def fewer_steps(program: Program) -> Iterator[Program]:
    """Without each run of steps."""
    for steps in without_runs(program.steps):
        yield replace(program, steps=steps)


def fewer_mappings(program: Program) -> Iterator[Program]:
    """Without each run of mappings."""
    for layout in without_runs(program.layout):
        yield replace(program, layout=layout)


def plain_process(program: Program) -> Iterator[Program]:
    """With all rights, and without the sacrificial process, where no call needs it."""
    if program.whole:
        yield replace(program, whole=False)
    if program.rights is not Rights.ALL:
        yield replace(program, rights=Rights.ALL)


def fewer_files(program: Program) -> Iterator[Program]:
    """Without each file; mappings of later files name their new number. Mappings of the file
    itself become anonymous."""
    for gone in range(len(program.files)):

        def renumbered(mapping: Mapping, gone: int = gone) -> Mapping:
            if mapping.kind not in FILE_KINDS or mapping.file < gone:
                return mapping
            if mapping.file == gone:
                return _anonymous(mapping)
            return replace(mapping, file=mapping.file - 1)

        files = program.files[:gone] + program.files[gone + 1 :]
        yield replace(_with_mappings(program, renumbered), files=files)
    for i, slot in enumerate(program.files):
        for plainer in (
            *with_defaults(slot),
            *(replace(slot, pages=n) for n in (1, slot.pages // 2, slot.pages - 1) if n >= 0),
        ):
            yield replace(program, files=program.files[:i] + (plainer,) + program.files[i + 1 :])


def _anonymous(mapping: Mapping) -> Mapping:
    return replace(mapping, kind=Kind.ANON, file=0, offset=0, read_only_fd=False)


def _with_mappings(program: Program, change: Callable[[Mapping], Mapping]) -> Program:
    """The same change to every mapping, of the layout and of mmap steps."""
    return replace(
        program,
        layout=tuple(change(mapping) for mapping in program.layout),
        steps=tuple(
            c.Mmap(change(step.mapping)) if isinstance(step, c.Mmap) else step
            for step in program.steps
        ),
    )


def plainer_mappings(program: Program) -> Iterator[Program]:
    """All mappings plain at once, then each in each way."""
    yield _with_mappings(program, _plain)
    yield _with_mappings(program, lambda m: replace(m, touches=(), marks=()))
    for i, mapping in enumerate(program.layout):
        for plainer in _simpler_mappings(mapping):
            layout = program.layout[:i] + (plainer,) + program.layout[i + 1 :]
            yield replace(program, layout=layout)


def _plain(mapping: Mapping) -> Mapping:
    return Mapping(Kind.ANON, mapping.at, mapping.pages)


def _simpler_mappings(mapping: Mapping) -> Iterator[Mapping]:
    yield _plain(mapping)
    yield replace(_plain(mapping), touches=mapping.touches)
    if mapping.kind is not Kind.ANON:
        yield _anonymous(mapping)
    yield from with_defaults(mapping)
    for prot in (Prot.RW, Prot.R, Prot.NONE):
        yield replace(mapping, prot=prot)
    yield replace(mapping, sharing=Sharing.PRIVATE)
    for offset in (1, mapping.offset // 2):
        yield replace(mapping, offset=offset)
    for touches in without_runs(mapping.touches):
        yield replace(mapping, touches=touches)
    for marks in without_runs(mapping.marks):
        yield replace(mapping, marks=marks)
    for i, touch in enumerate(mapping.touches):
        for pages in (1, touch.pages // 2, touch.pages - 1):
            shorter = replace(touch, pages=max(1, pages))
            yield replace(
                mapping, touches=mapping.touches[:i] + (shorter,) + mapping.touches[i + 1 :]
            )
    for pages in (1, mapping.pages // 2, mapping.pages - 1):
        if pages >= 1:
            yield replace(mapping, pages=pages)


def plainer_steps(program: Program) -> Iterator[Program]:
    """Each step in each plainer form."""
    for i, step in enumerate(program.steps):
        forms: Iterator[c.Step]
        if isinstance(step, c.Mmap):
            forms = (c.Mmap(mapping) for mapping in _simpler_mappings(step.mapping))
        else:
            forms = simpler_steps(step)
        for plainer in forms:
            yield replace(program, steps=program.steps[:i] + (plainer,) + program.steps[i + 1 :])


# What takes most away first: later passes then have less to look at.
PASSES: Final[tuple[Pass, ...]] = (
    fewer_steps,
    fewer_mappings,
    plainer_mappings,
    fewer_files,
    fewer_columns,
    plainer_steps,
    plain_process,
)
