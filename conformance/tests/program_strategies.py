"""Hypothesis strategies for programs: every kind of mapping, step and struct, most of them safe.

These know the types, not what a kernel does with them; validate() says which may be run.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from conformance.abi.advice import ADVICES
from conformance.program import call as c
from conformance.program import control_struct as cs
from conformance.program import places as p
from conformance.program.mapping import (
    FILE_KINDS,
    Backing,
    FileSlot,
    Kind,
    Lock,
    Mapping,
    Mark,
    Prot,
    Sharing,
    Touch,
    Uffd,
)
from conformance.program.program import Program, Rights
from conformance.program.text_places import PIDFDS, PLACES
from conformance.program.validate import validate

ROOM = 64  # arena pages that these programs use
WORDS = st.integers(0, (1 << 64) - 1)
BYTES = st.integers(0, 255)
ADVICE_NUMBERS = st.sampled_from([row.value for row in ADVICES])
ADVICE_WORDS = ADVICE_NUMBERS | st.integers(-(1 << 63), (1 << 64) - 1)
ADVICE_INTS = ADVICE_NUMBERS | st.integers(-(1 << 31), (1 << 32) - 1)
PIDFD_NUMBERS = st.sampled_from(sorted(PIDFDS.values())) | st.integers(-(1 << 31), -1)

NEAR_PLACES = st.builds(
    lambda place, delta: max(0, place.base + delta) & ((1 << 64) - 1),
    st.sampled_from(PLACES),
    st.integers(-20 * p.PAGE, 20 * p.PAGE),
)
ARENA_ADDRESSES = st.integers(0, ROOM).map(p.page_address)
ADDRESSES = ARENA_ADDRESSES | NEAR_PLACES | WORDS
LENGTHS = st.integers(0, ROOM).map(lambda pages: pages * p.PAGE) | st.integers(0, 1 << 25) | WORDS
STRUCT_PLACES = st.integers(p.ZONE_BASE, p.ZONE_END + 8) | ADDRESSES


@st.composite
def mappings(draw: st.DrawFn, at: int, pages: int, files: list[FileSlot]) -> Mapping:
    """A mapping of the layout at a given place."""
    kinds = [kind for kind in Kind if kind not in FILE_KINDS | {Kind.HUGETLB, Kind.VVAR, Kind.PERF}]
    kinds += [Kind(slot.backing.value) for slot in files]
    kind = draw(st.sampled_from(kinds))
    slots = [i for i, slot in enumerate(files) if slot.backing.value == kind.value]
    first = draw(st.lists(st.integers(0, pages - 1), max_size=3))
    marks = []
    for page in first:
        if draw(st.booleans()):
            advice = draw(ADVICE_NUMBERS.filter(lambda value: value not in (100, 101)))
            marks.append(Mark(page, draw(st.integers(1, pages - page)), advice=advice))
        else:
            prot = draw(st.sampled_from(Prot))
            marks.append(Mark(page, draw(st.integers(1, pages - page)), prot=prot))
    touches = [Touch(page, pages - page, draw(st.booleans())) for page in first]
    return Mapping(
        kind, at, pages, draw(st.sampled_from(Prot)), draw(st.sampled_from(Sharing)),
        draw(st.sampled_from(slots)) if slots else 0,
        draw(st.integers(0, 9)) if slots else 0,
        draw(st.booleans()) if slots else False,
        draw(st.sampled_from(Lock)), draw(st.sampled_from(Uffd)),
        draw(st.booleans()), draw(st.booleans()), tuple(touches), tuple(marks),
    )  # fmt: skip


@st.composite
def ranges(draw: st.DrawFn) -> cs.Range:
    return cs.Range(draw(ADDRESSES), draw(LENGTHS), draw(ADVICE_INTS))


RANGE_TUPLES = st.lists(ranges(), max_size=4).map(tuple)
COUNTS = st.none() | st.integers(0, 1100) | WORDS


@st.composite
def controls(draw: st.DrawFn) -> cs.Control:
    if draw(st.booleans()):
        raw = draw(st.binary(max_size=60)).hex()
        return cs.ControlBytes(raw, draw(RANGE_TUPLES))
    arm = draw(
        st.builds(cs.Single, ranges())
        | st.builds(cs.Multi, RANGE_TUPLES, COUNTS)
        | st.builds(cs.All, ADVICE_INTS, BYTES)
    )
    return cs.ControlFields(
        arm, draw(st.just(1) | st.integers(-(1 << 31), (1 << 32) - 1)),
        draw(st.none() | st.integers(-(1 << 31), (1 << 32) - 1)), draw(PIDFD_NUMBERS),
        draw(st.booleans()), draw(st.booleans()), draw(st.booleans()), draw(st.booleans()),
        draw(st.sampled_from((0, 0x10, 0xF0))), draw(st.just(0) | st.integers(0, 0xFFFFFF)),
        draw(BYTES),
    )  # fmt: skip


@st.composite
def steps(draw: st.DrawFn, files: list[FileSlot]) -> c.Step:
    kind = draw(st.sampled_from(list(c.Step.__args__)))
    if kind is c.Race:
        return draw(races(files))
    if kind is c.Mmap:
        full = draw(mappings(draw(st.integers(0, ROOM)), draw(st.integers(1, 8)), files))
        return c.Mmap(
            Mapping(full.kind, full.at, full.pages, full.prot, full.sharing, full.file,
                    full.offset, full.read_only_fd)
        )  # fmt: skip
    simple: dict[object, st.SearchStrategy[Any]] = {
        c.Madvise: st.builds(c.Madvise, ADDRESSES, LENGTHS, ADVICE_WORDS, st.booleans()),
        c.ProcessMadvise: st.builds(
            c.ProcessMadvise, ADVICE_WORDS,
            st.lists(st.builds(c.IoRange, ADDRESSES, LENGTHS), max_size=4).map(tuple),
            PIDFD_NUMBERS, st.just(0) | WORDS, COUNTS, STRUCT_PLACES, st.booleans(),
        ),
        c.MadviseRanges: st.builds(
            c.MadviseRanges, controls(), STRUCT_PLACES, STRUCT_PLACES, STRUCT_PLACES,
            st.just(0) | STRUCT_PLACES, BYTES, st.booleans(),
        ),
        c.Munmap: st.builds(c.Munmap, ADDRESSES, LENGTHS),
        c.Mprotect: st.builds(c.Mprotect, ADDRESSES, LENGTHS, st.sampled_from(Prot)),
        c.Mremap: st.builds(
            c.Mremap, ADDRESSES, LENGTHS, LENGTHS, st.none() | ADDRESSES, st.booleans()
        ),
        c.TouchPages: st.builds(
            c.TouchPages, st.integers(0, ROOM), st.integers(1, ROOM), st.booleans()
        ),
        c.Fork: st.just(c.Fork()),
        c.ForkExec: st.just(c.ForkExec()),
            c.Reclaim: st.just(c.Reclaim()),
    }  # fmt: skip
    step: c.Step = draw(simple[kind])
    return step


@st.composite
def races(draw: st.DrawFn, files: list[FileSlot]) -> c.Race:
    """Actors of any kind; a step that no actor may take becomes one that it may."""
    actors = []
    for number in range(draw(st.integers(2, 3))):
        taken: list[c.ActorStep] = []
        for i in range(draw(st.integers(1, 2))):
            step = draw(steps(files))
            if not isinstance(step, c.Madvise | c.Munmap | c.Mprotect | c.Mremap | c.TouchPages):
                step = c.ProcessMadvise(4, vec_at=p.ZONE_BASE + 0x100 * (1 + 2 * number + i))
            taken.append(msgspec.structs.replace(step, ilp32=False) if isinstance(step, c.Madvise)
                         else step)  # fmt: skip
        place = draw(st.sampled_from((c.ActorPlace.THREAD, c.ActorPlace.PROCESS)))
        actors.append(c.Actor(tuple(taken), place, draw(st.integers(0, 99)), 1))
    return c.Race(tuple(actors))


@st.composite
def any_programs(draw: st.DrawFn) -> Program:
    """Programs of the right types; many name what no program may reach."""
    backings = draw(st.lists(st.sampled_from(Backing), max_size=3))
    files = [
        FileSlot(b, draw(st.integers(0, 9)), b is Backing.MEMFD and draw(st.booleans()))
        for b in backings
    ]
    layout = []
    at = 0
    for _ in range(draw(st.integers(1, 4))):
        at += draw(st.integers(0, 2))
        pages = draw(st.integers(1, 6))
        layout.append(draw(mappings(at, pages, files)))
        at += pages
    chosen = draw(st.lists(steps(files), min_size=1, max_size=4))
    whole = draw(st.booleans())
    rights = Rights.ALL if whole else draw(st.sampled_from(Rights))
    return Program(tuple(layout), tuple(chosen), tuple(files), whole, rights)


def programs() -> st.SearchStrategy[Program]:
    """Programs that validate() accepts."""
    return any_programs().map(safe_part).filter(lambda program: not validate(program))


def safe_part(program: Program) -> Program:
    """The program without the steps that may not be run, so that few draws are lost."""
    bad = {problem.header[1] for problem in validate(program) if problem.header[0] == "step"}
    kept = tuple(step for i, step in enumerate(program.steps) if i not in bad)
    return Program(program.layout, kept or (c.Fork(),), program.files, program.whole,
                   program.rights)  # fmt: skip
