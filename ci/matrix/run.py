"""Runs the sweep on a target: each cell judged, and told in a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from ci.matrix.words import SEPARATOR, call_of, expected_line, observed_line
from conformance.model.predict import predict
from conformance.model.prediction import ExpectedSnapshot, Prediction
from conformance.oracle.judge import judge
from conformance.oracle.ledger import Ledger
from conformance.oracle.verdict import Verdict, VerdictKind
from conformance.program.kernel_facts import KernelFacts
from conformance.program.outcome import Outcome
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.sweep.cells import Cell
from conformance.target.registry import is_guest
from conformance.target.target import Target

LOOK: Final = Observe.READ_ALL
BATCH: Final = 256  # cells; a person sees progress after each
AGAIN: Final = 3  # runs alone of what is bad: does it show each time?
NOT_RUN: Final = "not run: memory failure is for guests"
KNOWN: Final = f"{SEPARATOR}known as "  # and an entry of the ledger: not what the model says
ABSENT: Final = "cannot be made: "  # and what the kernel lacks for this kind of VMA
Say = Callable[[str], None]


class Swept(NamedTuple):
    """A target's column. lines: by the cell's id. bad: a paragraph for each cell that is not as
    the model has it; then the column is worth nothing."""

    facts: KernelFacts
    lines: dict[str, str]
    bad: list[str]


def sweep(target: Target, cells: Sequence[Cell], ledger: Ledger, say: Say) -> Swept:
    """Run all cells and judge each. Raises TargetError."""
    out = Swept(target.facts, {}, [])
    safe = [cell for cell in cells if is_guest(target.name) or not cell.guest]
    safe.sort(key=lambda cell: cell.guest)  # memory that fails is missed by what comes after
    for at in range(0, len(safe), BATCH):
        part = safe[at : at + BATCH]
        outcomes = target.run_batch([cell.program for cell in part], LOOK)
        for cell, outcome in zip(part, outcomes, strict=True):
            line, complaint = _told(target, cell, outcome, ledger)
            out.lines[cell.id] = line
            if complaint:
                out.bad.append(complaint)
        say(f"{at + len(part)} of {len(safe)} cells")
    for cell in cells:
        out.lines.setdefault(cell.id, NOT_RUN)
    return out


def foretold(cell: Cell, facts: KernelFacts) -> str:
    """The line that a cell must have on a kernel with these facts."""
    prediction = _predicted(cell.program, facts)
    if prediction.skip:
        return f"{ABSENT}{prediction.skip}"
    return expected_line(cell.program, prediction, _before(cell.program, facts))


def decided(cell: Cell, facts: KernelFacts) -> str:
    """The requirement that decides what the call returns; "" if the cell cannot be made."""
    prediction = _predicted(cell.program, facts)
    return "" if prediction.skip else prediction.requirements[call_of(cell.program)[0]]


def _told(target: Target, cell: Cell, outcome: Outcome, ledger: Ledger) -> tuple[str, str]:
    """The cell's line, and what is wrong with it."""
    prediction = _predicted(cell.program, target.facts)
    if prediction.skip:
        return f"{ABSENT}{prediction.skip}", ""
    verdict = judge(cell.program, outcome, prediction)
    if verdict.kind is not VerdictKind.CONFORMANT:
        entry = ledger.match(cell.program, verdict, target.facts)
        if entry is None:
            return "", f"{cell.id}: {_words(verdict)}{_again(target, cell.program)}"
        before = _before(cell.program, target.facts)
        line = observed_line(cell.program, outcome, prediction, before)
        return f"{line}{KNOWN}{entry.id}", ""
    before = _before(cell.program, target.facts)
    line = observed_line(cell.program, outcome, prediction, before)
    must = expected_line(cell.program, prediction, before)
    return line, "" if line == must else f"{cell.id}: told as {line}, foretold as {must}"


def _predicted(program: Program, facts: KernelFacts) -> Prediction:
    return predict(program, facts, observe=int(LOOK))


def _before(program: Program, facts: KernelFacts) -> ExpectedSnapshot:
    """The arena that the call finds."""
    alone = msgspec.structs.replace(program, steps=())
    return _predicted(alone, facts).snapshots[-1]


def _words(verdict: Verdict) -> str:
    lines = [verdict.kind.value, *([verdict.reason] if verdict.reason else [])]
    return "\n    ".join([*lines, *(difference.words for difference in verdict.differences)])


def _again(target: Target, program: Program) -> str:
    shown = sum(_is_bad(target, program, outcome) for outcome in _alone(target, program))
    return f"\n    run again alone {AGAIN} times: {shown} times not conformant"


def _alone(target: Target, program: Program) -> Iterator[Outcome]:
    for _ in range(AGAIN):
        yield from target.run_batch([program], LOOK | Observe.ISOLATED)


def _is_bad(target: Target, program: Program, outcome: Outcome) -> bool:
    verdict = judge(program, outcome, _predicted(program, target.facts))
    return verdict.kind is not VerdictKind.CONFORMANT
