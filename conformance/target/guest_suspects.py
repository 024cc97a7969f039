"""Which program of a batch made the kernel say what it said: tried again in fresh guests.

First each program alone; what shows only together is narrowed down to the fewest programs in a
row that show it. A report that never shows again is told by the last program of its batch: it
must not be lost, and whoever confirms findings will see that it does not show again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from conformance.program.outcome import Outcome, Status
from conformance.target.batches import Batch
from conformance.target.kernel_log import Report


class Trial(NamedTuple):
    """One run of a batch. outcomes: empty when the guest was lost. report: what its kernel said
    or did that it should not, None when all was well."""

    outcomes: list[Outcome]
    report: Report | None


Run = Callable[[Batch], Trial]  # in a guest that no report was made of


class Settled(NamedTuple):
    """outcomes: of the batch's first programs, at least one. rest: the others, still to be run."""

    outcomes: list[Outcome]
    rest: Batch | None


def settle(batch: Batch, report: Report, run: Run) -> Settled:
    """Run the programs of a batch that was seen to make `report`. Raises what `run` raises."""
    outcomes: list[Outcome] = []
    for index in range(len(batch.encoded)):
        trial = run(batch.part(index, index + 1))
        if trial.report is not None:
            outcomes.append(accused(trial, trial.report))
            return Settled(outcomes, _rest(batch, index + 1))
        outcomes += trial.outcomes
    if len(batch.encoded) == 1:
        return Settled([_told(outcomes[0], _once(report, "when it ran again"))], None)
    return _together(batch, report, run)


def _together(batch: Batch, report: Report, run: Run) -> Settled:
    """No program shows it alone."""
    trial = run(batch)
    if trial.report is None:
        outcomes = trial.outcomes
        outcomes[-1] = _told(outcomes[-1], _once(report, "alone or together"))
        return Settled(outcomes, None)
    first, end = 0, len(batch.encoded)
    while end - first > 1:
        middle = (first + end) // 2
        for low, high in ((first, middle), (middle, end)):
            half = run(batch.part(low, high))
            if half.report is not None:
                first, end, trial = low, high, half
                break
        else:
            break
    assert trial.report is not None, "the last run kept showed it"
    size = end - first
    said = trial.report
    if size > 1:
        said = said._replace(
            excerpt=f"(shown by {size} programs in a row only, this one the last)\n{said.excerpt}"
        )
    before = _before(batch, end - 1, run)
    return Settled([*before, accused(trial, said)], _rest(batch, end))


def _before(batch: Batch, end: int, run: Run) -> list[Outcome]:
    """Outcomes of the programs before the accused one: alone, none of them made a report."""
    out: list[Outcome] = []
    for index in range(end):
        trial = run(batch.part(index, index + 1))
        out.append(trial.outcomes[0] if trial.report is None else accused(trial, trial.report))
    return out


def _rest(batch: Batch, start: int) -> Batch | None:
    """Its programs from `start` on; None when there are none."""
    count = len(batch.encoded)
    return batch.part(start, count) if start < count else None


def accused(trial: Trial, report: Report) -> Outcome:
    """The outcome of the last program of a run that made a report: its own, where the guest
    went on and answered."""
    if trial.outcomes and not report.fatal:
        return _told(trial.outcomes[-1], report)
    return Outcome(status=Status.CRASHED, results=(), reason=report.title, log=report.log)


def _told(outcome: Outcome, report: Report) -> Outcome:
    return msgspec.structs.replace(outcome, log=report.log)


def _once(report: Report, how: str) -> Report:
    return report._replace(excerpt=f"(seen once; not again {how})\n{report.excerpt}")
