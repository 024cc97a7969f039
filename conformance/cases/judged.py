"""Programs that no hand has written the outcome of: the model predicts it and the oracle judges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

from conformance.cases.evidence import Run, Swept
from conformance.model.predict import predict
from conformance.oracle.judge import judge
from conformance.oracle.ledger import Ledger
from conformance.oracle.verdict import Verdict, VerdictKind
from conformance.program.outcome import Outcome
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.spec import cite
from conformance.target.target import Target

# Every readable page of the final state is read: what a call should have left alone shows.
SWEEP_LOOK: Final = Observe.READ_ALL
KNOWN: Final = "known"  # the ledger explains it
AGAIN: Final = 3  # runs alone of what is bad: does it show each time?


class Named(Protocol):
    """A program with an id, see conformance.sweep."""

    @property
    def id(self) -> str:
        """It never changes its meaning."""
        ...

    @property
    def program(self) -> Program:
        """What is run."""
        ...


class Judged:
    """What became of several programs on one target.

    bad: a paragraph for each that is not conformant, with its id. skipped: reasons, counted.
    known: ids of ledger entries, counted. met: every requirement that the model applied.
    swept: each program with what it did.
    """

    def __init__(self) -> None:
        self.programs = 0
        self.unspecified = 0
        self.bad: list[str] = []
        self.skipped: Counter[str] = Counter()
        self.known: Counter[str] = Counter()
        self.met: set[str] = set()
        self.swept: list[Swept] = []

    @property
    def bad_runs(self) -> list[Run]:
        """The programs of what is bad."""
        good = (VerdictKind.CONFORMANT.value, VerdictKind.SKIPPED.value, KNOWN)
        return [swept.run for swept in self.swept if swept.word not in good]

    @property
    def ran(self) -> int:
        """Programs that were judged, not skipped."""
        return self.programs - self.skipped.total()


def run_programs(target: Target, items: Sequence[Named]) -> list[Outcome]:
    """Run all in one batch, as sweeps are looked at. Raises TargetError."""
    return target.run_batch([item.program for item in items], SWEEP_LOOK)


def judge_programs(
    target: Target,
    items: Sequence[Named],
    ledger: Ledger,
    outcomes: Sequence[Outcome] | None = None,
) -> Judged:
    """Judge each. outcomes: of run_programs(); None: run them now. Raises TargetError."""
    out = Judged()
    if outcomes is None:
        outcomes = run_programs(target, items)
    for item, outcome in zip(items, outcomes, strict=True):
        verdict = _verdict(target, item.program, outcome, out)
        out.programs += 1
        out.unspecified += verdict.unspecified
        entry = ledger.match(item.program, verdict, target.facts) if verdict.bad else None
        word = KNOWN if entry is not None else verdict.kind.value
        out.swept.append(Swept(item.id, Run(item.program, SWEEP_LOOK, outcome), word))
        if verdict.kind is VerdictKind.CONFORMANT:
            continue
        if verdict.kind is VerdictKind.SKIPPED:
            out.skipped[verdict.reason] += 1
        elif entry is not None:
            out.known[entry.id] += 1
        else:
            out.bad.append(f"{item.id}: {_told(verdict)}{_again(target, item.program)}")
    return out


def _verdict(target: Target, program: Program, outcome: Outcome, out: Judged) -> Verdict:
    cite.HITS.clear()
    prediction = predict(program, target.facts, outside=outcome.outside, observe=int(SWEEP_LOOK))
    out.met |= cite.HITS
    return judge(program, outcome, prediction)


def _told(verdict: Verdict) -> str:
    lines = [verdict.kind.value, *([verdict.reason] if verdict.reason else [])]
    return "\n    ".join([*lines, *(difference.words for difference in verdict.differences)])


def _again(target: Target, program: Program) -> str:
    """Does it show each time? It stays bad when it does not: the words help to look for it."""
    shown = 0
    for _ in range(AGAIN):
        (outcome,) = target.run_batch([program], SWEEP_LOOK | Observe.ISOLATED)
        shown += _verdict(target, program, outcome, Judged()).kind is not VerdictKind.CONFORMANT
    return f"\n    run again alone {AGAIN} times: {shown} times not conformant"
