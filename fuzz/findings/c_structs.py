"""The structs of a call in C: how they are put in memory, and what must be in them afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from conformance.abi import control_v1 as v1
from conformance.abi.layout import StructLayout
from conformance.abi.scalars import DataModel
from conformance.oracle.compare_results import STATS_RULES
from conformance.oracle.explain import as_int
from conformance.program import call as c
from conformance.program import control_struct as cs
from conformance.program.control_memory import (
    PER_RANGE_SIZE,
    RANGE_SIZE,
    STATS_SIZE,
    Poke,
    control_bytes,
    pokes_of,
    ranges_of,
)
from conformance.program.places import ARENA_BASE, ARENA_END_MAX
from fuzz.findings import c_words as w

LP64: Final = DataModel.LP64
ELEMENTS_NAMED_MAX: Final = 8  # of the per-range stats; more are compared as bytes
BYTES_IN_LINE: Final = 16
PIDFDS: Final = {200: "SELF_PIDFD", 201: "SECOND_PIDFD", 202: "REAPED_PIDFD",
                 203: "ZOMBIE_PIDFD", 204: "NO_PIDFD", 205: "KERNEL_PIDFD"}  # fmt: skip
_OPTIONS: Final = ("is_remote", "ignore_errors", "single_mapping_only", "stop_on_gap")
NO_POKE: Final = Poke(0, b"")


class Peek(NamedTuple):
    """Bytes that are read back. open: offsets of bytes that are not compared. serial: in
    Prediction.peeks."""

    poke: Poke
    expected: bytes
    name: str
    open: frozenset[int]
    serial: int


def in_arena(at: int) -> bool:
    """Does a struct lie in the memory that is advised?"""
    return ARENA_BASE <= at < ARENA_END_MAX


def pidfd_words(number: int) -> str:
    """A descriptor by its name in reproducers."""
    return PIDFDS.get(number, str(number))


def pidfd_of(step: object) -> int:
    """The descriptor that a call names, wherever its bytes come from; -1 for none."""
    if isinstance(step, c.ProcessMadvise):
        return step.pidfd
    if not isinstance(step, c.MadviseRanges):
        return -1
    if isinstance(step.control, cs.ControlFields):
        return step.control.pidfd
    at = v1.CONTROL.offset("pidfd", LP64)
    return int.from_bytes(control_bytes(step)[at : at + 4], "little", signed=True)


def vector_lines(step: c.ProcessMadvise, used: set[str]) -> Iterator[str]:
    """The iovecs of process_madvise()."""
    pokes = pokes_of(step)
    if pokes:
        yield "\t\tstatic const struct iovec vec[] = {"
        for r in step.vec:
            yield f"\t\t\t{{ {w.pointer(r.start)}, {w.length(r.length)} }},"
        yield "\t\t};"
        yield ""
    yield from _put_lines(pokes, {0: "vec"}, {0: len(step.vec) * 16}, used)


def struct_lines(step: c.MadviseRanges, used: set[str]) -> Iterator[str]:
    """The structs of madvise_ranges(), declared, filled and put in place."""
    pokes = pokes_of(step)
    parts = {poke.part for poke in pokes}
    sizes = {0: 0, 1: STATS_SIZE, 2: 0, 3: len(control_bytes(step))}
    ranges = ranges_of(step)
    if 2 in parts:
        yield from _range_lines(ranges, step)
        sizes[2] = len(ranges) * RANGE_SIZE
    if 3 in parts:
        yield from _control_lines(step)
    if 1 in parts:
        yield "\t\tstruct madvise_ranges_stats stats;"
    if 0 in parts:
        count = 1 if isinstance(step.control, cs.ControlFields) else 0
        count = max(1, len(ranges) or count)
        sizes[0] = count * PER_RANGE_SIZE
        yield f"\t\tstatic struct madvise_range_stats per_range[{count}];"
    yield ""
    if 1 in parts:
        yield f"\t\tmemset(&stats, {step.stats_fill:#x}, sizeof(stats));"
        yield f"\t\tstats.per_range_stats = {w.pointer(step.per_range_at)};"
    if 0 in parts:
        yield f"\t\tmemset(per_range, {step.stats_fill:#x}, sizeof(per_range));"
    yield from _put_lines(
        pokes, {0: "per_range", 1: "&stats", 2: "ranges", 3: _control_name(step)}, sizes, used
    )


def _control_name(step: c.MadviseRanges) -> str:
    return "&control" if _plain(step) else "control"


def _put_lines(
    pokes: Sequence[Poke], names: dict[int, str], sizes: dict[int, int], used: set[str]
) -> Iterator[str]:
    for poke in pokes:
        used.add("put")
        name = names[poke.part]
        size = f"sizeof({name.removeprefix('&')})"
        if len(poke.data) != sizes[poke.part]:
            size = w.length(len(poke.data))
        if in_arena(poke.at):
            used.add("cover")
            yield f"\t\tplaced &= put_in_arena({w.address(poke.at)}, {name}, {size});"
        else:
            yield f"\t\tput({w.address(poke.at)}, {name}, {size});"


def _range_lines(ranges: Sequence[cs.Range], step: c.MadviseRanges) -> Iterator[str]:
    padding = step.control.padding if isinstance(step.control, cs.ControlFields) else 0
    if padding:
        (data,) = (poke.data for poke in pokes_of(step) if poke.part == 2)
        note = f"{len(ranges)} x struct madvise_range, the padding filled"
        yield from byte_lines("ranges", data.ljust(len(ranges) * RANGE_SIZE, b"\0"), note)
        return
    yield "\t\tstatic const struct madvise_range ranges[] = {"
    for r in ranges:
        yield f"\t\t\t{{ {_range_words(r)} }},"
    yield "\t\t};"


def _range_words(r: cs.Range) -> str:
    return f"{w.pointer(r.start)}, {w.length(r.length)}, {w.advice(as_int(r.advice))}"


def _plain(step: c.MadviseRanges) -> bool:
    """Are its bytes what a C program that fills in members would have?"""
    control = step.control
    if not isinstance(control, cs.ControlFields):
        return False
    arm = control.arm
    odd = control.flag_byte_extra or control.tail or control.padding
    return not odd and not (isinstance(arm, cs.All) and arm.set_default > 1)


def _control_lines(step: c.MadviseRanges) -> Iterator[str]:
    control = step.control
    if not _plain(step) or isinstance(control, cs.ControlBytes):
        yield from byte_lines("control", control_bytes(step), "struct madvise_ranges_control")
        return
    arm = control.arm
    if isinstance(arm, cs.Single):
        kind, union = 0, f".range = {{ {_range_words(arm.range)} }}"
    elif isinstance(arm, cs.Multi):
        count = len(arm.ranges) if arm.count is None else arm.count
        kind, union = 1, f".ranges = {{ {w.pointer(step.array_at)}, {w.number(count)} }}"
    else:
        kind, union = 2, f".all = {{ {w.advice(as_int(arm.advice))}, {arm.set_default} }}"
    kind_words = v1.TYPE_NAMES[kind]
    if control.type_value is not None and control.type_value != kind:
        kind_words = str(as_int(control.type_value))
    yield "\t\tstatic const struct madvise_ranges_control control = {"
    yield f"\t\t\t.version = {as_int(control.version)},"
    yield f"\t\t\t.type = {kind_words},"
    yield f"\t\t\t{union},"
    yield f"\t\t\t.stats = {w.pointer(step.stats_at)},"
    yield f"\t\t\t.pidfd = {pidfd_words(as_int(control.pidfd))},"
    for name in _OPTIONS:
        if getattr(control, name):
            yield f"\t\t\t.{name} = 1,"
    yield "\t\t};"


def byte_lines(name: str, data: bytes, note: str) -> Iterator[str]:
    """An array of bytes."""
    yield f"\t\tstatic const unsigned char {name}[] = {{ /* {note} */"
    for at in range(0, len(data), BYTES_IN_LINE):
        row = " ".join(f"{byte:#04x}," for byte in data[at : at + BYTES_IN_LINE])
        yield f"\t\t\t{row}"
    yield "\t\t};"


def written_lines(peeks: Sequence[Peek], used: set[str]) -> Iterator[str]:
    """Before the call: which memory it may write, for the look at all the rest."""
    for peek in peeks:
        if not in_arena(peek.poke.at):
            used.add("output")
            yield f"\t\tmay_write({w.address(peek.poke.at)}, {w.length(len(peek.expected))});"
    yield "\t\tremember_structs();"


def peeked(step: object) -> Iterator[Poke]:
    """The structs of a step that are looked at behind it."""
    if isinstance(step, c.MadviseRanges):
        yield from (p for p in pokes_of(step) if p.output or in_arena(p.at))


def peek_lines(peek: Peek, used: set[str]) -> Iterator[str]:
    """After the call: what one struct must hold."""
    at, size = peek.poke.at, len(peek.poke.data)
    if not peek.open or len(peek.open) < size:
        if peek.name == "stats" and len(peek.expected) == STATS_SIZE and not in_arena(at):
            yield from _members(peek, v1.STATS, 0, used)
        elif peek.name == "per_range" and _few_whole(peek) and not in_arena(at):
            for first in range(0, size, PER_RANGE_SIZE):
                yield from _members(peek, v1.RANGE_STATS, first, used)
        elif not peek.open:
            rule = rule_of(peek, "")
            yield from _bytes(peek, 0, len(peek.expected), size, rule, used)


def _few_whole(peek: Peek) -> bool:
    size = len(peek.expected)
    return (
        len(peek.poke.data) == size
        and size % PER_RANGE_SIZE == 0
        and size <= ELEMENTS_NAMED_MAX * PER_RANGE_SIZE
    )


def rule_of(peek: Peek, member: str) -> str:
    """The rule of compare_results for the same bytes."""
    if peek.name in ("control", "array"):
        return "abi-writes-confined" if peek.expected == peek.poke.data else "stats-single-fetch"
    if peek.name == "per_range":
        return "stats-per-range"
    if peek.expected == peek.poke.data or not member:
        return "stats-when"
    return STATS_RULES[member]


def _members(peek: Peek, layout: StructLayout, first: int, used: set[str]) -> Iterator[str]:
    size = layout.size(LP64)
    data = peek.expected[first : first + size]
    place = f"(void *)({w.address(peek.poke.at + first)})"
    covered: set[int] = set()
    yield "\t\t{"
    yield f"\t\t\tconst struct {layout.tag} *{peek.name} = {place};"
    yield ""
    for placed in layout.placed(LP64):
        span = range(placed.offset, placed.offset + placed.size)
        covered.update(span)
        if any(first + i in peek.open for i in span):
            continue
        value = int.from_bytes(data[span.start : span.stop], "little", signed=placed.signed)
        used.add("member")
        words = _value_words(placed.path, value)
        yield from w.call_lines(
            "EXPECT(",
            [f"{peek.name}->{placed.path}", words, w.quoted(rule_of(peek, placed.path))],
            ");",
            "\t\t\t",
        )
    yield "\t\t}"
    holes = [i for i in range(size) if i not in covered and first + i not in peek.open]
    for start in [i for i in holes if i - 1 not in holes]:
        end = next(i for i in range(start, size + 1) if i not in holes)
        yield from _bytes(
            peek, first + start, first + end, end - start, "abi-writes-confined", used
        )


def _value_words(path: str, value: int) -> str:
    if path in ("failed_address", "per_range_stats", "range.addr"):
        return w.address(value)
    return str(value) if w.plain_int(value) else w.number(value)


def _bytes(
    peek: Peek, start: int, end: int, whole: int, rule: str, used: set[str]
) -> Iterator[str]:
    used.add("bytes")
    data = peek.expected[start:end]
    name = f"expected_{peek.serial}_{start}"
    yield "\t\t{"
    note = f"{peek.name}, bytes {start}..{end - 1}"
    for line in byte_lines(name, data or b"\0", note):
        yield f"\t{line}"
    yield ""
    arguments = [
        w.quoted(peek.name), w.address(peek.poke.at + start), name, str(end - start),
        str(whole), w.quoted(rule),
    ]  # fmt: skip
    yield from w.call_lines("expect_bytes(", arguments, ");", "\t\t\t")
    yield "\t\t}"
