"""What the cases stand on: a target for each of --target, and programs run on it step by step.

A case states by hand what a kernel must do; it does not ask the model. Only afterwards is the
model run on the same programs, to see that the rule which the case is marked with was met:
a case that proves something else than it says fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack
from typing import Final, NamedTuple

import pytest

from conformance.abi import control_v1 as v1
from conformance.abi.advice import BY_VALUE
from conformance.abi.codec import unpack_struct
from conformance.cases.evidence import EVIDENCE, Evidence, Run
from conformance.model.missing import missing_feature
from conformance.model.predict import predict
from conformance.oracle.judge import judge
from conformance.oracle.rules import advised
from conformance.program.call import HEIRS, ForkExec, MadviseRanges, ProcessMadvise, Step
from conformance.program.control_memory import pokes_of
from conformance.program.kernel_facts import RangesCall
from conformance.program.mapping import FileSlot, Mapping
from conformance.program.outcome import (
    CONTENT_MASK,
    PAGE_PRESENT,
    Outcome,
    Snapshot,
    Status,
)
from conformance.program.places import ARENA_BASE, ARENA_END_MAX, PAGE, page_address
from conformance.program.plan import fail_nth
from conformance.program.program import Program, Rights
from conformance.program.struct_shapes import Shape, shape_of
from conformance.program.validate import validate
from conformance.program.wire import Observe
from conformance.spec import cite
from conformance.spec.registry import load
from conformance.spec.traceability import unmet
from conformance.target.executor_target import Options
from conformance.target.registry import is_guest, open_target
from conformance.target.target import Target, TargetError

INTERNAL_ERROR: Final = 3  # pytest.ExitCode
POISON: Final = 100  # MADV_HWPOISON
POISON_WORDS: Final = ("HWPOISON", "SOFT_OFFLINE")  # of a case's name
LOOK: Final = Observe.EACH_STEP | Observe.ISOLATED
_PARTS: Final = ("per_range", "stats", "array", "ctl")


def pytest_addoption(parser: pytest.Parser) -> None:
    """--target, --append and --requirement."""
    parser.addoption("--target", default="host,shim", help="targets, with commas between them")
    parser.addoption(
        "--append", default="", help="words for the end of a guest kernel's command line"
    )
    parser.addoption(
        "--requirement", default="", help="only cases of requirements that contain this, no sweeps"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Known here too, for runs from elsewhere than the checkout."""
    config.addinivalue_line("markers", "requirement(id, ...): the rules that a case proves")
    config.addinivalue_line("markers", "sweep(chapter): what a case runs of conformance.sweep")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every case on every target."""
    if "target_name" in metafunc.fixturenames:
        names = str(metafunc.config.getoption("--target")).split(",")
        metafunc.parametrize("target_name", names, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what --requirement asks for. A case without a mark that exists is an error; which
    rules a sweep meets, only its run tells."""
    wanted = str(config.getoption("--requirement"))
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        idents = requirements_of(item)
        for ident in idents:
            if ident not in load():
                raise pytest.UsageError(f"{item.nodeid}: no requirement is called {ident!r}")
        if not idents and item.get_closest_marker("sweep") is None:
            raise pytest.UsageError(f"{item.nodeid}: it is marked with no requirement")
        keep = not wanted or any(wanted in ident for ident in idents)
        (kept if keep else dropped).append(item)
    # Memory that is poisoned is missed by whatever comes after.
    items[:] = sorted(kept, key=lambda item: any(word in item.name for word in POISON_WORDS))
    config.hook.pytest_deselected(items=dropped)


def requirements_of(item: pytest.Item) -> tuple[str, ...]:
    """The ids that a case is marked with."""
    mark = item.get_closest_marker("requirement")
    return tuple(map(str, mark.args)) if mark is not None else ()


class Seen(NamedTuple):
    """What one program did. results: of its steps, without the layout's."""

    program: Program
    outcome: Outcome
    results: tuple[int, ...]

    def after(self, step: int, child: bool = False) -> Arena:
        """The arena after a step, counted from 0; child: as the child that it forked saw it."""
        index = len(self.program.setup()) + step
        for snapshot in self.outcome.snapshots:
            if (snapshot.step, snapshot.child) == (index, child):
                return Arena(snapshot)
        raise AssertionError(f"the target took no snapshot after step {step}")

    def written(self, step: int, part: str) -> bytes:
        """The bytes of a struct as a madvise_ranges() step left them."""
        at = 0
        for index, other in enumerate(self.program.steps):
            if not isinstance(other, MadviseRanges):
                at += isinstance(other, ProcessMadvise | ForkExec)  # a peek each
                at += fail_nth(other) > 0
                continue
            for poke in pokes_of(other):
                if poke.output or ARENA_BASE <= poke.at < ARENA_END_MAX:
                    if index == step and _PARTS[poke.part] == part:
                        return self.outcome.peeks[at]
                    at += 1
            at += 1 + (fail_nth(other) > 0)  # what the zone holds beside the structs
        raise AssertionError(f"step {step} has no {part}")

    def heirs(self) -> dict[str, int]:
        """What the last step, a fork_exec, read back: VmFlags by call.HEIRS."""
        words = unpack(f"<{len(HEIRS)}Q", self.outcome.peeks[-1])
        return dict(zip(HEIRS, words, strict=True))

    def stats(self, step: int) -> dict[str, int]:
        """struct madvise_ranges_stats by member."""
        return unpack_struct(v1.STATS, self.written(step, "stats"), self._shape(step).model)

    def _shape(self, step: int) -> Shape:
        call = self.program.steps[step]
        return shape_of(isinstance(call, MadviseRanges) and call.ilp32)

    def element(self, step: int, index: int) -> dict[str, int]:
        """One struct madvise_range_stats by member."""
        shape = self._shape(step)
        data = self.written(step, "per_range")[index * shape.per_range_size :]
        return unpack_struct(v1.RANGE_STATS, data, shape.model)


class Arena(NamedTuple):
    """One snapshot, asked by page."""

    snapshot: Snapshot

    def flags(self, page: int) -> int:
        """VmFlags (abi.vm_flags) of the VMA at a page; -1 where nothing is mapped."""
        vmas = self.snapshot.vmas
        for start, end, flags in zip(vmas[0::4], vmas[1::4], vmas[2::4], strict=True):
            if start <= page_address(page) < end:
                return flags
        return -1

    def extents(self) -> list[tuple[int, int]]:
        """The VMAs as pages [first, after)."""
        vmas = self.snapshot.vmas
        return [
            ((start - ARENA_BASE) // PAGE, (end - ARENA_BASE) // PAGE)
            for start, end in zip(vmas[0::4], vmas[1::4], strict=True)
        ]

    def contents(self, *pages: int) -> list[int]:
        """What pages hold, of those that are there (program.content); 0 for others."""
        return [self.page(page) & CONTENT_MASK for page in pages]

    def present(self, *pages: int) -> list[bool]:
        """Which pages are there."""
        return [bool(self.page(page) & PAGE_PRESENT) for page in pages]

    def page(self, page: int) -> int:
        """The word of a page, see program.outcome."""
        return self.snapshot.pages[page]


class Kernel:
    """A target, and the programs that a case has run on it."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.seen: list[Seen] = []
        self.evidence = Evidence(target.name, target.facts)
        self.skipped = False

    def lacks(self, what: str) -> None:
        """Skip the case: this target has no `what`."""
        self.skipped = True
        pytest.skip(f"{self.target.name} lacks {what}")

    def run(
        self,
        layout: tuple[Mapping, ...],
        *steps: Step,
        files: tuple[FileSlot, ...] = (),
        whole: bool = False,
        rights: Rights = Rights.ALL,
    ) -> Seen:
        """Run one program alone, with a look after each step. whole, rights: see Program.

        The case is skipped where the kernel lacks what the program needs, an advice too."""
        program = Program(layout, steps, files, whole, rights)
        lacking = missing_feature(program, self.target.facts) or self._absent_advice(program)
        if lacking:
            self.lacks(lacking)
        guest = is_guest(self.target.name)
        assert not (problems := validate(program, guest)), problems
        (outcome,) = self.target.run_batch([program], LOOK)
        self.evidence.runs.append(Run(program, LOOK, outcome))
        assert outcome.status is Status.DONE, (outcome.status, outcome.signal, outcome.reason)
        results = outcome.results[len(program.setup()) :]
        self.seen.append(Seen(program, outcome, results))
        return self.seen[-1]

    def _absent_advice(self, program: Program) -> str:
        """The first advice that Linux knows and this kernel does not, or ""."""
        values = [mark.advice for mapping in program.layout for mark in mapping.marks]
        values += [entry.advice for step in program.steps for entry in advised(step)]
        for value in values:
            if value in BY_VALUE and value not in self.target.facts.advices:
                return f"MADV_{BY_VALUE[value].name}"
        return ""


@pytest.fixture(scope="session")
def target(target_name: str, pytestconfig: pytest.Config) -> Iterator[Target]:
    """An open target, for all cases. One that cannot be opened ends the whole run: it is no
    fault of a kernel."""
    try:
        append = str(pytestconfig.getoption("--append"))
        opened = open_target(target_name, Options(append=append))
    except TargetError as error:
        pytest.exit(f"target {target_name}: {error}", returncode=INTERNAL_ERROR)
    with opened:
        yield opened


def _checked(target: Target, request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """A target for a case. After the case: was the rule that it is marked with met? One that
    is held by other means than a branch of the model is met nowhere."""
    kernel = Kernel(target)
    request.node.stash[EVIDENCE] = kernel.evidence
    yield kernel
    if kernel.skipped:
        return
    assert kernel.seen, "the case ran no program"
    cite.HITS.clear()
    for seen in kernel.seen:
        prediction = predict(
            seen.program, target.facts, outside=seen.outcome.outside, observe=int(LOOK)
        )
        if prediction.again is not None:  # which allocation failed, only what was seen can say
            judge(seen.program, seen.outcome, prediction)
        kernel.evidence.unspecified += len(prediction.unspecified)
    missed = unmet(load(), requirements_of(request.node), cite.HITS)
    assert not missed, f"{missed} not met; met were: {', '.join(sorted(cite.HITS))}"


@pytest.fixture
def kernel(target: Target, request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """Any target."""
    yield from _checked(target, request)


@pytest.fixture
def ranges(target: Target, request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """A target that has madvise_ranges()."""
    if target.facts.ranges_call is RangesCall.ABSENT:
        pytest.skip(f"{target.name} has no madvise_ranges()")
    yield from _checked(target, request)


@pytest.fixture
def poisonable(target: Target, request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """A target whose kernel knows HWPOISON."""
    if POISON not in target.facts.advices:
        pytest.skip(f"{target.name} has no CONFIG_MEMORY_FAILURE")
    yield from _checked(target, request)


@pytest.fixture
def without_ranges(target: Target, request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """A target that lacks madvise_ranges()."""
    if target.facts.ranges_call is not RangesCall.ABSENT:
        pytest.skip(f"{target.name} has madvise_ranges()")
    yield from _checked(target, request)
