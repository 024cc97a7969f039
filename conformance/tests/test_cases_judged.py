"""How the cases judge a sweep: a kernel that does something else is told by the cell's id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from msgspec.structs import replace

from conformance.cases.judged import AGAIN, judge_programs
from conformance.cases.sweep_groups import Ahead, allowed, groups, poison
from conformance.oracle.ledger import Entry, Ledger
from conformance.program.call import MadviseRanges
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.program.outcome import Outcome, Status
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.sweep.cells import cell
from conformance.target.executor_target import ExecutorTarget
from conformance.target.host import open_host

CELLS = [cell("DONTNEED", "anon", place) for place in ("whole", "head", "tail")]


class Liar:
    """A target that answers for one program as no kernel may. once: only the first time."""

    def __init__(self, honest: ExecutorTarget, victim: Program, once: bool = False) -> None:
        self.honest = honest
        self.victim = victim
        self.once = once
        self.lies = 0
        self.name, self.facts = honest.name, honest.facts

    def run_batch(self, programs: Sequence[Program], observe: Observe) -> list[Outcome]:
        outcomes = self.honest.run_batch(programs, observe)
        for index, program in enumerate(programs):
            if program == self.victim and not (self.once and self.lies):
                self.lies += 1
                results = (*outcomes[index].results[:-1], -13)
                outcomes[index] = replace(outcomes[index], results=results)
        return outcomes


@pytest.fixture(scope="module")
def host() -> Iterator[ExecutorTarget]:
    with open_host() as target:
        yield target


def test_what_conforms_is_counted_and_its_rules_are_met(host: ExecutorTarget) -> None:
    found = judge_programs(host, CELLS, Ledger())
    assert (found.bad, found.programs, found.ran) == ([], 3, 3)
    assert "madvise-dontneed-content" in found.met


def test_a_wrong_result_is_told_with_the_id_of_its_cell(host: ExecutorTarget) -> None:
    liar = Liar(host, CELLS[1].program)
    found = judge_programs(liar, CELLS, Ledger())  # type: ignore[arg-type] # as much as is asked
    (words,) = found.bad
    assert words.startswith("DONTNEED/anon/head: divergence\n")
    assert "kernel -EACCES, model 0" in words
    assert f"{AGAIN} times: {AGAIN} times not conformant" in words


def test_what_shows_once_only_is_bad_too(host: ExecutorTarget) -> None:
    liar = Liar(host, CELLS[1].program, once=True)
    found = judge_programs(liar, CELLS, Ledger())  # type: ignore[arg-type] # as much as is asked
    (words,) = found.bad
    assert "0 times not conformant" in words


def test_what_the_ledger_knows_is_not_bad(host: ExecutorTarget) -> None:
    entry = Entry("lie", "a lie", "here", ("madvise/DONTNEED/*/*/result.*",), since="2.6")
    liar = Liar(host, CELLS[1].program)
    found = judge_programs(liar, CELLS, Ledger((entry,)))  # type: ignore[arg-type] # as above
    assert (found.bad, dict(found.known)) == ([], {"lie": 1})


def test_what_did_not_run_is_skipped_with_its_reason(host: ExecutorTarget) -> None:
    class Absent(Liar):
        def run_batch(self, programs: Sequence[Program], observe: Observe) -> list[Outcome]:
            return [Outcome(Status.NOT_RUN, (), reason="no room") for _ in programs]

    found = judge_programs(Absent(host, CELLS[0].program), CELLS, Ledger())  # type: ignore[arg-type] # as above
    assert (found.ran, dict(found.skipped)) == (0, {"no room": 3})


class Recorder:
    """A target that runs nothing: the outcome of a program is its place among all asked for."""

    def __init__(self, name: str, ranges_call: RangesCall) -> None:
        self.name = name
        self.facts = KernelFacts("7.3", (), ranges_call)
        self.batches: list[list[Program]] = []

    def run_batch(self, programs: Sequence[Program], observe: Observe) -> list[Outcome]:
        self.batches.append(list(programs))
        return [Outcome(Status.DONE, (hash(program),)) for program in programs]


@pytest.mark.parametrize("most", [0, 20, 256])
@pytest.mark.parametrize("name", ["uml", "host"])
def test_each_group_gets_the_outcomes_of_its_own_programs(name: str, most: int) -> None:
    target = Recorder(name, RangesCall.ABSENT)
    ahead = Ahead(most)
    for chapter in ("madvise", "error-order"):
        for group in groups(chapter):
            items = allowed(target, chapter, group)  # type: ignore[arg-type] # as much as is asked
            taken = ahead.take(target, chapter, group)  # type: ignore[arg-type] # the same
            assert [outcome.results for outcome in taken] == [(hash(i.program),) for i in items]
            assert all(not isinstance(i.program.steps[0], MadviseRanges) for i in items)
            assert not (items and name == "host" and poison(chapter, group))
    assert max(map(len, target.batches)) <= max(most, max(map(len, groups("error-order").values())))


def test_poison_and_the_rest_are_never_run_at_once() -> None:
    target = Recorder("uml", RangesCall.KERNEL)
    ahead = Ahead(256)
    for group in groups("madvise"):
        ahead.take(target, "madvise", group)  # type: ignore[arg-type] # as much as is asked
    poisoned = {c.program for name in groups("madvise") for c in groups("madvise")[name]
                if poison("madvise", name)}  # fmt: skip
    kinds = [{program in poisoned for program in batch} for batch in target.batches]
    assert all(len(kind) == 1 for kind in kinds)
    assert {True} in kinds
