"""Lane: one target of a worker, with the tally of what went through it.

A program that does not do as predicted, or of which there is no evidence, becomes a suspect: it
counts for nothing before it has been run again, alone (see suspects).
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from conformance.oracle.ledger import Ledger
from conformance.oracle.verdict import Verdict, VerdictKind
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.target.target import Target
from fuzz.engine.examine import Examined, Examiner, ModelError
from fuzz.engine.statistics import KNOWN, CallCensus, Tally, count

CONFORMANT: Final = VerdictKind.CONFORMANT


class Suspect(NamedTuple):
    """A program whose first run was not as predicted, or a harness error.

    number: in the campaign. observe: how it was looked at.
    """

    number: int
    program: Program
    observe: Observe
    verdict: Verdict


class Lane:
    """One target with its pipeline, its suspects and its tally."""

    def __init__(self, target: Target, ledger: Ledger) -> None:
        self.target = target
        self.ledger = ledger
        self.examiner = Examiner(target)
        self.tally = Tally()
        self.suspects: list[Suspect] = []
        self._firsts: deque[tuple[int, Observe]] = deque()
        self._census = CallCensus()
        self._conformant = 0

    def start(self, first: int, programs: list[Program], observe: Observe) -> None:
        """Predict programs [first, ...) and submit them."""
        self.examiner.start(programs, observe)
        self._firsts.append((first, observe))

    def finish(self) -> list[Examined]:
        """Wait for the oldest batch and count it; what came of each of its programs."""
        examined = self.examiner.finish()
        first, observe = self._firsts.popleft()
        tally = self.tally
        tally.programs += len(examined)
        if observe:
            name = str(observe.name)
            tally.samples[name] = tally.samples.get(name, 0) + len(examined)
        census = self._census.add
        conformant = 0
        for i, one in enumerate(examined):
            verdict = one.verdict
            if verdict.unspecified:
                self._note_unspecified(one)
            if verdict.kind is CONFORMANT:
                conformant += 1
                census(one.program)
            else:
                self._not_conformant(Suspect(first + i, one.program, observe, verdict))
        self._conformant += conformant
        return examined

    def take_tally(self) -> Tally:
        """The tally since the last call. Its suspects must be settled."""
        tally = self.tally
        self._census.take(tally)
        if self._conformant:
            tally.verdicts[CONFORMANT.value] = self._conformant
        self._conformant = 0
        self.tally = Tally()
        return tally

    def _note_unspecified(self, one: Examined) -> None:
        self.tally.unspecified += one.verdict.unspecified
        if not isinstance(one.prediction, ModelError):
            for unspecified in one.prediction.unspecified.values():
                count(self.tally.unspecified_reasons, unspecified.reason)

    def _not_conformant(self, suspect: Suspect) -> None:
        tally, verdict = self.tally, suspect.verdict
        if verdict.kind is not VerdictKind.SKIPPED:
            self._census.add(suspect.program)
        if verdict.kind is VerdictKind.SKIPPED:
            count(tally.verdicts, verdict.kind.value)
            count(tally.skipped, verdict.reason)
            return
        entry = self.ledger.match(suspect.program, verdict, self.target.facts)
        if entry is None:
            self.suspects.append(suspect)
            return
        count(tally.known, entry.id)
        count(tally.verdicts, KNOWN)
