"""A gate as the result tree that all reports are rendered from: a case for each class."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ci.gate.compare import Status
from ci.gate.ending import Weight, weight
from ci.gate.run import slug
from ci.gate.state import STATE_FILE, Group, State
from ci.report.result_tree import CaseResult, RunResult, Shown, closed
from ci.report.result_tree import State as CaseState

PROGRAMS: Final = "gate.programs"  # the case that says whether there was anything to compare


def is_gate(folder: Path) -> bool:
    """Did a gate keep anything here?"""
    return (folder / STATE_FILE).is_file()


def gate_tree(state: State, madvet_version: str) -> RunResult:
    """The run; one that broke, or had too little time to settle its classes, is not complete."""
    cases = (*_programs(state), *(_case(state, group) for group in state.groups.values()))
    unended = state.failure
    if not state.finished and not unended:
        unended = state.ended or "the gate has not ended"
    targets = {side.target: side.probed for side in (state.base, state.head)}
    run = RunResult(
        "gate", datetime.now(UTC).isoformat(timespec="seconds"), state.seconds, madvet_version,
        targets, tuple(cases), unended, tuple(_notes(state)),
    )  # fmt: skip
    return closed(run, [])


def _programs(state: State) -> Iterator[CaseResult]:
    """On both: programs came to a judgement, or they did not."""
    harness = state.count(Status.HARNESS)
    found, message = CaseState.PASS, f"{state.compared:,} programs were compared"
    if harness:
        found, message = CaseState.ERROR, f"{harness:,} programs gave no evidence"
    elif not state.compared:
        found, message = CaseState.SKIP, "there was no program that both can run"
    lines = [f"{count:>6,}  {words}" for words, count in sorted(state.left_out.items())]
    output = "\n".join(["left out:", *lines]) if lines else ""
    for name in dict.fromkeys((state.base.target, state.head.target)):
        yield CaseResult(PROGRAMS, name, found, message=message, output=output)


def _case(state: State, group: Group) -> CaseResult:
    first, settled = group.first, group.settled
    compared = settled.compared if settled is not None and settled.shown else first
    counts = weight(group)
    found = CaseState.FAIL if counts is Weight.FAILS else CaseState.PASS
    status = first.status.value
    shown = f"{settled.shown}/{settled.runs}" if settled is not None else "not run again"
    if counts is Weight.FLAKY:
        status = f"flaky, {status}"
    names = re.sub(r"[^A-Za-z0-9_-]+", "_", first.key).strip("_")
    digest = slug(first).rpartition("-")[2]
    lines = [
        f"{status}: {compared.words}",
        f"{group.count:,} programs; shown by {shown} pairs of runs, alone",
        f"decided by: {', '.join(compared.facts)}" if compared.facts else "",
        "seen as:",
        *(f"  {count:>6,}  {identity}" for identity, count in sorted(group.identities.items())),
    ]
    program = settled.program.text if settled is not None else group.examples[0].text
    return CaseResult(
        f"gate.{names}.{digest}", state.head.target, found,
        (compared.requirement,) if compared.requirement else (), 0.0,
        f"{status}: {compared.words} ({shown})", "\n".join(filter(None, lines)) + _log(first.log),
        known=first.ledger, shown=(Shown(program),), identity=compared.identity,
    )  # fmt: skip


def _log(log: str) -> str:
    return f"\n\n{log}" if log else ""


def _notes(state: State) -> Iterator[str]:
    yield (
        f"base {state.base.target} (Linux {state.base.release}), "
        f"head {state.head.target} (Linux {state.head.release}), seed {state.options.seed}: "
        f"{state.next:,} of {state.total:,} programs"
    )
    if state.ended:
        yield f"not all programs were run: {state.ended}"
    stale = state.stale()
    if stale:
        yield f"stale in the ledger, for these kernels: {', '.join(stale)}"
