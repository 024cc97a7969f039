"""Every ordering of two refusals in one range: between good memory, memory that refuses the
advice for one reason, then memory that refuses it for another, or nothing at all."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Final, NamedTuple

from msgspec.structs import replace

from conformance.program.call import (
    PER_RANGE_USUAL,
    IoRange,
    Madvise,
    MadviseRanges,
    ProcessMadvise,
    Step,
)
from conformance.program.control_struct import ControlFields, Range, Single
from conformance.program.mapping import FileSlot, Mapping
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from conformance.sweep.swept import Swept, advice
from conformance.sweep.vma_kinds import BY_NAME

PART: Final = 4  # pages of each part
GAP: Final = "gap"


class Case(NamedTuple):
    """good: a kind of VMA (see vma_kinds) that takes the advice; refusals: kinds that do not,
    each for another reason, and GAP."""

    advice: str
    good: str
    refusals: tuple[str, ...]


CASES: Final = (
    Case("DONTNEED", "anon", ("anon-locked", "anon-sealed-read-only", GAP)),
    Case("FREE", "anon", ("anon-shared", "anon-locked", "anon-sealed-read-only", GAP)),
    Case("REMOVE", "anon-shared",
         ("anon", "anon-locked", "tmpfs", "memfd-shared-no-later-writes", GAP)),
    Case("COLD", "anon", ("anon-locked", GAP)),
    Case("POPULATE_READ", "anon",
         ("anon-no-access", "anon-uffd-missing", "memfd-shared-short", GAP)),
    Case("POPULATE_WRITE", "anon",
         ("anon-read-only", "anon-uffd-missing", "memfd-shared-short", GAP)),
    Case("WIPEONFORK", "anon", ("anon-shared", "anon-sealed-read-only", GAP)),
    Case("DODUMP", "anon", ("droppable", "perf", GAP)),
    Case("GUARD_INSTALL", "anon", ("anon-locked", "anon-sealed-read-only", GAP)),
)  # fmt: skip


def vma_order_programs() -> Iterator[Swept]:
    """All of them; the order is stable."""
    for case in CASES:
        for pair in permutations(case.refusals, 2):
            layout, files, end = _laid_out(case, pair)
            for form, call in _calls(case.advice, end):
                ident = f"error-order/{form}/{case.advice}/{pair[0]},{pair[1]}"
                yield Swept(ident, Program(layout, (call,), files))


def _laid_out(
    case: Case, pair: tuple[str, ...]
) -> tuple[tuple[Mapping, ...], tuple[FileSlot, ...], int]:
    """Good memory, one refusal, good memory, the other, good memory: nothing between them."""
    layout: list[Mapping] = []
    files: list[FileSlot] = []
    at = 0
    for name in (case.good, pair[0], case.good, pair[1], case.good):
        if name == GAP:
            at += PART
            continue
        kind = BY_NAME[name]
        pages = kind.half
        mapping = kind.mapping(at, pages)
        slots = kind.files(pages)
        layout.append(replace(mapping, file=len(files)) if slots else mapping)
        files += slots
        at += pages
    return tuple(layout), tuple(files), at


def _calls(name: str, end: int) -> Iterator[tuple[str, Step]]:
    start, length, value = page_address(0), end * PAGE, advice(name)
    yield "madvise", Madvise(start, length, value)
    yield "process_madvise", ProcessMadvise(value, (IoRange(start, length),))
    for option in ("none", "ignore_errors", "stop_on_gap"):
        control = ControlFields(
            Single(Range(start, length, value)),
            ignore_errors=option == "ignore_errors",
            stop_on_gap=option == "stop_on_gap",
        )
        form = f"madvise_ranges/{option.replace('_', '-')}"
        yield form, MadviseRanges(control, per_range_at=PER_RANGE_USUAL)
