"""Hypothesis' state machine over a process: model and kernel take the same steps, long sequences.

What a kernel does with a step is known only after it; but what it may do is known to the model
at once, and a kernel that is right stands where the model stands. So rules ask the model, and the
kernel catches up at checkpoints: all steps so far are taken again in a process of their own, with
a snapshot after each. That is the same evidence as one process that is kept alive between rules
gives, without a way for one rule's leftovers to leak into the next example; and it costs little,
because checkpoints come after 16, 32, 64 ... steps, which is less than two runs of the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from hypothesis import HealthCheck, Phase, reject, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase
from hypothesis.errors import Flaky
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from conformance.oracle.identity import Identity
from conformance.program.call import Step
from conformance.program.kernel_facts import KernelFacts
from conformance.program.program import STEPS_LONG_MAX, Program
from fuzz.generate.calls import draw_madvise, draw_process_madvise
from fuzz.generate.chooser import Chooser
from fuzz.generate.control_structs import draw_madvise_ranges
from fuzz.generate.hypothesis_chooser import HypothesisChooser
from fuzz.generate.layouts import Layout, draw_layout
from fuzz.generate.mm_steps import draw_mm_step
from fuzz.generate.options import GenerateOptions
from fuzz.generate.swarm import Swarm
from fuzz.generate.tables import (
    STEP_FORK,
    STEP_MMAP,
    STEP_MPROTECT,
    STEP_MREMAP,
    STEP_MUNMAP,
    STEP_TOUCH,
)
from fuzz.guidance.living import Living

CHECKPOINT_FIRST: Final = 16  # steps; then at each doubling, and at the end
STEPS_USUAL: Final = 64
assert STEPS_USUAL <= STEPS_LONG_MAX


class Shown(NamedTuple):
    """What a kernel did that was not as predicted. known: it is old news, told by the step (of
    Program.steps, counted from 0; below 0: of the layout); what comes after it was not judged."""

    identity: Identity
    step: int
    known: bool


# What a kernel does with a program: None if as predicted.
Judge = Callable[[Program], Shown | None]
DrawStep = Callable[[Chooser, Layout, Swarm], Step]
T = TypeVar("T")


class Diverged(Exception):
    """The kernel did not do what the model says. program: what shows it."""

    def __init__(self, program: Program, identity: Identity) -> None:
        super().__init__(str(identity))
        self.program = program
        self.identity = identity


@st.composite
def drawn(draw: st.DrawFn, make: Callable[[Chooser], T]) -> T:
    """What a generator makes, as one value: told in one line when a sequence is told."""
    return make(HypothesisChooser(draw))


def _draw_ranges(chooser: Chooser, layout: Layout, swarm: Swarm) -> Step:
    return draw_madvise_ranges(chooser, layout, swarm, False)


class Grown(RuleBasedStateMachine):
    """One process. Made by machine(), which says for which kernel."""

    judge: Judge
    facts: KernelFacts
    options: GenerateOptions
    taken: list[int]  # steps of each sequence that came to its end
    last: list[Diverged]  # the last one, if any

    def __init__(self) -> None:
        super().__init__()
        self.living: Living | None = None
        self.swarm: Swarm | None = None
        self.checked = 0

    @initialize(data=st.data())
    def start(self, data: st.DataObject) -> None:
        """A layout."""
        swarm, layout = data.draw(drawn(self._draw_start))
        self.swarm = swarm
        self.living = Living(layout, self.facts, self.options.poison)

    @rule(data=st.data())
    def madvise(self, data: st.DataObject) -> None:
        """madvise() of a range along the edges that stand."""
        self._take(data, draw_madvise)

    @rule(data=st.data())
    def process_madvise(self, data: st.DataObject) -> None:
        """process_madvise() of a vector of them."""
        self._take(data, draw_process_madvise)

    @rule(data=st.data())
    def madvise_ranges(self, data: st.DataObject) -> None:
        """madvise_ranges(), not on everything: that needs a process of its own."""
        self._take(data, _draw_ranges)

    @rule(data=st.data(), kind=st.sampled_from((STEP_MMAP, STEP_FORK)))
    def make(self, data: st.DataObject, kind: int) -> None:
        """Map something over what is there, or fork."""
        self._take(data, partial(draw_mm_step, kind=kind))

    @precondition(lambda self: self.living is not None and self.living.mapped())
    @rule(
        data=st.data(),
        kind=st.sampled_from((STEP_TOUCH, STEP_MPROTECT, STEP_MREMAP, STEP_MUNMAP)),
    )
    def change(self, data: st.DataObject, kind: int) -> None:
        """Touch, protect, move or unmap what is mapped."""
        self._take(data, partial(draw_mm_step, kind=kind))

    def teardown(self) -> None:
        """The kernel takes the steps after the last checkpoint, too."""
        living = self.living
        if living is None or not living.program.steps:
            return
        if len(living.program.steps) > self.checked:
            self._check(living)
        self.taken.append(len(living.program.steps))

    def _draw_start(self, chooser: Chooser) -> tuple[Swarm, Layout]:
        swarm = Swarm(chooser, self.options)
        return swarm, draw_layout(chooser, swarm, self.options)

    def _take(self, data: st.DataObject, draw_step: DrawStep) -> None:
        living, swarm = self.living, self.swarm
        assert living is not None, "initialize comes first"
        assert swarm is not None
        step = data.draw(drawn(lambda chooser: draw_step(chooser, living.layout, swarm)))
        if not living.take(step):
            return
        if len(living.program.steps) >= max(CHECKPOINT_FIRST, 2 * self.checked):
            self._check(living)

    def _check(self, living: Living) -> None:
        """The kernel catches up. A step that shows old news is left out, so that what comes after
        it is judged. Raises Diverged."""
        while living.program.steps:
            shown = self.judge(living.program)
            if shown is None:
                break
            if not shown.known:
                self.checked = STEPS_LONG_MAX  # not once more at the end
                steps = living.program.steps[: max(shown.step, 0) + 1]
                self.last[:] = [Diverged(replace(living.program, steps=steps), shown.identity)]
                raise self.last[0]
            if shown.step < 0:
                reject()
            living.forget(shown.step)
        self.checked = len(living.program.steps)


def machine(facts: KernelFacts, judge: Judge, options: GenerateOptions) -> type[Grown]:
    """The state machine for a kernel with these facts."""
    body = {
        "judge": staticmethod(judge), "facts": facts, "options": options, "taken": [], "last": [],
        "__doc__": Grown.__doc__,
    }  # fmt: skip
    return type("Grown", (Grown,), body)


def explore(
    grown: type[Grown],
    sequences: int,
    steps: int = STEPS_USUAL,
    database: ExampleDatabase | None = None,
    seed: int | None = None,
) -> Diverged | None:
    """Try so many sequences of at most so many steps, those of the database first. The bug that
    shows, by all steps up to the one that shows it: None if none does. What the judge raises
    passes through.

    Hypothesis does not shrink the sequence: a rule that is left out moves the choices of all that
    come after it. For one fault it took 55 s and stopped at 16 steps; the reducers of programs,
    which leave the other steps as they are, took 0.1 s to one.

    database: keeps what showed a bug. seed: same seed, same sequences; then no database is read.
    """
    options = settings(
        max_examples=sequences,
        stateful_step_count=steps,
        database=database,
        phases=(Phase.reuse, Phase.generate),
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    factory: Any = grown
    if seed is not None:
        factory._hypothesis_internal_use_seed = seed
    try:
        run_state_machine_as_test(factory, settings=options)
    except (Diverged, Flaky):  # flaky: not again with the same sequence; how often, others ask
        return grown.last[0]
    return None


class DatabaseError(Exception):
    """A database cannot be had. str() says which, why, and what to do."""


def example_database(where: str) -> ExampleDatabase:
    """The database of examples at a path, or at an address as redis://host:6379/0, where several
    machines share it. Raises DatabaseError."""
    if not where.startswith(("redis://", "rediss://", "unix://")):
        return DirectoryBasedExampleDatabase(where)
    try:
        from hypothesis.extra.redis import RedisExampleDatabase
        from redis import Redis
        from redis.exceptions import RedisError
    except ImportError as error:
        raise DatabaseError(f"{where}: needs pip install 'madvet[redis]' ({error})") from error
    try:
        client = Redis.from_url(where)
        client.ping()
    except (RedisError, ValueError) as error:
        raise DatabaseError(f"{where}: {error}; is the server running there?") from error
    return RedisExampleDatabase(client, key_prefix=b"madvet:")
