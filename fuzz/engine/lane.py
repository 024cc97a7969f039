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
from conformance.program.wire import COVERAGE, Observe
from conformance.target.target import Target
from fuzz.engine.examine import Examined, Examiner, ModelError
from fuzz.engine.statistics import KNOWN, CallCensus, Tally, count
from fuzz.guidance.guide import Guide, Run
from fuzz.guidance.seed_pool import Seed

CONFORMANT: Final = VerdictKind.CONFORMANT


class Suspect(NamedTuple):
    """A program whose first run was not as predicted, or a harness error.

    number: in the campaign. observe: how it was looked at.
    """

    number: int
    program: Program
    observe: Observe
    verdict: Verdict


def runs_of(examined: list[Examined]) -> list[Run]:
    """What a guide learns from. A program that did not do as predicted is no seed: its children
    would find the same again, or end guests."""
    return [
        Run(one.program, one.outcome, one.prediction, one.cited)
        for one in examined
        if one.verdict.kind is CONFORMANT and not isinstance(one.prediction, ModelError)
    ]


class Lane:
    """One target with its pipeline, its suspects and its tally. guide: what draws its programs and
    learns from them, if anything does; seeds: what it has learnt since they were taken."""

    def __init__(self, target: Target, ledger: Ledger, guide: Guide | None = None) -> None:
        self.target = target
        self.ledger = ledger
        self.guide = guide
        self.seeds: list[Seed] = []
        self.examiner = Examiner(target, cite=guide is not None)
        self.tally = Tally()
        self.suspects: list[Suspect] = []
        self._firsts: deque[tuple[int, Observe]] = deque()
        self._census = CallCensus()
        self._conformant = 0

    def start(self, first: int, programs: list[Program], observe: Observe) -> None:
        """Predict programs [first, ...) and submit them."""
        how = observe if self.guide is None else observe | self.guide.observe
        self.examiner.start(programs, how)
        self._firsts.append((first, observe & ~COVERAGE))  # coverage is no way to look

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
            if verdict.race:
                count(tally.races, verdict.race)
            if verdict.kind is CONFORMANT:
                conformant += 1
                census(one.program)
            else:
                self._not_conformant(Suspect(first + i, one.program, observe, verdict))
        self._conformant += conformant
        if self.guide is not None:
            self.seeds += self.guide.learn(self.target, runs_of(examined))
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
