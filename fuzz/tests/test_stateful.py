"""Programs that grow: what is drawn fits what stands, and a fault deep in a sequence is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase
from msgspec.structs import replace

from conformance.abi.advice import BY_NAME
from conformance.model.policy import Policy
from conformance.oracle.identity import identify
from conformance.oracle.verdict import VerdictKind
from conformance.program import call as c
from conformance.program.control_struct import ControlFields, Range, Single
from conformance.program.mapping import Kind, Mapping
from conformance.program.places import ARENA_PAGES_MAX, PAGE, page_address
from conformance.program.program import STEP_PAGES_MAX, STEPS_LONG_MAX, STEPS_MAX, Program
from conformance.program.text import dumps, loads
from conformance.program.validate import validate
from conformance.target.registry import open_target
from fuzz.generate.layouts import Layout
from fuzz.generate.mm_steps import draw_mm_step
from fuzz.generate.options import GenerateOptions
from fuzz.generate.swarm import Swarm
from fuzz.generate.tables import STEP_TOUCH
from fuzz.guidance.living import Living
from fuzz.guidance.stateful import (
    DatabaseError,
    Diverged,
    Grown,
    Judge,
    Shown,
    drawn,
    example_database,
    explore,
    machine,
)
from fuzz.tests.model_target import FACTS, ModelTarget
from fuzz.tests.test_shrink import gap_policy
from fuzz.triage.examine import FULL_LOOK, examine, still_fails
from fuzz.triage.reducers import reduce_program
from fuzz.triage.shrink import ShrinkBudget

OPTIONS = GenerateOptions(whole=False)
GAP = c.MadviseRanges(ControlFields(Single(Range(page_address(500), PAGE, BY_NAME["COLD"].value))))


def judge_of(target: ModelTarget, known: tuple[str, ...] = ()) -> Judge:
    def judge(program: Program) -> Shown | None:
        (verdict,) = examine(target, [program])
        if not verdict.bad:
            return None
        identity = identify(program, verdict)
        step = verdict.differences[0].step - len(program.setup())
        return Shown(identity, step, str(identity) in known or identity.difference in known)

    return judge


def grown(target: ModelTarget, known: tuple[str, ...] = ()) -> type[Grown]:
    return machine(FACTS, judge_of(target, known), OPTIONS)


def test_a_right_kernel_is_followed_through_long_sequences() -> None:
    cls = grown(ModelTarget(Policy()))
    assert explore(cls, 6, steps=100, seed=1) is None
    assert len(cls.taken) >= 5
    assert max(cls.taken) > 8 * STEPS_MAX


def test_a_fault_is_found_with_the_steps_that_lead_to_it() -> None:
    target = ModelTarget(gap_policy())
    diverged = explore(grown(target), 200, seed=2)
    assert isinstance(diverged, Diverged)
    assert diverged.identity.difference == "result.ENOMEM-not-0"
    (verdict,) = examine(target, [diverged.program])
    last = len(diverged.program.setup()) + len(diverged.program.steps) - 1
    assert verdict.differences[0].step == last
    ask = still_fails(target, diverged.identity)
    small = reduce_program(diverged.program, ask, ShrinkBudget(4000, 20.0))
    assert len(small.program.steps) == 1
    assert small.seconds < 10.0


def test_old_news_is_left_out_and_what_comes_after_it_is_judged() -> None:
    cls = grown(ModelTarget(gap_policy()), known=("result.ENOMEM-not-0",))
    assert explore(cls, 10, seed=3) is None
    assert max(cls.taken) > 4 * STEPS_MAX


def test_what_showed_a_fault_is_tried_first_the_next_time(tmp_path: Path) -> None:
    database: ExampleDatabase = DirectoryBasedExampleDatabase(tmp_path)
    first = explore(grown(ModelTarget(gap_policy())), 200, database=database)
    assert first is not None
    target = ModelTarget(gap_policy())
    again = explore(grown(target), 1, database=example_database(str(tmp_path)))
    assert again is not None
    assert again.program == first.program
    assert target.programs_run <= 6  # the checkpoints of one sequence, seen twice


@pytest.mark.parametrize("where", ["redis://127.0.0.1:1/0", "redis://[/0"])
def test_a_redis_that_is_not_there_is_told(where: str) -> None:
    with pytest.raises(DatabaseError, match="redis"):
        example_database(where)


def two_pages() -> Layout:
    return Layout([Mapping(Kind.ANON, 0, 2)], (), (0, 2))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_steps_aim_at_the_edges_that_stand(data: st.DataObject) -> None:
    living = Living(two_pages(), FACTS)
    assert living.take(c.Munmap(page_address(0), 2 * PAGE))
    assert not living.mapped()
    assert living.take(c.Mmap(Mapping(Kind.ANON, 40, 3)))
    assert living.layout.edges == (40, 43)
    layout = living.layout
    step = data.draw(
        drawn(lambda chooser: draw_mm_step(chooser, layout, Swarm(chooser, OPTIONS), STEP_TOUCH))
    )
    assert isinstance(step, c.TouchPages)
    assert 38 <= step.page <= 45


def test_a_step_that_cannot_be_judged_is_refused_and_one_may_be_forgotten() -> None:
    living = Living(two_pages(), FACTS)
    assert living.take(c.TouchPages(0, 2))
    before = living.program
    assert not living.take(c.TouchPages(ARENA_PAGES_MAX - 1, 1))  # beyond what is looked at
    assert not living.take(c.Reclaim())  # for guests only
    assert living.refused == 2
    assert living.program == before
    assert living.take(c.Munmap(page_address(1), PAGE))
    assert living.layout.edges == (0, 1)
    assert living.take(c.TouchPages(0, 1))
    living.forget(1)
    assert living.layout.edges == (0, 2)
    assert living.program.steps == (c.TouchPages(0, 2), c.TouchPages(0, 1))


def long_program(steps: int, pages: int) -> Program:
    half = c.Madvise(page_address(0), PAGE, BY_NAME["DONTNEED"].value)
    return Program((Mapping(Kind.ANON, 0, pages),), (c.TouchPages(0, 2), half) * (steps // 2))


def test_the_longest_program_is_written_read_run_and_judged() -> None:
    program = long_program(STEPS_LONG_MAX, STEP_PAGES_MAX // STEPS_LONG_MAX)
    assert loads(dumps(program).encode(), "long").program == program
    with open_target("shim") as target:
        (verdict,) = examine(target, [program], FULL_LOOK)
    assert verdict.kind is VerdictKind.CONFORMANT, verdict
    # A lie about the very last step is seen.
    last = replace(program, steps=(*program.steps[:-1], GAP))
    (verdict,) = examine(ModelTarget(gap_policy()), [last], FULL_LOOK)
    assert verdict.kind is VerdictKind.DIVERGENCE
    assert verdict.differences[0].step == STEPS_LONG_MAX  # the layout is one more


@pytest.mark.parametrize(
    ("steps", "pages", "words"),
    [
        (STEPS_LONG_MAX + 2, 4, "allowed: 1 to 256"),
        (STEPS_LONG_MAX, STEP_PAGES_MAX // STEPS_LONG_MAX + 1, "leave room for 128 arena pages"),
        (STEPS_MAX, ARENA_PAGES_MAX, ""),
    ],
)
def test_what_cannot_be_looked_at_is_no_program(steps: int, pages: int, words: str) -> None:
    problems = validate(long_program(steps, pages))
    assert bool(problems) == bool(words)
    assert words in "".join(map(str, problems))
