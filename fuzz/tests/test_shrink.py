"""Shrinking: smaller, still the same bug, never a program that may not be run, bounded."""

from collections.abc import Sequence

import msgspec
import pytest

from conformance.abi.advice import BY_NAME
from conformance.model.policy import DEFAULT_POLICY, Policy
from conformance.oracle.identity import Identity, identify
from conformance.oracle.verdict import VerdictKind
from conformance.program import call as c
from conformance.program.control_struct import ControlFields, Multi, Range, Single
from conformance.program.mapping import Backing, FileSlot, Kind, Lock, Mapping, Mark, Sharing, Touch
from conformance.program.places import ARENA_BASE, PAGE, page_address
from conformance.program.program import Program
from conformance.program.text import dumps, loads, shortlex
from conformance.program.validate import validate
from conformance.program.wire import Observe
from fuzz.generate.programs import ProgramSource
from fuzz.tests.model_target import ModelTarget
from fuzz.triage.examine import ALONE, FULL_LOOK, examine, still_fails
from fuzz.triage.shrink import ShrinkBudget, shrink
from fuzz.triage.shrink_columns import delete_columns
from fuzz.triage.shrink_passes import PASSES
from fuzz.triage.shrink_steps import simpler_steps
from fuzz.triage.stability import DEFLAKE_RUNS, confirm

COLD = BY_NAME["COLD"].value
DONTNEED = BY_NAME["DONTNEED"].value
HANDLED = c.SignalHow.HANDLED
GENEROUS = ShrinkBudget(20_000, 120.0)


def gap_policy() -> Policy:
    """A kernel that reports gaps as madvise(2) does: ENOMEM."""
    policy = Policy()
    policy.gap_is_error = True
    return policy


LARGE = Program(
    (
        Mapping(Kind.ANON, 3, 8, touches=(Touch(0, 4), Touch(5, 2, write=False))),
        Mapping(Kind.MEMFD, 14, 6, sharing=Sharing.SHARED, touches=(Touch(1, 2),)),
        Mapping(Kind.TMPFS, 21, 5, file=1, offset=2, marks=(Mark(1, 2, advice=DONTNEED),)),
        Mapping(Kind.ANON, 30, 4, lock=Lock.LOCKED),
    ),
    (
        c.TouchPages(4, 3),
        c.Madvise(page_address(3), 4 * PAGE, DONTNEED),
        c.MadviseRanges(
            ControlFields(
                Multi(
                    (
                        Range(page_address(4), 2 * PAGE, 1),
                        Range(page_address(12), 10 * PAGE, 16),
                        Range(page_address(30), PAGE, 2),
                    )
                ),
                ignore_errors=True,
                padding=0x5A,
            ),
            stats_fill=0xEE,
        ),
        c.Mprotect(page_address(5), PAGE, Mapping(Kind.ANON, 0, 1).prot),
        c.Fork(),
    ),
    (FileSlot(Backing.MEMFD, 6), FileSlot(Backing.TMPFS, 9)),
)


def test_a_fault_is_found_confirmed_and_shrunk_to_what_it_takes() -> None:
    target = ModelTarget(gap_policy())
    found = confirm(target, LARGE)
    assert found is not None
    assert (found.shown, found.runs) == (DEFLAKE_RUNS, DEFLAKE_RUNS)
    assert str(found.identity).startswith("madvise_ranges/")
    assert found.identity.difference == "result.ENOMEM-not-0"
    small = shrink(LARGE, still_fails(target, found.identity, found.observe), GENEROUS)
    (verdict,) = examine(target, [small])
    assert verdict.kind is VerdictKind.DIVERGENCE
    assert identify(small, verdict).alike(found.identity)
    # The one mapping that a program must have, one call, one page of unmapped memory.
    assert small.layout == (Mapping(Kind.ANON, 1, 1),)
    (step,) = small.steps
    assert step == c.MadviseRanges(ControlFields(Single(Range(ARENA_BASE, PAGE, COLD))))
    assert small.files == ()


def test_the_shrunk_program_is_a_fixed_point() -> None:
    target = ModelTarget(gap_policy())
    found = confirm(target, LARGE)
    assert found is not None
    ask = still_fails(target, found.identity, found.observe)
    small = shrink(LARGE, ask, GENEROUS)
    assert shrink(small, ask, GENEROUS) == small


def test_leaks_are_looked_for_only_where_a_leak_is_reduced() -> None:
    target = ModelTarget(gap_policy())
    found = confirm(target, LARGE)
    assert found is not None
    leak = Identity("kernel", "any", "any", "kernel-quiet", "leak: mm_struct")
    for identity, looked_for in ((found.identity, False), (leak, True)):
        still_fails(target, identity, found.observe)([LARGE])
        assert (Observe.NO_LEAKS not in target.looks[-1]) is looked_for


def wants_locked_neighbour(programs: Sequence[Program]) -> list[bool]:
    """A bug that takes a touched page, a locked mapping right behind it and a call on both."""
    return [_locked_neighbour(program) for program in programs]


def _locked_neighbour(program: Program) -> bool:
    for left in program.layout:
        for right in program.layout:
            if left.at + left.pages != right.at or right.lock is Lock.NO or not left.touches:
                continue
            for step in program.steps:
                if (
                    isinstance(step, c.Madvise)
                    and step.start <= page_address(left.at)
                    and (step.start + step.length > page_address(right.at))
                ):
                    return True
    return False


def test_what_the_bug_needs_stays() -> None:
    program = Program(
        (
            Mapping(Kind.ANON, 2, 2),
            Mapping(Kind.MEMFD, 9, 7, touches=(Touch(0, 3), Touch(4, 1))),
            Mapping(Kind.ANON, 16, 6, lock=Lock.ONFAULT, marks=(Mark(0, 1, advice=16),)),
            Mapping(Kind.ANON, 40, 6),
        ),
        (
            c.TouchPages(2, 2),
            c.Madvise(page_address(8) , 12 * PAGE + 5, 16),
            c.Munmap(page_address(2), PAGE),
        ),
        (FileSlot(Backing.MEMFD, 8),),
    )  # fmt: skip
    assert wants_locked_neighbour([program]) == [True]
    small = shrink(program, wants_locked_neighbour, GENEROUS)
    assert wants_locked_neighbour([small]) == [True]
    assert [(m.kind, m.at, m.pages) for m in small.layout] == [
        (Kind.ANON, 0, 1), (Kind.ANON, 1, 1),
    ]  # fmt: skip
    assert small.layout[0].touches == (Touch(0, 1, small.layout[0].touches[0].write),)
    (step,) = small.steps
    assert isinstance(step, c.Madvise)
    assert step == c.Madvise(ARENA_BASE, 2 * PAGE, step.advice)
    assert small.files == ()


class Asked:
    """A bug that takes a step of one kind; remembers what it was asked."""

    def __init__(self, kept: type) -> None:
        self.kept = kept
        self.programs: list[Program] = []

    def __call__(self, programs: Sequence[Program]) -> list[bool]:
        self.programs.extend(programs)
        return [any(type(step) is self.kept for step in program.steps) for program in programs]


def test_the_result_is_never_larger_and_always_valid_whatever_the_bug_wants() -> None:
    source = ProgramSource(11)
    for number in range(25):
        program = source.program(number)
        kept = type(program.steps[-1])
        ask = Asked(kept)
        small = shrink(program, ask, ShrinkBudget(3000, 20.0))
        assert shortlex(small) <= shortlex(program)
        assert [type(step) for step in small.steps] == [kept]
        assert all(not validate(candidate) for candidate in ask.programs)
        assert loads(dumps(small).encode(), "shrunk").program == small


def test_no_candidate_is_asked_twice() -> None:
    seen: list[str] = []

    def ask(programs: Sequence[Program]) -> list[bool]:
        seen.extend(dumps(program) for program in programs)
        return [len(program.steps) >= 2 for program in programs]

    shrink(LARGE, ask, GENEROUS)
    assert len(seen) == len(set(seen))
    assert dumps(LARGE) not in seen


def test_when_nothing_smaller_fails_the_program_stays() -> None:
    assert shrink(LARGE, lambda programs: [False] * len(programs)) is LARGE


@pytest.mark.parametrize("evaluations", [0, 1, 63, 64, 65, 200])
def test_the_budget_of_runs_is_kept(evaluations: int) -> None:
    count = 0

    def ask(programs: Sequence[Program]) -> list[bool]:
        nonlocal count
        count += len(programs)
        return [True] * len(programs)

    shrink(LARGE, ask, ShrinkBudget(evaluations, 60.0))
    assert count <= evaluations


def test_the_budget_of_time_is_kept() -> None:
    assert shrink(LARGE, lambda programs: [True] * len(programs), ShrinkBudget(10**6, 0.0)) is LARGE


def test_every_pass_finds_something_in_a_large_program() -> None:
    for propose in PASSES:
        if propose.__name__ == "plain_process":
            continue
        smaller = [p for p in propose(LARGE) if shortlex(p) < shortlex(LARGE)]
        assert smaller, propose.__name__


def test_taking_pages_out_moves_what_lies_above_and_shortens_what_spans_them() -> None:
    moved = delete_columns(LARGE, 4, 3)
    assert [(m.at, m.pages) for m in moved.layout] == [(3, 5), (11, 6), (18, 5), (27, 4)]
    assert moved.layout[0].touches == (Touch(0, 1), Touch(2, 2, write=False))
    assert moved.steps[0] == c.Madvise(page_address(3), PAGE, DONTNEED)  # the touch is gone
    ranges = moved.steps[1]
    assert isinstance(ranges, c.MadviseRanges)
    assert isinstance(ranges.control, ControlFields)
    assert isinstance(ranges.control.arm, Multi)
    assert ranges.control.arm.ranges == (
        Range(page_address(4), 0, 1),
        Range(page_address(9), 10 * PAGE, 16),
        Range(page_address(27), PAGE, 2),
    )


def test_a_race_loses_what_it_does_not_take() -> None:
    guard = c.Madvise(page_address(6), 3 * PAGE, BY_NAME["GUARD_INSTALL"].value)
    vector = c.ProcessMadvise(DONTNEED, (c.IoRange(page_address(9), PAGE),))
    race = c.Race((
        c.Actor((vector, c.Fork()), c.ActorPlace.PROCESS, delay=300),
        c.Actor((guard, c.Munmap(page_address(9), PAGE)), delay=50, repeat=3),
        c.Actor((c.TouchPages(5, 4),), delay=900),
    ))  # fmt: skip
    large = Program((Mapping(Kind.ANON, 4, 8, touches=(Touch(0, 8),)),), (race, c.Fork()))
    assert validate(large) == []

    def meets(program: Program) -> bool:
        """Does a guard meet a touch of another actor?"""
        for step in program.steps:
            if isinstance(step, c.Race):
                calls = [{type(call) for call in actor.steps} for actor in step.actors]
                if any(c.Madvise in one for one in calls):
                    return any(c.TouchPages in one and c.Madvise not in one for one in calls)
        return False

    small = shrink(
        large, lambda programs: [meets(p) and not validate(p) for p in programs], GENEROUS
    )
    (left,) = small.steps
    assert isinstance(left, c.Race)
    assert sorted(len(actor.steps) for actor in left.actors) == [1, 1]
    assert all((actor.delay, actor.repeat) == (0, 1) for actor in left.actors)
    assert {actor.place for actor in left.actors} == {c.ActorPlace.THREAD}
    assert small.arena_pages() == 1


def test_what_disturbs_a_call_goes_or_gets_plainer() -> None:
    call = c.Madvise(page_address(4), 4 * PAGE, DONTNEED, True, 9, c.Signal(HANDLED, 3, 8))
    plainer = list(simpler_steps(call))
    assert c.Madvise(call.start, call.length, DONTNEED) in plainer
    for change in ({"fail_nth": 1}, {"fail_nth": 4}, {"fail_nth": 8}, {"fail_nth": 0},
                   {"signal": None}, {"ilp32": False}):  # fmt: skip
        assert msgspec.structs.replace(call, **change) in plainer


def test_taking_pages_out_moves_the_pages_that_a_signal_watches() -> None:
    call = c.Madvise(page_address(4), PAGE, DONTNEED, signal=c.Signal(HANDLED, 3, 8))
    smaller = delete_columns(Program(LARGE.layout, (call,), LARGE.files), 5, 3)
    (step,) = smaller.steps
    assert isinstance(step, c.Madvise)
    assert step.signal == c.Signal(HANDLED, 3, 5)
    assert (smaller.layout[0].at, smaller.layout[0].pages) == (3, 5)


def test_taking_pages_out_moves_the_steps_of_actors() -> None:
    race = c.Race((c.Actor((c.TouchPages(2, 4),)), c.Actor((c.Munmap(page_address(6), PAGE),))))
    moved = delete_columns(Program((Mapping(Kind.ANON, 0, 8),), (race,)), 1, 3)
    assert moved.steps == (
        c.Race((c.Actor((c.TouchPages(1, 2),)), c.Actor((c.Munmap(page_address(3), PAGE),)))),
    )


def test_a_flaky_mismatch_is_reported_with_its_share() -> None:
    turns = iter([True, False, True, False, False])
    found = confirm(ModelTarget(gap_policy(), lambda: next(turns)), LARGE)
    assert found is not None
    assert (found.shown, found.runs, found.flaky) == (2, 5, True)


def test_a_mismatch_that_never_shows_again_is_none_after_both_ways_of_looking() -> None:
    target = ModelTarget(DEFAULT_POLICY)
    assert confirm(target, LARGE) is None
    assert set(target.looks) == {FULL_LOOK, ALONE}
    assert target.programs_run == 2 * DEFLAKE_RUNS


def test_a_flaky_finding_is_shrunk_when_each_candidate_is_run_several_times() -> None:
    count = 0

    def every_third() -> bool:
        nonlocal count
        count += 1
        return count % 3 == 0

    target = ModelTarget(gap_policy(), every_third)
    found = confirm(target, LARGE, runs=6)
    assert found is not None
    assert found.flaky
    small = shrink(LARGE, still_fails(target, found.identity, found.observe, runs=3), GENEROUS)
    assert len(small.steps) == 1
    assert len(small.layout) == 1
