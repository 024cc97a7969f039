"""Replay: programs from files run again and are judged, in batches as a campaign's are.

What is as predicted the first time is done with. What is not, and what a file says it must
show, is run again alone, several times, since that alone is evidence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from conformance.oracle.identity import identify
from conformance.oracle.ledger import Entry, Ledger
from conformance.oracle.verdict import Verdict
from conformance.program.program import Program
from conformance.program.race import has_race
from conformance.program.text import FindingTable
from conformance.target.target import Target
from fuzz.engine.examine import Examiner
from fuzz.engine.schedule import BATCH
from fuzz.triage.examine import FULL_LOOK, examine_again
from fuzz.triage.stability import RACE_RUNS

FINDING_RUNS: Final = 5  # of a program that must show a finding; see triage.stability


class Case(NamedTuple):
    """A program to replay. name: where it is from. finding: what its file says it shows."""

    name: str
    program: Program
    finding: FindingTable | None = None


class Replayed(NamedTuple):
    """What one program did on one target.

    verdict: the worst of its runs, which is the first bad one if there is any. shown of runs:
    how many of the runs alone were bad; 0 of 0 when it was not run alone. known: the ledger's
    entry for it. same: the bug is the one that the file names.
    """

    case: Case
    target: str
    verdict: Verdict
    shown: int = 0
    runs: int = 0
    known: Entry | None = None
    same: bool = False


def replay(
    cases: Iterable[Case], targets: list[Target], ledger: Ledger, times: int | None = None
) -> Iterator[Replayed]:
    """Each case on each target. times: runs alone of every case; None: of those only that must
    show a finding, or do not do as predicted. Raises TargetError, and what `cases` raises."""
    examiners = [Examiner(target) for target in targets]
    flights: deque[tuple[Examiner, list[Case]]] = deque()
    again: list[tuple[Target, Case]] = []
    for batch in _batches(cases):
        for examiner in examiners:
            examiner.start([case.program for case in batch])
            flights.append((examiner, batch))
        while len(flights) > len(examiners):
            yield from _finish(*flights.popleft(), again, times)
    while flights:
        yield from _finish(*flights.popleft(), again, times)
    for target, case in again:
        usual = RACE_RUNS if has_race(case.program.steps) else FINDING_RUNS
        yield _alone(target, case, ledger, times or usual)


def _batches(cases: Iterable[Case]) -> Iterator[list[Case]]:
    batch: list[Case] = []
    for case in cases:
        batch.append(case)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _finish(
    examiner: Examiner,
    cases: list[Case],
    again: list[tuple[Target, Case]],
    times: int | None,
) -> Iterator[Replayed]:
    """Settle what did as predicted; put the rest, and all that is wanted alone, into `again`."""
    target = examiner.target
    for case, one in zip(cases, examiner.finish(), strict=True):
        if one.verdict.bad or times is not None or case.finding is not None:
            again.append((target, case))
        else:
            yield Replayed(case, target.name, one.verdict)


def _alone(target: Target, case: Case, ledger: Ledger, runs: int) -> Replayed:
    verdicts = examine_again(target, case.program, runs, FULL_LOOK)
    runs = len(verdicts)
    bad = [verdict for verdict in verdicts if verdict.bad]
    if not bad:
        return Replayed(case, target.name, verdicts[0], 0, runs)
    identity = str(identify(case.program, bad[0]))
    same = case.finding is not None and case.finding.identity == identity
    known = ledger.match(case.program, bad[0], target.facts)
    return Replayed(case, target.name, bad[0], len(bad), runs, known, same)
