"""What becomes of programs that were not as predicted, on a target that plays its part."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from conformance.model import predict as model_predict
from conformance.model.policy import Policy
from conformance.model.prediction import Prediction
from conformance.oracle.ledger import Entry, Ledger
from conformance.oracle.verdict import VerdictKind
from conformance.program.call import MadviseRanges
from conformance.program.outcome import Outcome, Status
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.target.target import AS_USUAL
from fuzz.engine import messages as m
from fuzz.engine.budget import CampaignOptions
from fuzz.engine.lane import Lane
from fuzz.engine.statistics import KNOWN, NOT_REPRODUCED, Tally
from fuzz.engine.suspects import Suspects
from fuzz.generate.programs import ProgramSource
from fuzz.tests.model_target import ModelTarget
from fuzz.triage.examine import CRASH_RUNS, FULL_LOOK

OPTIONS = CampaignOptions(targets=("model",), seed=1, workers=1, shrink=False)
BROKEN = "the wires crossed"


class Actor(ModelTarget):
    """A ModelTarget with a pipeline. spoil: changes outcomes, told whether the run is alone."""

    def __init__(
        self, policy: Policy, spoil: Callable[[Outcome, bool], Outcome] | None = None
    ) -> None:
        super().__init__(policy)
        self.spoil = spoil
        self.queue: deque[list[Outcome]] = deque()

    def run_batch(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> list[Outcome]:
        assert not self.queue, "a run alone needs an empty pipeline"
        outcomes = super().run_batch(programs, observe)
        if self.spoil is None:
            return outcomes
        return [self.spoil(outcome, bool(observe & Observe.ISOLATED)) for outcome in outcomes]

    def submit(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> None:
        waiting, self.queue = self.queue, deque()
        outcomes = self.run_batch(programs, observe)
        self.queue = waiting
        self.queue.append(outcomes)

    def collect(self) -> list[Outcome]:
        return self.queue.popleft()

    def worker_pids(self) -> tuple[int, ...]:
        return ()

    def close(self) -> None:
        """Nothing to close."""


def gap_is_error() -> Policy:
    policy = Policy()
    policy.gap_is_error = True
    return policy


def cut_short(outcome: Outcome) -> Outcome:
    """An outcome that cannot be that of the program."""
    return msgspec.structs.replace(outcome, results=outcome.results[:-1])


def campaign(target: Actor, programs: int = 400) -> tuple[Tally, list[m.Found]]:
    source = ProgramSource(1)
    suspects = Suspects(OPTIONS)
    lane = Lane(target, suspects.ledger)
    lane.start(0, [source.program(i) for i in range(programs)], AS_USUAL)
    lane.finish()
    found = list(suspects.settle(lane, lambda: None))
    tally = lane.take_tally()
    assert sum(tally.verdicts.values()) == tally.programs == programs
    return tally, found


def test_what_shows_again_is_found_once_and_counted_each_time() -> None:
    target = Actor(gap_is_error())
    tally, found = campaign(target, 2000)
    bad = tally.judged(VerdictKind.DIVERGENCE.value)
    assert bad > len(found) > 0
    assert sum(tally.findings.values()) == bad
    assert {one.finding.identity for one in found} == set(tally.findings)
    assert all(one.finding.shown == one.finding.runs == 5 for one in found)
    assert set(target.looks[1:]) == {FULL_LOOK}


def test_what_does_not_show_again_is_told_in_words_and_is_no_finding() -> None:
    usual = Policy()
    other = gap_is_error()
    target = Actor(usual)
    target.faulty = lambda: len(target.looks) == 1
    target.policy = other
    tally, found = campaign(target)
    assert not found
    assert tally.judged(NOT_REPRODUCED) > 0
    assert "divergence" in tally.not_reproduced[0]


def test_a_harness_error_is_run_again_before_it_counts() -> None:
    once = Actor(Policy(), lambda outcome, alone: outcome if alone else cut_short(outcome))
    tally, found = campaign(once)
    assert not found
    assert not tally.judged(VerdictKind.HARNESS_ERROR.value)
    assert tally.judged(NOT_REPRODUCED) > 0
    assert "harness-error" in tally.not_reproduced[0]
    always = Actor(Policy(), lambda outcome, alone: cut_short(outcome))
    tally, found = campaign(always)
    assert not found
    assert tally.judged(VerdictKind.HARNESS_ERROR.value) > 0
    assert "results" in tally.harness_errors[0]


def test_a_model_that_raises_costs_that_program_only(monkeypatch: pytest.MonkeyPatch) -> None:
    real = model_predict.predict
    poison = ProgramSource(1).program(7)

    def predict(program: Program, *arguments: Any) -> Prediction:
        if program == poison:
            raise RuntimeError(BROKEN)
        return real(program, *arguments)

    monkeypatch.setattr("fuzz.engine.examine.predict", predict)
    monkeypatch.setattr("fuzz.triage.examine.predict", predict)
    tally, found = campaign(Actor(Policy()))
    assert not found
    assert tally.judged(VerdictKind.HARNESS_ERROR.value) == 1
    assert BROKEN in tally.harness_errors[0]


def test_what_the_ledger_knows_is_no_suspect() -> None:
    target = Actor(gap_is_error())
    source = ProgramSource(1)
    entry = Entry("known-gap", "because", "nowhere", ("*/*/*/*/*",), since="1.0")
    lane = Lane(target, Ledger((entry,)))
    lane.start(0, [source.program(i) for i in range(300)], AS_USUAL)
    lane.finish()
    assert not lane.suspects
    tally = lane.take_tally()
    assert tally.known == {"known-gap": tally.judged(KNOWN)}
    assert tally.judged(KNOWN) > 0


def test_news_of_another_worker_spares_the_work() -> None:
    target = Actor(gap_is_error())
    _, found = campaign(target)
    suspects = Suspects(OPTIONS)
    for one in found:
        suspects.seen(m.Seen("model", one.origin, "theirs"))
    lane = Lane(target, suspects.ledger)
    source = ProgramSource(1)
    lane.start(0, [source.program(i) for i in range(400)], AS_USUAL)
    lane.finish()
    assert list(suspects.settle(lane, lambda: None)) == []
    assert set(lane.take_tally().findings) == {"theirs"}


CRASH = "KASAN: slab-use-after-free Read in f\nBUG: KASAN: slab-use-after-free in f+0x1/0x2"


class Fragile(Actor):
    """A kernel that goes down in every call of madvise_ranges(), one boot each time."""

    def __init__(self) -> None:
        super().__init__(Policy())
        self.boots = 0
        self.largest_batch = 0  # among those that crashed, of runs alone

    def run_batch(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> list[Outcome]:
        out = []
        for program, outcome in zip(programs, super().run_batch(programs, observe), strict=True):
            calls = [i for i, s in enumerate(program.steps) if isinstance(s, MadviseRanges)]
            if calls:
                self.boots += 1
                if observe:
                    self.largest_batch = max(self.largest_batch, len(programs))
                step = calls[0] + len(program.setup())
                outcome = Outcome(Status.CRASHED, outcome.results[:step], step=step, log=CRASH)
            out.append(outcome)
        return out


def test_a_crash_of_the_kernel_is_confirmed_and_shrunk_with_few_boots() -> None:
    target = Fragile()
    suspects = Suspects(msgspec.structs.replace(OPTIONS, shrink=True))
    lane = Lane(target, suspects.ledger)
    source = ProgramSource(1)
    lane.start(0, [source.program(i) for i in range(20)], AS_USUAL)
    lane.finish()
    before = target.boots
    (found,) = suspects.settle(lane, lambda: None)
    finding = found.finding
    assert finding.identity == "kernel/any/any/kernel-quiet/KASAN: slab-use-after-free Read in f"
    assert (finding.verdict.kind, finding.verdict.log) == (VerdictKind.CRASH, CRASH)
    assert (finding.shown, finding.runs) == (CRASH_RUNS, CRASH_RUNS)
    assert [type(step) for step in finding.program.steps] == [MadviseRanges]
    assert target.largest_batch == 1
    # Each of the 20 suspects once; confirming twice; and one boot for each step down.
    assert target.boots - before <= before + 2 * CRASH_RUNS + 60


def test_a_hang_of_the_kernel_is_not_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.tests.test_engine_suspects.CRASH", "no output from guest")
    target = Fragile()
    suspects = Suspects(msgspec.structs.replace(OPTIONS, shrink=True))
    lane = Lane(target, suspects.ledger)
    lane.start(0, [ProgramSource(1).program(i) for i in range(20)], AS_USUAL)
    lane.finish()
    before = target.boots
    (found,) = suspects.settle(lane, lambda: None)
    assert found.finding.verdict.kind is VerdictKind.HANG
    assert target.boots - before == before + CRASH_RUNS
