"""Census: how often each variant occurs in the programs that a generator makes.

`python -m fuzz.generate.census [programs] [seed]` prints it. A variant that the table lacks
is one that no campaign will ever try, so tests ask the census for each of them.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from conformance.abi.advice import advice_name
from conformance.program.call import (
    PER_RANGE_USUAL,
    Madvise,
    MadviseRanges,
    Mmap,
    Mremap,
    ProcessMadvise,
    Step,
)
from conformance.program.control_memory import pokes_of
from conformance.program.control_struct import All, ControlBytes, ControlFields, Multi, Single
from conformance.program.mapping import Lock, Mapping, Uffd
from conformance.program.places import (
    ARENA_BASE,
    ARENA_END_MAX,
    ARRAY_OFFSET,
    CTL_OFFSET,
    PAGE,
    STATS_OFFSET,
    TASK_SIZE,
    ZONE_BASE,
    ZONE_END,
    ZONE_RO_BASE,
    ZONE_RO_END,
)
from conformance.program.plan import calls_as_ilp32
from conformance.program.program import Program, Rights
from fuzz.generate.programs import ProgramSource

WORD = 1 << 64
LOOKED_AT = 10  # elements of an array: the long ones repeat their first
Census = Counter[tuple[str, str]]


def census(programs: Iterable[Program]) -> Census:
    """How many times each (chapter, variant) occurs."""
    out: Census = Counter()
    for program in programs:
        out["program", "all"] += 1
        out["program", "whole"] += program.whole
        out["program", "isolated"] += program.isolated()
        out["program", "remote"] += program.remote()
        out["program", program.rights.value] += program.rights is not Rights.ALL
        out["mappings", str(len(program.layout))] += 1
        out["steps", str(len(program.steps))] += 1
        for slot in program.files:
            out["file", slot.backing.value] += 1
            out["file", "sealed_write"] += slot.sealed_write
        _count_layout(out, program)
        for step in program.steps:
            out["step", type(step).__name__] += 1
            out["step", "as ILP32"] += calls_as_ilp32(step)
            _count_step(out, step)
    return out


def _count_layout(out: Census, program: Program) -> None:
    before: Mapping | None = None
    users: Counter[int] = Counter()
    for mapping in program.layout:
        _count_mapping(out, mapping, "kind")
        out["lock", mapping.lock.value] += mapping.lock is not Lock.NO
        out["uffd", mapping.uffd.value] += mapping.uffd is not Uffd.NO
        out["layout", "sealed"] += mapping.sealed
        out["layout", "soft-dirty cleared"] += mapping.soft_dirty_cleared
        out["layout", "room for huge pages"] += mapping.pages >= 512
        out["layout", "touched"] += bool(mapping.touches)
        for mark in mapping.marks:
            name = mark.prot.value if mark.prot is not None else advice_name(mark.advice or 0)
            out["mark", name] += 1
        if before is not None:
            touching = before.at + before.pages == mapping.at
            alike = before.kind is mapping.kind and before.prot is mapping.prot
            out["layout", "touching, alike" if touching and alike else "touching"] += touching
            out["layout", "gap"] += not touching
        if program.files and mapping.kind.value in {f.backing.value for f in program.files}:
            users[mapping.file] += 1
            short = mapping.offset + mapping.pages > program.files[mapping.file].pages
            out["layout", "past the end of the file"] += short
        before = mapping
    out["layout", "file mapped twice"] += any(count > 1 for count in users.values())


def _count_mapping(out: Census, mapping: Mapping, chapter: str) -> None:
    read_only = " read-only fd" if mapping.read_only_fd else ""
    out[chapter, mapping.kind.value] += 1
    rights = f"{mapping.sharing.value} {mapping.prot.value}{read_only}"
    out[f"{chapter} in full", f"{mapping.kind.value} {rights}"] += 1


def _count_step(out: Census, step: Step) -> None:
    if isinstance(step, Madvise):
        out["madvise advice", advice_name(step.advice)] += 1
        out["madvise range", range_form(step.start, step.length)] += 1
    elif isinstance(step, ProcessMadvise):
        _count_process_madvise(out, step)
    elif isinstance(step, MadviseRanges):
        _count_ranges(out, step)
    elif isinstance(step, Mmap):
        _count_mapping(out, step.mapping, "mmap")
    elif isinstance(step, Mremap):
        how = "in place" if step.target is None else "moved"
        change = step.new_length - step.old_length
        size = "same" if change == 0 else "grows" if change > 0 else "shrinks"
        out["mremap", f"{how}, {size}{', kept' if step.dont_unmap else ''}"] += 1


def _count_process_madvise(out: Census, step: ProcessMadvise) -> None:
    name = advice_name(step.advice)
    out["process_madvise advice", name] += 1
    out["process_madvise pidfd", str(step.pidfd)] += 1
    out["process_madvise vector", str(len(step.vec))] += 1
    out["process_madvise flags", hex(step.flags)] += 1
    out["process_madvise place", place_form(step.vec_at, ARRAY_OFFSET)] += 1
    if not step.vec and step.count is None and name.lstrip("-").isdigit():
        out["process_madvise vector", "empty, invalid advice"] += 1
    if step.count is not None:
        out["process_madvise count", count_form(step.count, len(step.vec))] += 1
    for element in step.vec[:LOOKED_AT]:
        out["process_madvise range", range_form(element.start, element.length)] += 1


def _count_ranges(out: Census, step: MadviseRanges) -> None:
    out["ranges ctl place", place_form(step.ctl_at, CTL_OFFSET)] += 1
    out["ranges stats place", place_form(step.stats_at, STATS_OFFSET)] += 1
    per_range = PER_RANGE_USUAL - ZONE_BASE
    out["ranges per_range place", place_form(step.per_range_at, per_range)] += 1
    out["ranges flaw", "overlap"] += overlaps(step)
    control = step.control
    if isinstance(control, ControlBytes):
        out["ranges control", "bytes"] += 1
        out["ranges bytes", str(min(len(control.raw) // 2, 49)).replace("49", "49 and more")] += 1
        return
    out["ranges control", type(control.arm).__name__] += 1
    _count_fields(out, control)
    if isinstance(control.arm, All):
        out["ranges all", advice_name(control.arm.advice)] += 1
        out["ranges set_default", str(control.arm.set_default)] += 1
        return
    ranges = (control.arm.range,) if isinstance(control.arm, Single) else control.arm.ranges
    for each in ranges[:LOOKED_AT]:
        out["ranges advice", advice_name(each.advice)] += 1
        out["ranges range", range_form(each.start, each.length)] += 1
    if isinstance(control.arm, Multi):
        out["ranges array place", place_form(step.array_at, ARRAY_OFFSET)] += 1
        out["ranges array", str(len(ranges))] += 1
        if control.arm.count is not None:
            out["ranges count", count_form(control.arm.count, len(ranges))] += 1


def _count_fields(out: Census, control: ControlFields) -> None:
    options = [
        name
        for name in ("is_remote", "ignore_errors", "single_mapping_only", "stop_on_gap")
        if getattr(control, name)
    ]
    out["ranges options", " ".join(options) or "none"] += 1
    if control.is_remote:
        out["ranges pidfd", str(control.pidfd)] += 1
    out["ranges flaw", "version"] += control.version != 1
    out["ranges flaw", "type"] += control.type_value is not None
    out["ranges flaw", "flag byte"] += control.flag_byte_extra != 0
    out["ranges flaw", "tail"] += control.tail != 0
    out["ranges flaw", "padding"] += control.padding != 0
    out["ranges flaw", "ignored pidfd"] += control.pidfd != -1 and not control.is_remote


def range_form(start: int, length: int) -> str:
    """What kind of arguments a range is, in words."""
    if start % PAGE:
        return "unaligned"
    if length == 0:
        return "empty"
    if start + length + PAGE - 1 >= WORD:
        return "wraps"
    if start >= TASK_SIZE:
        return "kernel space"
    if not ARENA_BASE <= start < ARENA_END_MAX:
        return "before the arena" if start + length <= ARENA_BASE else "around the arena"
    return "odd length" if length % PAGE else "arena"


def place_form(at: int, usual: int) -> str:
    """Where a struct lies, in words. usual: offset in the zone of its usual place."""
    aligned = "" if at % 8 == 0 else ", misaligned"
    if at == ZONE_BASE + usual:
        return "usual"
    if at == 0:
        return "NULL"
    if ZONE_END - PAGE < at <= ZONE_END or ZONE_RO_END - PAGE < at <= ZONE_RO_END:
        return "end of a zone"
    if ZONE_BASE <= at < ZONE_END:
        return "zone" + aligned
    if ZONE_RO_BASE <= at < ZONE_RO_END:
        return "read-only zone" + aligned
    if ARENA_BASE <= at < ARENA_END_MAX:
        return "arena" + aligned
    return "kernel space" if at >= TASK_SIZE else "unmapped"


def overlaps(step: MadviseRanges) -> bool:
    """Do two of the structs of a call share bytes?"""
    pokes = sorted(pokes_of(step))
    return any(one.at + len(one.data) > two.at for one, two in pairwise(pokes))


def count_form(count: int, size: int) -> str:
    """How an element count lies to the elements, in words."""
    if count == size:
        return "right"
    if count == 0:
        return "zero"
    if count > 1024:
        return "beyond 1024"
    return "fewer" if count < size else "more"


def render(counts: Census) -> str:
    """A chapter for each line of thought, the most frequent first."""
    lines: list[str] = []
    for chapter in sorted({chapter for chapter, _ in counts}):
        lines.append(chapter)
        rows = [(n, variant) for (c, variant), n in counts.items() if c == chapter and n]
        lines.extend(f"{n:9d}  {variant}" for n, variant in sorted(rows, reverse=True))
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Print the census of so many programs (20000) of a seed (1)."""
    numbers = [int(text) for text in arguments]
    count, seed = (numbers + [20000, 1][len(numbers) :])[:2]
    source = ProgramSource(seed)
    sys.stdout.write(render(census(source.program(index) for index in range(count))))


if __name__ == "__main__":
    main(sys.argv[1:])
