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
from conformance.target.target import AS_USUAL, Target

_NO_VMAS: Final[tuple[int, ...]] = ()


class ModelError(str):
    """Stands where a prediction should: why there is none."""

    __slots__ = ()


class Examined(NamedTuple):
    """A program with all that is known of one run of it."""

    program: Program
    outcome: Outcome
    prediction: Prediction | ModelError
    verdict: Verdict


class _Flight(NamedTuple):
    programs: Sequence[Program]
    observe: Observe
    predictions: list[Prediction | ModelError | None]


class Examiner:
    """One target, judged by the model. Batches come back in the order of submission."""

    def __init__(self, target: Target, policy: Policy = DEFAULT_POLICY) -> None:
        self.target = target
        self._facts = target.facts
        self._policy = policy
        self._flights: deque[_Flight] = deque()

    def start(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> None:
        """Predict programs, then submit them: the executor shares the CPU, and finds it idle.
        Raises TargetError."""
        flags = int(observe)
        predictions = [
            # Where the rest of the process lies is known only when it has run.
            None if program.whole else self._predict(program, _NO_VMAS, flags)
            for program in programs
        ]
        self.target.submit(programs, observe)
        self._flights.append(_Flight(programs, observe, predictions))

    @property
    def in_flight(self) -> int:
        """Batches submitted and not judged."""
        return len(self._flights)

    def finish(self) -> list[Examined]:
        """Wait for the oldest batch and judge it. Raises TargetError."""
        outcomes = self.target.collect()
        programs, observe, predictions = self._flights.popleft()
        out = []
        for i, program in enumerate(programs):
            outcome = outcomes[i]
            prediction = predictions[i]
            if prediction is None:
                prediction = self._predict(program, outcome.outside, int(observe))
            verdict = self._judge(program, outcome, prediction)
            out.append(Examined(program, outcome, prediction, verdict))
        return out

    def _predict(
        self, program: Program, outside: tuple[int, ...], flags: int
    ) -> Prediction | ModelError:
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
