"""The model on programs that nobody chose: it never raises, never contradicts itself."""

from __future__ import annotations

import msgspec
import pytest

from conformance.abi import vm_flags
from conformance.abi.advice import ADVICES
from conformance.model.predict import EACH_STEP, READ_ALL, predict
from conformance.model.prediction import Prediction
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.program.outcome import PAGE_GUARD, PAGE_PRESENT
from conformance.program.program import Program
from fuzz.generate.programs import ProgramSource

BASE = KernelFacts(
    release="test",
    advices=tuple(a.value for a in ADVICES if a.config != "MEMORY_FAILURE"),
    ranges_call=RangesCall.SHIM,
    disk_fs="ext4",
    vvar_pages=4,
    vvar_flags=vm_flags.RD | vm_flags.MR | vm_flags.PF | vm_flags.IO | vm_flags.DE | vm_flags.DD,
)
PROGRAMS = 1500


def shape(prediction: Prediction) -> tuple[object, ...]:
    """A prediction as a value that can be compared."""
    return (
        prediction.results,
        prediction.requirements,
        prediction.peeks,
        [(s.step, s.child, s.vmas, s.pages, s.page_masks) for s in prediction.snapshots],
        prediction.skip,
    )


def check_snapshots(program: Program, prediction: Prediction) -> None:
    for snapshot in prediction.snapshots:
        assert len(snapshot.pages) == program.arena_pages()
        starts, ends = snapshot.vmas[0::4], snapshot.vmas[1::4]
        for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
            assert start < end
            assert i == 0 or ends[i - 1] <= start
        for word in snapshot.pages:
            assert not (word & PAGE_PRESENT and word & PAGE_GUARD)


@pytest.mark.parametrize("ranges_call", list(RangesCall))
def test_predicts_every_generated_program(ranges_call: RangesCall) -> None:
    facts = msgspec.structs.replace(BASE, ranges_call=ranges_call)
    source = ProgramSource(seed=20)
    for index in range(PROGRAMS):
        program = source.program(index)
        prediction = predict(program, facts, observe=EACH_STEP | READ_ALL)
        if prediction.skip:
            continue
        assert len(prediction.results) == len(program.setup()) + len(program.steps)
        assert len(prediction.requirements) == len(prediction.results)
        assert all(prediction.requirements)
        assert len(prediction.peeks) == len(prediction.peek_steps) == len(prediction.peek_names)
        check_snapshots(program, prediction)


def test_same_program_same_prediction() -> None:
    source = ProgramSource(seed=21)
    for index in range(300):
        program = source.program(index)
        assert shape(predict(program, BASE)) == shape(predict(program, BASE))


def test_observing_each_step_does_not_change_the_results() -> None:
    source = ProgramSource(seed=22)
    for index in range(300):
        program = source.program(index)
        plain, closely = predict(program, BASE), predict(program, BASE, observe=EACH_STEP)
        assert plain.results == closely.results
        assert plain.peeks == closely.peeks
        if plain.snapshots:
            assert plain.snapshots[-1].pages == closely.snapshots[-1].pages
