"""A target without a kernel: the model, told another policy, plays a kernel with a fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from conformance.abi.advice import ADVICES
from conformance.model.policy import Policy
from conformance.model.predict import predict
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.program.outcome import Outcome, Snapshot, Status
from conformance.program.program import Program
from conformance.program.wire import Observe

FACTS = KernelFacts(
    release="6.18.44",
    advices=tuple(a.value for a in ADVICES if a.config != "MEMORY_FAILURE"),
    ranges_call=RangesCall.SHIM,
)


def outcome_of(program: Program, policy: Policy, observe: Observe) -> Outcome:
    """What a kernel that follows the policy would show."""
    prediction = predict(program, FACTS, policy, observe=int(observe))
    if prediction.skip:
        return Outcome(Status.NOT_RUN, (), reason=prediction.skip)
    return Outcome(
        Status.DONE,
        tuple(prediction.results),
        tuple(prediction.peeks),
        tuple(
            Snapshot(s.step, s.child, tuple(s.vmas), tuple(s.pages)) for s in prediction.snapshots
        ),
    )


class ModelTarget:
    """Follows the usual policy, but the faulty one when `faulty` says so (each run is asked)."""

    name = "model"
    facts = FACTS

    def __init__(self, policy: Policy, faulty: Callable[[], bool] = lambda: True) -> None:
        self.policy = policy
        self.faulty = faulty
        self.programs_run = 0
        self.looks: list[Observe] = []

    def run_batch(
        self, programs: Sequence[Program], observe: Observe = Observe(0)
    ) -> list[Outcome]:
        self.programs_run += len(programs)
        self.looks.append(observe)
        return [
            outcome_of(program, self.policy if self.faulty() else Policy(), observe)
            for program in programs
        ]

    def submit(self, programs: Sequence[Program], observe: Observe = Observe(0)) -> None:
        raise NotImplementedError

    def collect(self) -> list[Outcome]:
        raise NotImplementedError

    def worker_pids(self) -> tuple[int, ...]:
        return ()

    def close(self) -> None:
        pass

    def __enter__(self) -> ModelTarget:
        return self

    def __exit__(self, *ending: object) -> None:
        pass
