"""Suspects: programs that were not as predicted are run again, alone, before they count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from conformance.model.predict import predict
from conformance.oracle.identity import identify
from conformance.oracle.judge import judge
from conformance.oracle.ledger import Ledger, load_ledger
from conformance.oracle.verdict import Verdict
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.target.target import Target
from fuzz.engine import messages as m
from fuzz.engine.budget import CampaignOptions
from fuzz.engine.lane import Lane, Suspect
from fuzz.engine.statistics import NOT_REPRODUCED, count
from fuzz.findings.finding import Finding

ALONE: Final = Observe.ISOLATED | Observe.SMAPS


class Suspects:
    """Settles what a worker's lanes suspect, and knows which findings are old news."""

    def __init__(self, options: CampaignOptions) -> None:
        self.ledger: Ledger = load_ledger()
        self._options = options
        self._seen: set[str] = set()
        self._hurried = False

    def seen(self, slugs: tuple[str, ...]) -> None:
        """These findings need no shrinking any more."""
        self._seen.update(slugs)

    def hurry(self) -> None:
        """The campaign wants to end: shrink nothing more."""
        self._hurried = True

    def settle(self, lane: Lane) -> Iterator[m.Found]:
        """Run each suspect again; count it, and give those that are new."""
        suspects, lane.suspects = lane.suspects, []
        for suspect in suspects:
            finding = self._confirm(lane, suspect)
            if finding is None:
                count(lane.tally.verdicts, NOT_REPRODUCED)
                continue
            count(lane.tally.verdicts, finding.verdict.kind.value)
            count(lane.tally.findings, finding.identity)
            if finding.slug not in self._seen:
                self._seen.add(finding.slug)
                yield m.Found(finding)

    def _confirm(self, lane: Lane, suspect: Suspect) -> Finding | None:
        verdict = run_alone(lane.target, suspect.program)
        if not verdict.bad:
            return None
        return Finding(
            identity=str(identify(suspect.program, verdict)),
            verdict=verdict,
            program=suspect.program,
            shown=1,
            runs=1,
            target=lane.target.name,
            release=lane.target.facts.release,
            seed=self._options.seed,
            index=suspect.number,
        )


def run_alone(target: Target, program: Program) -> Verdict:
    """Run a program in a process of its own, with the fullest look, and judge it."""
    (outcome,) = target.run_batch([program], ALONE)
    prediction = predict(program, target.facts, outside=outcome.outside, observe=int(ALONE))
    return judge(program, outcome, prediction)
