"""What one call did, in a line: what it returned, which flags changed, what is in memory after.

"0 | +dd (4 of 8 pages) | [WW][WWWW][Zz]": a VMA stands in brackets, a page is a letter of MEANINGS.
The line of an outcome and that of a prediction are the same where the kernel did as predicted: what
it may choose is told as that, whatever it chose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from ci.report.pictures import snapshot_vmas
from conformance.abi import vm_flags
from conformance.model.prediction import ExpectedSnapshot, Prediction
from conformance.oracle.compare_effects import COMPARED_FLAGS
from conformance.oracle.explain import content_class, result_class
from conformance.program import call as c
from conformance.program.outcome import (
    CONTENT_MASK,
    PAGE_GUARD,
    PAGE_PRESENT,
    PAGE_READ,
    PAGE_SWAP,
    PAGE_UNREADABLE,
    Outcome,
    Snapshot,
)
from conformance.program.places import ARENA_BASE, PAGE
from conformance.program.program import Program

MEANINGS: Final[dict[str, str]] = {
    "W": "what was written, in memory",
    "w": "what was written, not mapped in until it is touched",
    "Z": "zeros, in memory",
    "z": "zeros, not mapped in until it is touched",
    "F": "as in the file, in memory",
    "f": "as in the file, not mapped in until it is touched",
    "P": "in memory, may not be read",
    ".": "not in memory, may not be read",
    "G": "a guard: touching it is SIGSEGV",
    "!": "reading it is a signal",
    "s": "swapped out",
    "#": "mixed content",
    "?": "the kernel may choose",
    "~": "behind a letter: in memory or not, as the kernel likes",
}
_LETTERS: Final = {"zero": "z", "torn": "#", "file": "f", "written": "w"}
RUN_MAX: Final = 8  # pages in a row that look the same; of more, their number is said
SEPARATOR: Final = " | "
NO_CHANGE: Final = "-"
FREE: Final = "?"
_CALLS: Final = (c.Madvise, c.ProcessMadvise)


def expected_line(program: Program, prediction: Prediction, before: ExpectedSnapshot) -> str:
    """What must happen. before: the arena before the call."""
    return _line(program, prediction, list(prediction.results), prediction.snapshots, before)


def observed_line(
    program: Program, outcome: Outcome, prediction: Prediction, before: ExpectedSnapshot
) -> str:
    """What happened, of a run that ended as the model has it, or as is known."""
    return _line(program, prediction, list(outcome.results), outcome.snapshots, before)


def _line(
    program: Program,
    prediction: Prediction,
    results: list[int],
    snapshots: Sequence[Snapshot | ExpectedSnapshot],
    before: ExpectedSnapshot,
) -> str:
    at, step = call_of(program)
    parts = [_returned(prediction, at, step, results)]
    if prediction.judged_until < len(prediction.results):
        return SEPARATOR.join([*parts, FREE])
    if any(not other.alike for other in prediction.alternatives.get(at, ())):
        return SEPARATOR.join([*parts, FREE])  # what is there after depends on which it was
    own = [s for s in range(len(snapshots)) if not snapshots[s].child]
    last, model = snapshots[own[-1]], prediction.snapshots[own[-1]]
    parts += [_flag_changes(step, before, last), _memory(last, model)]
    for index, snapshot in enumerate(snapshots):
        if snapshot.child:
            parts.append(f"child {_memory(snapshot, prediction.snapshots[index])}")
    return SEPARATOR.join(parts)


def call_of(program: Program) -> tuple[int, c.Madvise | c.ProcessMadvise]:
    """The call that the cell is about, and its index among all steps."""
    for index, step in enumerate(program.steps):
        if isinstance(step, _CALLS):
            return len(program.setup()) + index, step
    raise ValueError("a cell without a call")


def _returned(prediction: Prediction, at: int, step: c.Step, results: list[int]) -> str:
    if at in prediction.unspecified or at >= prediction.judged_until:
        return FREE
    others = prediction.alternatives.get(at, ())
    if others:  # whichever it was, this is what it may be
        values = {prediction.results[at], *(other.value for other in others)}
        return " or ".join(sorted({result_class(step, value) for value in values}))
    return result_class(step, results[at])


def _flag_changes(
    step: c.Madvise | c.ProcessMadvise, before: ExpectedSnapshot, after: Snapshot | ExpectedSnapshot
) -> str:
    """The flags that advised pages gained and lost, and how many of those mapped if not all."""
    first, last = _advised(step)
    old, new = _flags_by_page(before.vmas), _flags_by_page(after.vmas)
    mapped = [page for page in range(first, last) if page in old and page in new]
    out = []
    for name, flag in vm_flags.BIT.items():
        if not flag & COMPARED_FLAGS:
            continue
        for sign, here, there in (("+", new, old), ("-", old, new)):
            pages = sum(bool(here[p] & flag and not there[p] & flag) for p in mapped)
            part = "" if pages == len(mapped) else f" ({pages} of {len(mapped)} pages)"
            if pages:
                out.append(f"{sign}{name}{part}")
    return ", ".join(out) or NO_CHANGE


def _advised(step: c.Madvise | c.ProcessMadvise) -> tuple[int, int]:
    start, length = (
        (step.start, step.length)
        if isinstance(step, c.Madvise)
        else (step.vec[0].start, step.vec[0].length)
    )
    return (start - ARENA_BASE) // PAGE, (start + length - ARENA_BASE) // PAGE


def _flags_by_page(flat: list[int] | tuple[int, ...]) -> dict[int, int]:
    out = {}
    for i in range(0, len(flat), 4):
        start, end = ((address - ARENA_BASE) // PAGE for address in flat[i : i + 2])
        out.update(dict.fromkeys(range(start, end), flat[i + 2]))
    return out


def _memory(snapshot: Snapshot | ExpectedSnapshot, model: ExpectedSnapshot) -> str:
    out = []
    for start, end, _ in snapshot_vmas(snapshot.vmas):
        cells = [
            _cell(page, snapshot.pages[page] if page < len(snapshot.pages) else 0, model)
            for page in range(max(start, 0), end)
        ]
        runs = (_run(cell, len(list(group))) for cell, group in groupby(cells))
        out.append(f"[{''.join(runs)}]")
    return "".join(out) or "nothing is mapped"


def _run(cell: str, length: int) -> str:
    if length <= RUN_MAX:
        return cell * length
    return f"{cell}\N{MULTIPLICATION SIGN}{length} "


def _cell(page: int, word: int, model: ExpectedSnapshot) -> str:
    """The letter of a page; of one that the kernel is free in, what is common to its choices."""
    if page not in model.page_masks and page not in model.page_alternatives:
        return page_letter(word)
    letters = {page_letter(choice) for choice in _choices(page, model)}
    if len(letters) == 1:
        return letters.pop()
    lower = {letter.lower() for letter in letters}
    return f"{lower.pop()}~" if len(lower) == 1 else FREE


def _choices(page: int, model: ExpectedSnapshot) -> Iterator[int]:
    word, mask = model.pages[page], model.page_masks.get(page, -1)
    yield word
    yield from model.page_alternatives.get(page, ())
    if not mask:  # nothing is said of it
        yield word ^ (PAGE_PRESENT | PAGE_GUARD)
    if not mask & PAGE_PRESENT:
        yield word ^ PAGE_PRESENT


def page_letter(word: int) -> str:
    """The letter for a page word of a snapshot that has read all it can."""
    if word & PAGE_GUARD:
        return "G"
    if word & PAGE_UNREADABLE:
        return "!"
    if word & PAGE_SWAP:
        return "s"
    present = word & PAGE_PRESENT
    if not word & PAGE_READ:
        return "P" if present else "."
    letter = _LETTERS[content_class(word & CONTENT_MASK)]
    return letter.upper() if present else letter
