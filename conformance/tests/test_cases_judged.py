"""How the cases judge a sweep: a kernel that does something else is told by the cell's id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from msgspec.structs import replace

from conformance.cases.judged import AGAIN, judge_programs
from conformance.oracle.ledger import Entry, Ledger
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
