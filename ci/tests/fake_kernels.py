"""Kernels without a kernel: the model plays them, by facts that need not be those they claim."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from conformance.abi.advice import ADVICES
from conformance.model.policy import DEFAULT_POLICY, Policy
from conformance.model.predict import predict
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.program.outcome import Outcome, Snapshot, Status
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.target.target import AS_USUAL, TargetError

FACTS = KernelFacts(
    release="7.2",
    advices=tuple(a.value for a in ADVICES if a.config != "MEMORY_FAILURE"),
    ranges_call=RangesCall.KERNEL,
    disk_fs="ext4",
)


def facts(**changes: object) -> KernelFacts:
    """FACTS with some changed."""
    return replace(FACTS, **changes)


class FakeKernel:
    """A target. facts: what it says of itself. behaves: what it is, the same if None. sometimes:
    asked for each program run; where it says no, the kernel is as it says. fails_after: batches,
    behind which the target breaks."""

    def __init__(
        self,
        name: str,
        claimed: KernelFacts = FACTS,
        behaves: KernelFacts | None = None,
        policy: Policy = DEFAULT_POLICY,
        sometimes: Callable[[], bool] = lambda: True,
        fails_after: int = 1 << 30,
    ) -> None:
        self.name = name
        self.facts = claimed
        self.behaves = behaves or claimed
        self.policy = policy
        self.sometimes = sometimes
        self.left = fails_after
        self.programs_run = 0
        self._out: deque[list[Outcome]] = deque()

    def run_batch(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> list[Outcome]:
        """In one go."""
        self.submit(programs, observe)
        return self.collect()

    def submit(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> None:
        """Runs them at once."""
        self.left -= 1
        if self.left < 0:
            raise TargetError(f"{self.name}: the guest does not boot any more")
        self.programs_run += len(programs)
        self._out.append([self._outcome(program, observe) for program in programs])

    def collect(self) -> list[Outcome]:
        """The oldest."""
        return self._out.popleft()

    def _outcome(self, program: Program, observe: Observe) -> Outcome:
        odd = self.sometimes()
        known = self.behaves if odd else self.facts
        policy = self.policy if odd else DEFAULT_POLICY
        prediction = predict(program, known, policy, observe=int(observe))
        if prediction.skip:
            return Outcome(Status.NOT_RUN, (), reason=prediction.skip)
        if prediction.dies_at >= 0:
            return Outcome(Status.NOT_RUN, (), reason="a program that dies is not played")
        return Outcome(
            Status.DONE,
            tuple(prediction.results),
            tuple(prediction.peeks),
            tuple(
                Snapshot(s.step, s.child, tuple(s.vmas), tuple(s.pages))
                for s in prediction.snapshots
            ),
        )

    def worker_pids(self) -> tuple[int, ...]:
        """None."""
        return ()

    def close(self) -> None:
        """Nothing to do."""

    def __enter__(self) -> FakeKernel:
        return self

    def __exit__(self, *ending: object) -> None:
        pass
