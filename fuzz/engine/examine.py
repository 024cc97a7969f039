"""Examine: programs are predicted, go to a target, and come back judged."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from conformance.model.policy import DEFAULT_POLICY, Policy
from conformance.model.predict import predict
from conformance.model.prediction import Prediction
from conformance.oracle.judge import judge
from conformance.oracle.verdict import Verdict, VerdictKind
from conformance.program.outcome import Outcome
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.spec.cite import HITS
from conformance.target.target import AS_USUAL, Target

_NO_VMAS: Final[tuple[int, ...]] = ()
_NOTHING: Final[frozenset[str]] = frozenset()


class ModelError(str):
    """Stands where a prediction should: why there is none."""

    __slots__ = ()


class Examined(NamedTuple):
    """A program with all that is known of one run of it. cited: the ids of rules noted while it
    was predicted, if that was asked for."""

    program: Program
    outcome: Outcome
    prediction: Prediction | ModelError
    verdict: Verdict
    cited: frozenset[str] = frozenset()


class _Flight(NamedTuple):
    programs: Sequence[Program]
    observe: Observe
    predictions: list[Prediction | ModelError | None]
    cited: list[frozenset[str]]


class Examiner:
    """One target, judged by the model. Batches come back in the order of submission. cite: note
    which rules each prediction rests on."""

    def __init__(self, target: Target, policy: Policy = DEFAULT_POLICY, cite: bool = False) -> None:
        self.target = target
        self._cite = cite
        self._facts = target.facts
        self._policy = policy
        self._flights: deque[_Flight] = deque()

    def start(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> None:
        """Predict programs, then submit them: the executor shares the CPU, and finds it idle.
        Raises TargetError."""
        flags = int(observe)
        predictions: list[Prediction | ModelError | None] = []
        cited: list[frozenset[str]] = []
        for program in programs:
            # Where the rest of the process lies is known only when it has run.
            whole = program.whole
            predictions.append(None if whole else self._predict(program, _NO_VMAS, flags))
            if self._cite:
                cited.append(frozenset(HITS))
        self.target.submit(programs, observe)
        self._flights.append(_Flight(programs, observe, predictions, cited))

    @property
    def in_flight(self) -> int:
        """Batches submitted and not judged."""
        return len(self._flights)

    def finish(self) -> list[Examined]:
        """Wait for the oldest batch and judge it. Raises TargetError."""
        outcomes = self.target.collect()
        programs, observe, predictions, cited = self._flights.popleft()
        out = []
        for i, program in enumerate(programs):
            outcome = outcomes[i]
            prediction = predictions[i]
            if prediction is None:
                prediction = self._predict(program, outcome.outside, int(observe))
                if self._cite:
                    cited[i] = frozenset(HITS)
            verdict = self._judge(program, outcome, prediction)
            marks = cited[i] if self._cite else _NOTHING
            out.append(Examined(program, outcome, prediction, verdict, marks))
        return out

    def _predict(
        self, program: Program, outside: tuple[int, ...], flags: int
    ) -> Prediction | ModelError:
        if self._cite:
            HITS.clear()
        try:
            return predict(program, self._facts, self._policy, outside, flags)
        except Exception as error:  # noqa: BLE001 - costs this program, not the campaign
            return ModelError(f"the model raised {type(error).__name__}: {error}")

    def _judge(
        self, program: Program, outcome: Outcome, prediction: Prediction | ModelError
    ) -> Verdict:
        if isinstance(prediction, ModelError):
            return Verdict(VerdictKind.HARNESS_ERROR, reason=prediction)
        try:
            return judge(program, outcome, prediction)
        except Exception as error:  # noqa: BLE001 - costs this program, not the campaign
            reason = f"the oracle raised {type(error).__name__}: {error}"
            return Verdict(VerdictKind.HARNESS_ERROR, reason=reason)
