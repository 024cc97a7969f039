"""Lane: one target, and the programs that are on their way through it.

While one batch runs, the next is generated and predicted; what comes back is judged in the
order of submission. A program that does not do as predicted becomes a suspect: it counts for
nothing before it has been run again, alone (see suspects).
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from conformance.model.policy import DEFAULT_POLICY, Policy
from conformance.model.predict import predict
from conformance.model.prediction import Prediction
from conformance.oracle.judge import judge
from conformance.oracle.ledger import Ledger
from conformance.oracle.verdict import Verdict, VerdictKind
from conformance.program.outcome import Outcome
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.target.target import Target
from fuzz.engine.statistics import KNOWN, CallCensus, Tally, count

CONFORMANT: Final = VerdictKind.CONFORMANT
_NO_VMAS: Final[tuple[int, ...]] = ()


class _ModelError(str):
    """Stands where a prediction should."""

    __slots__ = ()


class Suspect(NamedTuple):
    """A program whose first run was not as predicted. number: in the campaign."""

    number: int
    program: Program
    verdict: Verdict


class _Flight(NamedTuple):
    first: int
    programs: list[Program]
    observe: Observe
    predictions: list[Prediction | _ModelError | None]


class Lane:
    """One target with its pipeline and its tally."""

    def __init__(self, target: Target, ledger: Ledger, policy: Policy = DEFAULT_POLICY) -> None:
        self.target = target
        self.ledger = ledger
        self.tally = Tally()
        self.suspects: list[Suspect] = []
        self._facts = target.facts
        self._policy = policy
        self._flights: deque[_Flight] = deque()
        self._census = CallCensus()
        self._conformant = 0

    def start(self, first: int, programs: list[Program], observe: Observe) -> None:
        """Submit programs [first, ...) and predict them while they run."""
        self.target.submit(programs, observe)
        flags = int(observe)
        predictions = [
            # Where the rest of the process lies is known only when it has run.
            None if program.whole else self._predict(program, _NO_VMAS, flags)
            for program in programs
        ]
        self._flights.append(_Flight(first, programs, observe, predictions))

    @property
    def in_flight(self) -> int:
        """Batches submitted and not judged."""
        return len(self._flights)

    def finish(self) -> None:
        """Wait for the oldest batch and judge it."""
        first, programs, observe, predictions = self._flights[0]
        outcomes = self.target.collect()
        self._flights.popleft()
        tally = self.tally
        tally.programs += len(programs)
        if observe:
            name = str(observe.name)
            tally.samples[name] = tally.samples.get(name, 0) + len(programs)
        census = self._census.add
        conformant = 0
        for i, program in enumerate(programs):
            prediction = predictions[i]
            if prediction is None:
                prediction = self._predict(program, outcomes[i].outside, int(observe))
            verdict = self._judge(program, outcomes[i], prediction)
            if verdict.unspecified:
                self._note_unspecified(verdict, prediction)
            if verdict.kind is CONFORMANT:
                conformant += 1
                census(program)
            else:
                self._not_conformant(first + i, program, verdict)
        self._conformant += conformant

    def take_tally(self) -> Tally:
        """The tally since the last call; all programs in it are settled but the suspects."""
        tally = self.tally
        self._census.take(tally)
        if self._conformant:
            tally.verdicts[CONFORMANT.value] = self._conformant
        self._conformant = 0
        self.tally = Tally()
        return tally

    def _predict(
        self, program: Program, outside: tuple[int, ...], flags: int
    ) -> Prediction | _ModelError:
        try:
            return predict(program, self._facts, self._policy, outside, flags)
        except Exception as error:  # noqa: BLE001 - costs this program, not the campaign
            return _ModelError(f"the model raised {type(error).__name__}: {error}")

    def _judge(
        self, program: Program, outcome: Outcome, prediction: Prediction | _ModelError
    ) -> Verdict:
        if isinstance(prediction, _ModelError):
            return Verdict(VerdictKind.HARNESS_ERROR, reason=prediction)
        try:
            return judge(program, outcome, prediction)
        except Exception as error:  # noqa: BLE001 - costs this program, not the campaign
            reason = f"the oracle raised {type(error).__name__}: {error}"
            return Verdict(VerdictKind.HARNESS_ERROR, reason=reason)

    def _note_unspecified(self, verdict: Verdict, prediction: Prediction | _ModelError) -> None:
        self.tally.unspecified += verdict.unspecified
        if not isinstance(prediction, _ModelError):
            for unspecified in prediction.unspecified.values():
                count(self.tally.unspecified_reasons, unspecified.reason)

    def _not_conformant(self, index: int, program: Program, verdict: Verdict) -> None:
        tally = self.tally
        if verdict.kind is not VerdictKind.SKIPPED:
            self._census.add(program)
        if verdict.bad:
            entry = self.ledger.match(program, verdict, self._facts)
            if entry is None:
                self.suspects.append(Suspect(index, program, verdict))
                return
            count(tally.known, entry.id)
            count(tally.verdicts, KNOWN)
            return
        count(tally.verdicts, verdict.kind.value)
        if verdict.kind is VerdictKind.SKIPPED:
            count(tally.skipped, verdict.reason)
        else:
            tally.harness_error(f"program {index}: {verdict.reason}")
