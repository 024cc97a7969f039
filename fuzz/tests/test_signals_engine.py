"""Which signals come during which calls, and that a kernel which heeds them is found."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from conformance.cases.layouts import anon, madvise, multi, read, span, vector, written
from conformance.model.predict import predict
from conformance.oracle.ledger import Ledger
from conformance.program.call import SignalHow
from conformance.program.mapping import Uffd
from conformance.program.outcome import Outcome, Snapshot, Status
from conformance.program.plan import signal_of
from conformance.program.program import Program
from conformance.program.validate import validate
from conformance.program.wire import Observe
from conformance.target.target import AS_USUAL
from fuzz.engine.lane import Lane
from fuzz.engine.signals import KILLS, SLEEPERS, STORMS, take, variants
from fuzz.generate.options import GenerateOptions
from fuzz.generate.programs import ProgramSource
from fuzz.tests.model_target import FACTS, ModelTarget

EINTR = 4
PROGRAM = Program(
    (anon(0, 4), written(8, 2), written(12, 2, uffd=Uffd.MISSING)),
    (madvise(0, 14, "POPULATE_WRITE"), read(0, 2), madvise(8, 2, "COLD")),
)


class Kernel(ModelTarget):
    """As the model has it; interrupted: a handled signal ends the call that sleeps."""

    def __init__(self, interrupted: bool = False) -> None:
        self.interrupted = interrupted
        self.queue: deque[list[Outcome]] = deque()

    def run_one(self, program: Program, observe: Observe) -> Outcome:
        prediction = predict(program, FACTS, observe=int(observe))
        step = next(i for i, step in enumerate(program.steps) if signal_of(step) is not None)
        at = len(program.setup()) + step
        results = tuple(prediction.results)
        if prediction.dies_at >= 0:
            snapshots = [s for s in prediction.snapshots if s.step < at]
            return Outcome(
                Status.KILLED, results[:at], (),
                tuple(Snapshot(s.step, s.child, tuple(s.vmas), tuple(s.pages)) for s in snapshots),
                signal=9, step=at,
            )  # fmt: skip
        signal = signal_of(program.steps[step])
        if self.interrupted and signal is not None and signal.how is SignalHow.HANDLED:
            results = (*results[:at], -EINTR, *results[at + 1 :])
        snapshots = prediction.snapshots
        return Outcome(
            Status.DONE, results, tuple(prediction.peeks),
            tuple(Snapshot(s.step, s.child, tuple(s.vmas), tuple(s.pages)) for s in snapshots),
        )  # fmt: skip

    def submit(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> None:
        self.queue.append([self.run_one(program, observe) for program in programs])

    def collect(self) -> list[Outcome]:
        return self.queue.popleft()


def test_each_call_and_each_mapping_has_its_turn() -> None:
    kinds = [
        (step, signal.how.value, signal.page)
        for program in variants(PROGRAM)
        for step, call in enumerate(program.steps)
        if (signal := signal_of(call)) is not None
    ]
    assert kinds == [
        (0, "storm", 0),
        (0, "handled", 0), (0, "fatal", 0), (0, "handled", 8), (0, "fatal", 8),
        (2, "storm", 0),
    ]  # fmt: skip


def test_of_vectors_and_ranges_too() -> None:
    layout = (anon(0, 4), written(8, 2))
    calls = (
        vector("DONTNEED", (8, 1)),
        multi(span(0, 1, "COLD"), span(1, 1, "FREE")),
        multi(span(0, 1, "COLD")),
    )
    assert [len(list(variants(Program(layout, (call,))))) for call in calls] == [3, 3, 1]


def test_every_variant_of_a_generated_program_may_be_run() -> None:
    source = ProgramSource(3, GenerateOptions(whole=False))
    tried = [out for number in range(200) for out in variants(source.program(number))]
    assert len(tried) > 400
    assert [problem for program in tried for problem in validate(program)] == []


def lane_of(kernel: Kernel) -> Lane:
    lane = Lane(kernel, Ledger())
    take(lane, [(7, PROGRAM)], lambda: False)
    return lane


def test_a_kernel_that_sleeps_on_is_right() -> None:
    lane = lane_of(Kernel())
    assert lane.suspects == []
    assert lane.tally.signals == {STORMS: 2, SLEEPERS: 2, KILLS: 2}


def test_a_kernel_that_gives_eintr_is_found() -> None:
    lane = lane_of(Kernel(interrupted=True))
    assert [suspect.number for suspect in lane.suspects] == [7, 7]
    for suspect in lane.suspects:
        assert suspect.verdict.differences[0].field.startswith("result.EINTR-not-")


def test_it_stops_when_told() -> None:
    lane = Lane(Kernel(), Ledger())
    take(lane, [(0, msgspec.structs.replace(PROGRAM))], lambda: True)
    assert lane.tally.signals == {}
