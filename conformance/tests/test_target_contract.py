"""Each clause of the contract rejects a target that breaks it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from conformance.program.kernel_facts import KernelFacts
from conformance.program.mapping import Kind
from conformance.program.outcome import Outcome, Status
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.target import target_contract as contract
from conformance.target.executor_target import ExecutorTarget, Options, executor_path
from conformance.target.limits import BATCH_PROGRAMS_MAX
from conformance.target.target import AS_USUAL, TargetError
from conformance.target.target_contract import ContractBroken, MakeTarget


class Worse(ExecutorTarget):
    """A target of this machine that spoils its outcomes in one way."""

    def spoil(self, programs: Sequence[Program], outcomes: list[Outcome]) -> list[Outcome]:
        return outcomes

    def submit(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> None:
        self.asked.append(programs)
        super().submit(programs, observe)

    def collect(self) -> list[Outcome]:
        return self.spoil(self.asked.popleft(), super().collect())

    @property
    def asked(self) -> deque[Sequence[Program]]:
        if "_asked" not in self.__dict__:
            self._asked: deque[Sequence[Program]] = deque()
        return self._asked


class MakesOneUp(Worse):
    def spoil(self, programs: Sequence[Program], outcomes: list[Outcome]) -> list[Outcome]:
        return outcomes or [Outcome(Status.DONE, ())]


class Reverses(Worse):
    def spoil(self, programs: Sequence[Program], outcomes: list[Outcome]) -> list[Outcome]:
        return outcomes[::-1]


class Truncates(Worse):
    def spoil(self, programs: Sequence[Program], outcomes: list[Outcome]) -> list[Outcome]:
        return outcomes[:BATCH_PROGRAMS_MAX]


class NewestFirst(Worse):
    def collect(self) -> list[Outcome]:
        self._submissions.rotate(1)
        self.asked.rotate(1)
        return super().collect()


class ForgetsFlags(Worse):
    """Every second batch."""

    batches = 0

    def spoil(self, programs: Sequence[Program], outcomes: list[Outcome]) -> list[Outcome]:
        self.batches += 1
        if self.batches % 2:
            return outcomes
        return [msgspec.structs.replace(o, snapshots=()) for o in outcomes]


class LooksAsUsual(Worse):
    def submit(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> None:
        super().submit(programs, observe & ~Observe.EACH_STEP)


class HidesDeaths(Worse):
    def spoil(self, programs: Sequence[Program], outcomes: list[Outcome]) -> list[Outcome]:
        return [msgspec.structs.replace(o, status=Status.DONE) for o in outcomes]


class LosesTheKilled(Worse):
    def spoil(self, programs: Sequence[Program], outcomes: list[Outcome]) -> list[Outcome]:
        return outcomes[: -self.process.starts or None] if self.process.starts > 1 else outcomes


class RefusesKinds(Worse):
    def submit(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> None:
        if any(m.kind is Kind.VVAR for p in programs for m in p.layout):
            raise TargetError("no vvar here")
        super().submit(programs, observe)


class BlamesInSilence(Worse):
    def spoil(self, programs: Sequence[Program], outcomes: list[Outcome]) -> list[Outcome]:
        return [
            Outcome(Status.NOT_RUN, ()) if p.layout[0].kind is Kind.ZERO else o
            for p, o in zip(programs, outcomes, strict=True)
        ]


class Fickle(Worse):
    times = 0

    @property
    def facts(self) -> KernelFacts:
        self.times += 1
        return msgspec.structs.replace(self.probed.facts, max_map_count=self.times)


class StaysOpen(Worse):
    def close(self) -> None:
        """Nothing; the test ends it."""


@pytest.mark.parametrize(
    ("clause", "worse"),
    [
        (contract.no_programs_no_outcomes, MakesOneUp),
        (contract.outcomes_in_order, Reverses),
        (contract.outcomes_in_order, HidesDeaths),
        (contract.big_batches, Truncates),
        (contract.two_batches_at_once, NewestFirst),
        (contract.same_again, ForgetsFlags),
        (contract.observed_as_asked, LooksAsUsual),
        (contract.death_reported, HidesDeaths),
        (contract.killed_worker_recovers, LosesTheKilled),
        (contract.hang_reported, HidesDeaths),
        (contract.every_kind_answered, RefusesKinds),
        (contract.every_kind_answered, BlamesInSilence),
        (contract.facts_stable, Fickle),
        (contract.closed_for_good, StaysOpen),
    ],
)
def test_a_worse_target_is_rejected(
    tmp_path: Path, clause: Callable[[MakeTarget], None], worse: type[Worse]
) -> None:
    opened: list[Worse] = []

    def make_target() -> Worse:
        options = Options(tmp_root=tmp_path, program_deadline_ms=200)
        opened.append(worse("worse", [executor_path()], options))
        return opened[-1]

    try:
        if worse is RefusesKinds:
            with pytest.raises(TargetError, match="no vvar here"):
                contract.try_clause(clause, make_target)
        elif (clause, worse) == (contract.outcomes_in_order, HidesDeaths):
            assert contract.try_clause(clause, make_target).skipped == ""
        else:
            with pytest.raises(ContractBroken):
                contract.try_clause(clause, make_target)
    finally:
        for target in opened:
            ExecutorTarget.close(target)


def test_every_clause_is_tried() -> None:
    public = {
        name
        for name, value in vars(contract).items()
        if callable(value) and getattr(value, "__annotations__", {}).get("make_target")
    }
    assert public == {clause.__name__ for clause in contract.CLAUSES} | {
        "run_target_contract",
        "try_clause",
    }


def test_a_clause_that_cannot_be_tried_says_so(tmp_path: Path) -> None:
    class NoProcess(ExecutorTarget):
        def worker_pids(self) -> tuple[int, ...]:
            return ()

    def make_target() -> NoProcess:
        return NoProcess("elsewhere", [executor_path()], Options(tmp_root=tmp_path))

    tried = contract.try_clause(contract.killed_worker_recovers, make_target)
    assert "no process of this machine" in tried.skipped
