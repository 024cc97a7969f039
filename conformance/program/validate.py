"""validate(): is a value of type Program a program that may be run?

Asked of every file that is read, and in tests of every program that is generated. Types are
not checked again: a Program holds the types that it declares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from conformance.abi.advice import BY_VALUE
from conformance.program import call as c
from conformance.program import control_struct as cs
from conformance.program.mapping import (
    FILE_KINDS,
    Backing,
    FileSlot,
    Kind,
    Mapping,
    Prot,
    Sharing,
    Uffd,
)
from conformance.program.places import ARENA_PAGES_MAX, FILE_SLOTS, PAGE
from conformance.program.plan import fail_nth, signal_of
from conformance.program.program import (
    MAPPINGS_MAX,
    STEP_PAGES_MAX,
    STEPS_LONG_MAX,
    STEPS_MAX,
    Program,
    Rights,
)
from conformance.program.race import has_race
from conformance.program.reach import (
    ARENA,
    POISON_ADVICES,
    Danger,
    madvise_ranges_danger,
    process_madvise_danger,
    range_danger,
    spanned,
)
from conformance.program.struct_shapes import shape_of
from conformance.program.text_places import address_text, length_text
from conformance.program.text_read import (
    ELEMENTS_MAX,
    INT_HIGH,
    INT_LOW,
    LONG_HIGH,
    LONG_LOW,
    MARKS_MAX,
    RAW_BYTES_MAX,
    SIZE_MAX,
    TOUCHES_MAX,
)
from conformance.program.text_table import number_words
from conformance.program.validate_race import race_danger, races_without_partner

HUGE_PAGES: Final = 512  # base pages in a huge page
PERF_PAGES_MAX: Final = 9
STEP_NAMES: Final = {
    c.Madvise: "madvise", c.ProcessMadvise: "process_madvise", c.MadviseRanges: "madvise_ranges",
    c.Mmap: "mmap", c.Munmap: "munmap", c.Mprotect: "mprotect", c.Mremap: "mremap",
    c.TouchPages: "touch", c.Fork: "fork", c.ForkExec: "fork_exec",
    c.Reclaim: "reclaim", c.Race: "race",
}  # fmt: skip


class Problem(NamedTuple):
    """Why a program may not be run. where: the place, "step 2 (madvise)"; header and key: the
    same place in the text form (the second [[step]] is ("step", 1))."""

    where: str
    key: str
    what: str
    header: tuple[str, int]

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.what) if part)


def validate(program: Program, guest: bool = False) -> list[Problem]:
    """Every reason why this program may not be run; none for a program that may.

    guest: the target is a disposable kernel, which memory poisoning cannot hurt.
    """
    out = [Problem("", danger.key, danger.what, ("", 0)) for danger in _counts(program)]
    for i, slot in enumerate(program.files):
        out += [Problem(f"file {i}", d.key, d.what, ("file", i)) for d in _file(slot)]
    taken: list[tuple[int, int, int]] = []
    for i, mapping in enumerate(program.layout):
        dangers = [*_mapping(mapping, program), *_prepared(mapping, guest)]
        for first, after, other in taken:
            if mapping.at < after and first < mapping.at + mapping.pages:
                dangers.append(Danger("at", f"overlaps mapping {other + 1}"))
        taken.append((mapping.at, mapping.at + mapping.pages, i))
        out += [Problem(f"mapping {i + 1}", d.key, d.what, ("mapping", i)) for d in dangers]
    for i, step in enumerate(program.steps):
        where = f"step {i + 1} ({STEP_NAMES[type(step)]})"
        out += [Problem(where, d.key, d.what, ("step", i)) for d in _step(step, program, guest)]
    for i in races_without_partner(program):
        what = "the second process has exited in a race before"
        out.append(Problem(f"step {i + 1} (race)", "place", what, ("step", i)))
    return out


def _counts(program: Program) -> Iterator[Danger]:
    for key, count, low, most in (
        ("mapping", len(program.layout), 1, MAPPINGS_MAX),
        ("step", len(program.steps), 1, STEPS_LONG_MAX),
        ("file", len(program.files), 0, FILE_SLOTS),
    ):
        yield from _bounds(f"number of [[{key}]]", count, low, most)
    steps = len(program.steps)
    if steps > STEPS_MAX and steps * program.arena_pages() > STEP_PAGES_MAX:
        most = STEP_PAGES_MAX // steps
        yield Danger("step", f"{steps} of them leave room for {most} arena pages")
    if program.whole and program.rights is not Rights.ALL:
        yield Danger("rights", "are those of an ordinary process: not together with whole = true")
    faults = [step for step in program.steps if fail_nth(step)]
    if len(faults) > 1:
        yield Danger("step", "of one program, one call has an allocation that fails (fail_nth)")
    if faults and program.whole:
        yield Danger("fail_nth", "is for an ordinary process: not together with whole = true")
    if faults and has_race(program.steps):
        # Which allocation failed and in which order the actors came would both have to be guessed.
        yield Danger("fail_nth", "is for calls that come one after the other: not beside a race")
    placed = [*program.layout, *(s.mapping for s in program.steps if isinstance(s, c.Mmap))]
    if sum(mapping.kind is Kind.VVAR for mapping in placed) > 1:
        yield Danger("mapping", "more than one is of kind vvar; a process has one")


# What is asked forty times of each program, and nearly always in vain, is no generator.
_NONE: Final[tuple[Danger, ...]] = ()


def _bounds(key: str, value: int, low: int, high: int) -> tuple[Danger, ...]:
    if low <= value <= high:
        return _NONE
    return (Danger(key, f"is {value}, allowed: {number_words(low)} to {number_words(high)}"),)


def _file(slot: FileSlot) -> Iterator[Danger]:
    yield from _bounds("pages", slot.pages, 0, ARENA_PAGES_MAX)
    if slot.sealed_write and slot.backing is not Backing.MEMFD:
        yield Danger("sealed_write", f"is for backing memfd, not {slot.backing.value}")


def _mapping(m: Mapping, program: Program) -> Iterator[Danger]:
    """What holds for a mapping of the layout and for one that a step makes."""
    yield from _bounds("at", m.at, 0, ARENA_PAGES_MAX - 1)
    yield from _bounds("pages", m.pages, 1, ARENA_PAGES_MAX)
    if m.at + m.pages > ARENA_PAGES_MAX:
        yield Danger("pages", f"ends at page {m.at + m.pages}, the arena has {ARENA_PAGES_MAX}")
    if m.kind is Kind.HUGETLB and (m.at % HUGE_PAGES or m.pages % HUGE_PAGES):
        yield Danger("at", f"at and pages of a hugetlb mapping are multiples of {HUGE_PAGES}")
    if m.kind is Kind.PERF:
        if m.sharing is not Sharing.SHARED or m.prot not in (Prot.R, Prot.RW):
            yield Danger("kind", "perf is mapped shared, with prot r-- or rw-")
        if m.pages < 2 or m.pages - 1 & m.pages - 2 or m.pages > PERF_PAGES_MAX:
            yield Danger("pages", f"of perf are 1 and a power of 2, at most {PERF_PAGES_MAX}")
    yield from _bounds("offset", m.offset, 0, ARENA_PAGES_MAX)
    if m.kind not in FILE_KINDS:
        if m.file or m.offset or m.read_only_fd:
            yield Danger("kind", f"{m.kind.value} has no file, offset or read_only_fd")
    elif not 0 <= m.file < len(program.files):
        yield Danger("file", f"is {m.file}, the program has {len(program.files)} [[file]]")
    elif program.files[m.file].backing.value != m.kind.value:
        yield Danger("file", f"{m.file} is backed by {program.files[m.file].backing.value}")


def _prepared(m: Mapping, guest: bool) -> Iterator[Danger]:
    if len(m.touches) > TOUCHES_MAX:
        yield Danger("touch", f"has {len(m.touches)} elements, allowed: at most {TOUCHES_MAX}")
    if len(m.marks) > MARKS_MAX:
        yield Danger("mark", f"has {len(m.marks)} elements, allowed: at most {MARKS_MAX}")
    for touch in m.touches:
        yield from _pages_inside("touch", touch.page, touch.pages, m.pages)
    for mark in m.marks:
        yield from _pages_inside("mark", mark.page, mark.pages, m.pages)
        if (mark.advice is None) == (mark.prot is None):
            yield Danger("mark", "gives either an advice or a protection")
        if mark.advice is not None:
            yield from _bounds("mark", mark.advice, LONG_LOW, LONG_HIGH)
            number = mark.advice & 0xFFFF_FFFF
            if number in POISON_ADVICES and not guest:
                yield Danger("mark", f"{BY_VALUE[number].name} is for guests only")


def _pages_inside(key: str, page: int, pages: int, room: int) -> tuple[Danger, ...]:
    if page >= 0 and pages >= 1 and page + pages <= room:
        return _NONE
    words = f"pages {page}..{page + pages - 1} are not all inside pages 0..{room - 1}"
    return (Danger(key, words),)


def _step(step: c.Step, program: Program, guest: bool) -> Iterator[Danger]:
    whole = program.whole
    if isinstance(step, c.Race):
        yield from race_danger(step, program, lambda inside: _step(inside, program, guest))
        return
    signal = signal_of(step)
    if signal is not None:
        yield from _signal(signal, program)
    yield from _bounds("fail_nth", fail_nth(step), 0, c.FAIL_NTH_MAX)
    if isinstance(step, c.Reclaim) and not guest:
        yield Danger("call", "reclaim is for guests only")
    if isinstance(step, c.Madvise):
        yield from _register("start", step.start)
        yield from _register("length", step.length)
        yield from _bounds("advice", step.advice, LONG_LOW, LONG_HIGH)
        mask = shape_of(step.ilp32).mask
        start, length = step.start & mask, step.length & mask
        yield from range_danger("length", start, length, step.advice, whole, guest)
    elif isinstance(step, c.ProcessMadvise):
        yield from _vector(step) or process_madvise_danger(step, whole, guest)
    elif isinstance(step, c.MadviseRanges):
        yield from _control(step) or madvise_ranges_danger(step, whole, guest)
    elif isinstance(step, c.Mmap):
        yield from _mmap(step.mapping, program)
    elif isinstance(step, c.Munmap | c.Mprotect):
        yield from _register("start", step.start)
        yield from _register("length", step.length)
        span = spanned(step.start, step.length)
        if span is not None:
            yield from _in_arena("length", *span)
    elif isinstance(step, c.Mremap):
        yield from _mremap(step)
    elif isinstance(step, c.TouchPages):
        yield from _pages_inside("touch", step.page, step.pages, ARENA_PAGES_MAX)


def _signal(signal: c.Signal, program: Program) -> Iterator[Danger]:
    if program.whole:
        yield Danger("signal", "is for an ordinary process: not together with whole = true")
    if signal.how is c.SignalHow.STORM:
        if signal.pages:
            yield Danger("signal", "a storm watches no pages")
        return
    yield from _pages_inside("signal", signal.page, signal.pages, ARENA_PAGES_MAX)
    watched_pages = signal.page, signal.pages
    watched = next((m for m in program.layout if (m.at, m.pages) == watched_pages), None)
    if watched is None or not may_be_watched(watched):
        yield Danger(
            "signal",
            "watches one whole mapping of the layout: private memory, or a shared memfd or tmpfs",
        )


def may_be_watched(mapping: Mapping) -> bool:
    """Does userfaultfd hand out its missing pages as a fault does? Of a file that is mapped
    privately it would give zeros."""
    file = mapping.kind in (Kind.MEMFD, Kind.TMPFS)
    if file != (mapping.sharing is Sharing.SHARED) or mapping.uffd is not Uffd.NO:
        return False
    if not file and mapping.kind not in (Kind.ANON, Kind.NORESERVE):
        return False
    return not mapping.sealed and not mapping.read_only_fd


def _register(key: str, value: int) -> tuple[Danger, ...]:
    return _bounds(key, value, 0, SIZE_MAX)


def _in_arena(key: str, first: int, after: int) -> tuple[Danger, ...]:
    if first >= ARENA[0] and after <= ARENA[1]:
        return _NONE
    words = f"{address_text(first)} .. {address_text(after)}"
    return (Danger(key, f"{words} leaves the arena ({ARENA_PAGES_MAX} pages from arena)"),)


def _mmap(mapping: Mapping, program: Program) -> Iterator[Danger]:
    bare = Mapping(
        mapping.kind, mapping.at, mapping.pages, mapping.prot, mapping.sharing, mapping.file,
        mapping.offset, mapping.read_only_fd,
    )  # fmt: skip
    if bare != mapping:
        yield Danger("kind", "an mmap step only maps: touches, marks, locks and seals are steps")
    yield from _mapping(mapping, program)


def _mremap(step: c.Mremap) -> Iterator[Danger]:
    """Both ends stay in the arena, unless mremap() refuses the call for its alignment."""
    for key in ("start", "old_length", "new_length"):
        yield from _register(key, getattr(step, key))
    if step.target is not None:
        yield from _register("target", step.target)
    to = step.start if step.target is None else step.target
    if step.start % PAGE or to % PAGE or not step.new_length:
        return
    for key, start, length in (
        ("old_length", step.start, step.old_length), ("new_length", to, step.new_length)
    ):  # fmt: skip
        after = start + (length + PAGE - 1) // PAGE * PAGE
        if after > SIZE_MAX:
            yield Danger(key, f"{length_text(length)} leaves the 64-bit addresses")
        else:
            yield from _in_arena(key, start, after)


def _vector(step: c.ProcessMadvise) -> list[Danger]:
    """Numbers that have no form in the wire."""
    out = [*_register("vec_at", step.vec_at), *_register("flags", step.flags)]
    out += _bounds("advice", step.advice, LONG_LOW, LONG_HIGH)
    out += _bounds("pidfd", step.pidfd, -(1 << 31), (1 << 31) - 1)
    out += _bounds("number of vec", len(step.vec), 0, ELEMENTS_MAX)
    if step.count is not None:
        out += _register("count", step.count)
    for element in step.vec:
        out += [*_register("vec", element.start), *_register("vec", element.length)]
    return out


def _control(step: c.MadviseRanges) -> list[Danger]:
    """Numbers that have no form in the structs, and raw bytes that are not in their one form."""
    out: list[Danger] = []
    for key in ("ctl_at", "array_at", "stats_at", "per_range_at"):
        out += _register(key, getattr(step, key))
    out += _bounds("stats_fill", step.stats_fill, 0, 255)
    control = step.control
    if isinstance(control, cs.ControlBytes):
        if not re.fullmatch(r"(?:[0-9a-f]{2})*", control.raw):
            out.append(Danger("raw", "must be pairs of hexadecimal digits in lower case"))
        out += _bounds("bytes of raw", len(control.raw) // 2, 0, RAW_BYTES_MAX)
        return [*out, *_elements(control.ranges)]
    arm = control.arm
    if isinstance(arm, cs.Single):
        out += _elements((arm.range,))
    elif isinstance(arm, cs.Multi):
        out += _elements(arm.ranges)
        if arm.count is not None:
            out += _register("count", arm.count)
    else:
        out += _bounds("advice", arm.advice, INT_LOW, INT_HIGH)
        out += _bounds("set_default", arm.set_default, 0, 255)
    out += _bounds("version", control.version, INT_LOW, INT_HIGH)
    if control.type_value is not None:
        out += _bounds("type_value", control.type_value, INT_LOW, INT_HIGH)
    out += _bounds("pidfd", control.pidfd, -(1 << 31), (1 << 31) - 1)
    out += _bounds("tail", control.tail, 0, 0xFFFFFF)
    out += _bounds("padding", control.padding, 0, 255)
    if control.flag_byte_extra & ~0xF0:
        out.append(Danger("flag_byte_extra", "has only bits 4 to 7; options have their own keys"))
    return out


def _elements(ranges: tuple[cs.Range, ...]) -> list[Danger]:
    out = [*_bounds("number of ranges", len(ranges), 0, ELEMENTS_MAX)]
    for element in ranges:
        out += [*_register("ranges", element.start), *_register("ranges", element.length)]
        out += _bounds("ranges", element.advice, INT_LOW, INT_HIGH)
    return out
