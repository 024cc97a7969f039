"""Every allocation of a call fails once: on a kernel that the model plays, with and without faults
in its ways back out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import msgspec
import pytest

from conformance.cases.layouts import anon, madvise, read, vector, written
from conformance.model.predict import predict
from conformance.model.prediction import Prediction
from conformance.oracle.ledger import Ledger
from conformance.program.call import FAIL_NTH_MAX
from conformance.program.outcome import Outcome, Snapshot, Status
from conformance.program.places import PAGE
from conformance.program.plan import fail_nth
from conformance.program.program import STEPS_MAX, Program, Rights
from conformance.program.wire import Observe
from conformance.target.target import AS_USUAL
from fuzz.engine.fail_nth import CALLS, QUIET, SPARED, FailNth, failing, suitable
from fuzz.engine.lane import Lane, Suspect
from fuzz.tests.model_target import FACTS, ModelTarget

CAN_FAIL = msgspec.structs.replace(FACTS, fail_nth=True)
SPLITS = Program((written(0, 6),), (madvise(2, 2, "RANDOM"), read(0, 6)))

# What a kernel with a fault shows. Of a call that got no memory: what it showed, what it would
# have shown with memory.
Spoil = Callable[[Outcome, Outcome, int], Outcome]


def shown(prediction: Prediction, left: int) -> Outcome:
    peeks = [
        left.to_bytes(8, "little") if name == "fault" else peek
        for name, peek in zip(prediction.peek_names, prediction.peeks, strict=True)
    ]
    return Outcome(
        Status.DONE,
        tuple(prediction.results),
        tuple(peeks),
        tuple(
            Snapshot(s.step, s.child, tuple(s.vmas), tuple(s.pages)) for s in prediction.snapshots
        ),
    )


class Kernel(ModelTarget):
    """Its allocations are the model's, and `spared` more in front, which it can do without."""

    facts = CAN_FAIL

    def __init__(self, spared: int = 0, spoil: Spoil | None = None) -> None:
        self.spared = spared
        self.spoil = spoil
        self.tried: list[tuple[int, int]] = []
        self.queue: deque[list[Outcome]] = deque()

    def run_one(self, program: Program, observe: Observe) -> Outcome:
        usual = predict(program, self.facts, observe=int(observe))
        step = next(i for i, step in enumerate(program.steps) if fail_nth(step))
        nth = fail_nth(program.steps[step])
        self.tried.append((step, nth))
        if usual.again is None or nth <= self.spared:
            return shown(usual, 0)
        for place in range(1, nth - self.spared + 1):
            out = usual.again(place)
            if not out.fault_reached:
                return shown(usual, nth - self.spared - place + 1)
        at = len(program.setup()) + step
        seen = shown(out, 0)
        return self.spoil(seen, shown(usual, 0), at) if self.spoil else seen

    def submit(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> None:
        self.queue.append([self.run_one(program, observe) for program in programs])

    def collect(self) -> list[Outcome]:
        return self.queue.popleft()


def stepped(kernel: Kernel, *programs: Program) -> tuple[dict[str, int], list[Suspect]]:
    lane = Lane(kernel, Ledger())
    FailNth(lane).take(list(enumerate(programs)), lambda: False)
    return lane.tally.faults, lane.suspects


def test_it_goes_on_until_a_number_is_not_reached() -> None:
    kernel = Kernel(spared=1)
    faults, suspects = stepped(kernel, SPLITS)
    assert suspects == []
    numbers = [nth for _, nth in kernel.tried]
    assert numbers[0] == FAIL_NTH_MAX
    assert numbers[1:] == list(range(1, len(numbers)))
    assert faults == {CALLS: 1, SPARED: 1, "EAGAIN": 2}  # two splits


def test_every_call_of_every_program_has_its_turn() -> None:
    kernel = Kernel()
    both = Program(
        (anon(0, 12),), (madvise(0, 4, "DONTNEED"), vector("RANDOM", *((i, 1) for i in range(9))))
    )
    faults, suspects = stepped(kernel, both, SPLITS)
    assert suspects == []
    assert faults[CALLS] == 3
    assert faults[QUIET] == 1
    assert faults["ENOMEM"] == 1  # for the vector
    assert faults["part of it"] >= 8  # the elements before the one without memory
    assert {step for step, _ in kernel.tried} == {0, 1}


def test_a_count_that_was_too_low_is_made_good() -> None:
    """A cache of the kernel was full when they were counted."""

    class Emptied(Kernel):
        def run_one(self, program: Program, observe: Observe) -> Outcome:
            outcome = super().run_one(program, observe)
            if fail_nth(program.steps[0]) == FAIL_NTH_MAX:
                self.spared = 7
            return outcome

    kernel = Emptied(spared=0)
    faults, _ = stepped(kernel, SPLITS)
    assert faults == {CALLS: 1, SPARED: 7, "EAGAIN": 2}
    assert kernel.tried[-1][1] > 9


def result_of(value: int) -> Spoil:
    def spoil(seen: Outcome, usual: Outcome, at: int) -> Outcome:
        results = (*seen.results[:at], value, *seen.results[at + 1 :])
        return msgspec.structs.replace(seen, results=results)

    return spoil


def changed(seen: Outcome, at: int, change: Callable[[Snapshot], Snapshot]) -> Outcome:
    """With another snapshot of what stood right after the call."""
    snapshots = tuple(change(s) if s.step == at else s for s in seen.snapshots)
    return msgspec.structs.replace(seen, snapshots=snapshots)


def done_all_the_same(seen: Outcome, usual: Outcome, at: int) -> Outcome:
    (full,) = (s for s in usual.snapshots if s.step == at)
    return changed(seen, at, lambda _: full)


def nothing_done(seen: Outcome, usual: Outcome, at: int) -> Outcome:
    return result_of(usual.results[at])(seen, usual, at)


def cannot_be_repeated(seen: Outcome, usual: Outcome, at: int) -> Outcome:
    return result_of(-11)(seen, usual, at + 1)


def pages_lost(seen: Outcome, usual: Outcome, at: int) -> Outcome:
    return changed(seen, at, lambda s: msgspec.structs.replace(s, pages=(0, *s.pages[1:])))


def split_stays_open(seen: Outcome, usual: Outcome, at: int) -> Outcome:
    def split(s: Snapshot) -> Snapshot:
        start, end, flags, pgoff = s.vmas[:4]
        middle = start + PAGE
        vmas = (start, middle, flags, pgoff, middle, end, flags, pgoff + 1, *s.vmas[4:])
        return msgspec.structs.replace(s, vmas=vmas)

    return changed(seen, at, split)


@pytest.mark.parametrize(
    ("spoil", "broken"),
    [
        (nothing_done, "vma."),
        (done_all_the_same, "vma."),
        (result_of(-12), "result.ENOMEM-not-"),
        (cannot_be_repeated, "result.EAGAIN-not-0"),
        (pages_lost, "page.not-present"),
        (split_stays_open, "vma.split"),
    ],
)
def test_a_wrong_way_out_is_found(spoil: Spoil, broken: str) -> None:
    _, suspects = stepped(Kernel(spoil=spoil), SPLITS)
    assert suspects
    fields = {difference.field for one in suspects for difference in one.verdict.differences}
    assert any(field.startswith(broken) for field in fields), fields
    assert {one.number for one in suspects} == {0}


def test_a_step_too_many_falls_off_the_end() -> None:
    program = Program((anon(0, 4),), (madvise(0, 1, "RANDOM"),) * STEPS_MAX)
    out = failing(program, 2, 5)
    assert len(out.steps) == STEPS_MAX
    assert [fail_nth(step) for step in out.steps] == [0, 0, 5, 0, 0, 0, 0, 0]


def test_it_stops_when_told() -> None:
    kernel = Kernel()
    lane = Lane(kernel, Ledger())
    FailNth(lane).take([(0, SPLITS)], lambda: bool(kernel.tried))
    assert kernel.tried == [(0, FAIL_NTH_MAX)]


def test_programs_in_which_none_can_fail_are_left_out() -> None:
    assert suitable(SPLITS)
    assert not suitable(msgspec.structs.replace(SPLITS, whole=True))
    assert not suitable(msgspec.structs.replace(SPLITS, rights=Rights.OTHER_USER))
