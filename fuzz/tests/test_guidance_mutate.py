"""Mutations: programs that may be run, that differ, and that reach what generators seldom draw."""

from __future__ import annotations

from collections import Counter

import pytest

from conformance.abi.advice import BY_NAME
from conformance.model.predict import predict
from conformance.program.call import Madvise, MadviseRanges
from conformance.program.control_struct import ControlBytes
from conformance.program.mapping import Kind, Mapping, Prot
from conformance.program.places import ARENA_BASE, PAGE
from conformance.program.program import STEPS_MAX, Program
from conformance.program.text import dumps, loads
from conformance.program.validate import validate
from conformance.program.wire import encode
from fuzz.generate.options import GenerateOptions
from fuzz.generate.programs import ProgramSource
from fuzz.generate.seeded import SeededChooser
from fuzz.guidance import mutate, mutate_disturb, mutate_layout, mutate_steps
from fuzz.guidance.mutate import Mutator, splice
from fuzz.guidance.step_ranges import edges_of, ranges_of, with_range
from fuzz.tests.model_target import FACTS

OPTIONS = GenerateOptions(poison=True, reclaim=True)
CHANGES = (
    mutate.splice, mutate.take_layout, mutate.drop_step, mutate.repeat_step, mutate.swap_steps,
    mutate.drop_mapping, mutate_layout.change_mapping, mutate_layout.move_mapping,
    mutate_layout.other_process, mutate_steps.move_range, mutate_steps.nudge_range,
    mutate_steps.change_advice, mutate_steps.toggle_option, mutate_steps.misplace_struct,
    mutate_steps.as_bytes, mutate_steps.change_call, mutate_disturb.disturb,
)  # fmt: skip


def programs(count: int, seed: int = 1, options: GenerateOptions = OPTIONS) -> list[Program]:
    source = ProgramSource(seed, options)
    return [source.program(number) for number in range(count)]


@pytest.mark.parametrize("guest", [True, False])
def test_what_comes_out_may_be_run_and_is_predicted_and_kept(guest: bool) -> None:
    options = OPTIONS if guest else GenerateOptions()
    pool = programs(200, options=options)
    mutator = Mutator(SeededChooser(9), options, guest)
    for number in range(600):
        before = pool[number % 200]
        after = mutator.mutate(before, pool[number * 7 % 200])
        assert after is not None
        assert after != before
        assert not validate(after, guest)
        predict(after, FACTS)
        encode(after, 0)
        assert loads(dumps(after).encode(), "mutated", guest).program == after


def test_validate_decides_and_is_needed() -> None:
    """Without it some mutants would be no programs: a host must not be given them."""
    pool = programs(300, options=GenerateOptions())
    chooser = SeededChooser(3)
    refused = Counter[str]()
    for change in CHANGES:
        for number in range(300):
            after = change(chooser, pool[number], pool[number - 1])
            refused[change.__name__] += after is not None and bool(validate(after))
    assert refused["move_mapping"] > 10
    assert refused["move_range"] > 0


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: str(change.__name__))
def test_every_change_changes_most_programs_it_is_for(change: mutate.Change) -> None:
    pool = programs(300)
    chooser = SeededChooser(4)
    good = 0
    for number in range(300):
        after = change(chooser, pool[number], pool[number - 1])
        good += after is not None and after != pool[number] and not validate(after, guest=True)
    assert good > 100


def test_the_same_choices_make_the_same_program() -> None:
    pool = programs(50)
    made = []
    for _ in range(2):
        mutator = Mutator(SeededChooser(11), OPTIONS, guest=True)
        made.append([mutator.mutate(pool[i], pool[-i]) for i in range(50)])
    assert made[0] == made[1]


def test_a_crossing_has_steps_of_both() -> None:
    a, b = programs(2, seed=8)
    crossed = [splice(SeededChooser(seed), a, b) for seed in range(40)]
    assert any(
        out is not None and set(out.steps) & set(a.steps) and set(out.steps) & set(b.steps)
        for out in crossed
    )
    assert all(out is None or len(out.steps) <= STEPS_MAX for out in crossed)


LAYOUT = (Mapping(Kind.ANON, 2, 3), Mapping(Kind.ANON, 7, 2, Prot.R))
ONE = Program(LAYOUT, (Madvise(ARENA_BASE + 3 * PAGE, PAGE, BY_NAME["COLD"].value),))


def test_ranges_move_to_edges_and_gaps() -> None:
    assert [(edge - ARENA_BASE) // PAGE for edge in edges_of(ONE)] == [2, 5, 7, 9]
    starts, ends = set(), set()
    for seed in range(300):
        out = mutate_steps.move_range(SeededChooser(seed), ONE, ONE)
        if out is not None:
            ((start, length),) = ranges_of(out.steps[0])
            starts.add(start - ARENA_BASE)
            ends.add(start + length - ARENA_BASE)
    for page in (2, 5, 7, 9):
        assert page * PAGE in starts
        assert page * PAGE in ends
        assert {page * PAGE + 1, page * PAGE - 1, (page + 1) * PAGE} & (starts | ends)


def test_bytes_are_corrupted_bit_by_bit() -> None:
    pool = [p for p in programs(200) if any(isinstance(s, MadviseRanges) for s in p.steps)]
    raw = mutate_steps.as_bytes(SeededChooser(1), pool[0], pool[0])
    assert raw is not None
    at = next(i for i, step in enumerate(raw.steps) if step != pool[0].steps[i])
    changed = mutate_steps.as_bytes(SeededChooser(2), Program(raw.layout, (raw.steps[at],)), raw)
    assert changed is not None
    before, after = raw.steps[at], changed.steps[0]
    assert isinstance(before, MadviseRanges)
    assert isinstance(after, MadviseRanges)
    assert isinstance(before.control, ControlBytes)
    assert isinstance(after.control, ControlBytes)
    bits = int(before.control.raw, 16) ^ int(after.control.raw, 16)
    assert bits.bit_count() == 1


def test_every_range_of_every_step_can_be_put_back() -> None:
    for program in programs(300):
        for step in program.steps:
            for at, span in enumerate(ranges_of(step)):
                assert ranges_of(with_range(step, at, span)) == ranges_of(step)
