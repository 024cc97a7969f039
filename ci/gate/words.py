"""A gate in words, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ci.gate.compare import DIFFERENCES, Status
from ci.gate.ending import Weight, exit_code, verdict_words, weight
from ci.gate.fact_kinds import FactKind, kind_of
from ci.gate.state import Group, State
from conformance.oracle.ledger import Ledger
from conformance.spec.registry import text_of

COLUMNS: Final = 100
REASONS_SHOWN: Final = 12
IDENTITIES_SHOWN: Final = 3


def report_lines(state: State, ledger: Ledger, folder: Path) -> Iterator[str]:
    """Everything, the worst first."""
    yield from _head_lines(state)
    order = {status: number for number, status in enumerate(DIFFERENCES)}
    groups = sorted(state.groups.values(), key=lambda g: (order[g.first.status], -g.count))
    for group in groups:
        yield ""
        yield from _group_lines(group, ledger, folder)
    yield ""
    yield from _rest_lines(state)
    yield f"exit code {exit_code(state)}: {verdict_words(state)}"


def _head_lines(state: State) -> Iterator[str]:
    yield (
        f"base {state.base.target} ({state.base.release}), "
        f"head {state.head.target} ({state.head.release})"
    )
    sources = ", ".join(f"{count:,} {name}" for name, count in sorted(state.sources.items()))
    yield (
        f"{state.next:,} of {state.total:,} programs ({sources}; seed {state.options.seed}) "
        f"in {state.seconds:.0f} s: {state.compared:,} compared, "
        f"{state.count(Status.LEFT_OUT):,} left out"
    )
    counts = ", ".join(
        f"{state.count(status):,} {status.value}"
        for status in (*DIFFERENCES, Status.SAME)
        if state.count(status)
    )
    yield f"  {counts or 'nothing'}"
    for kind in FactKind:
        yield from _wrapped(f"  facts ({kind.value}): ", _differing(state, kind))


def _differing(state: State, kind: FactKind) -> str:
    """Facts of a kind that differ, with both values."""
    old, new = state.base.facts, state.head.facts
    return ", ".join(
        f"{name} {old[name]} -> {new[name]}"
        for name in old
        if kind_of(name) is kind and old[name] != new[name]
    )


def _group_lines(group: Group, ledger: Ledger, folder: Path) -> Iterator[str]:
    first, settled = group.first, group.settled
    count = weight(group)
    title = first.status.value if count is not Weight.FLAKY else f"flaky, {first.status.value}"
    title = title.upper() if count is Weight.FAILS else title
    shown = f", shown {settled.shown}/{settled.runs}" if settled else ", not run again"
    name = first.key.removeprefix(f"{first.status.value} ")
    yield f"{title}: {name} ({group.count:,} programs{shown})"
    compared = settled.compared if settled is not None and settled.shown else first
    yield from _wrapped("    ", compared.words)
    if name in first.ledger:
        yield from _wrapped("    ", f"{_reason(ledger, name)} ({_reference(ledger, name)})")
    yield from _wrapped("    decided by ", ", ".join(compared.facts))
    rule = compared.requirement
    if rule and not first.ledger:
        yield from _wrapped(f"    {rule}: ", text_of(rule))
    others = sorted(group.identities, key=lambda one: (-group.identities[one], one))
    if others and not first.ledger:
        more = len(others) - IDENTITIES_SHOWN
        shown_ones = ", ".join(others[:IDENTITIES_SHOWN]) + (
            f" and {more} more" if more > 0 else ""
        )
        yield from _wrapped("    seen as ", shown_ones)
    if settled is not None:
        calls = f"{settled.mappings} mappings, {settled.steps} steps"
        yield f"    reproducer ({calls}): {folder / settled.file}"


def _reason(ledger: Ledger, ident: str) -> str:
    reasons = {entry.id: entry.reason for entry in ledger.entries}
    reasons |= {change.id: change.reason for change in ledger.changes}
    text = reasons.get(ident, "(no longer in the ledger)")
    return " ".join(text.split()).split(". ")[0]


def _reference(ledger: Ledger, ident: str) -> str:
    references = {entry.id: entry.reference for entry in ledger.entries}
    references |= {change.id: change.reference for change in ledger.changes}
    return references.get(ident, "no reference")


def _rest_lines(state: State) -> Iterator[str]:
    for title, reasons in (("left out", state.left_out), ("harness errors", state.harness)):
        rows = sorted(reasons.items(), key=lambda row: (-row[1], row[0]))
        if rows:
            yield f"{title}:"
            yield from (f"  {count:>6,}  {words}" for words, count in rows[:REASONS_SHOWN])
            if len(rows) > REASONS_SHOWN:
                yield f"          and {len(rows) - REASONS_SHOWN} more reasons (in the JSON)"
    stale = state.stale()
    if stale:
        yield from _wrapped("stale in the ledger, for these kernels: ", ", ".join(stale))


def _wrapped(start: str, text: str) -> Iterator[str]:
    """Nothing for an empty text."""
    text = " ".join(text.split())
    if text:
        rest = " " * min(len(start), 8)
        yield from textwrap.wrap(
            start + text, COLUMNS, subsequent_indent=rest, break_on_hyphens=False,
            break_long_words=False, drop_whitespace=True,
        )  # fmt: skip
