"""Which programs are run, how often, and by whom."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.program.wire import Observe
from fuzz.engine.schedule import (
    BATCH,
    DEATHS_MAX,
    Lease,
    Schedule,
    observe_of,
    target_of,
)


def run_all(schedule: Schedule, seed: int, unlucky: float) -> list[int]:
    """Play workers that stop early, die, or never begin; the programs that were reported."""
    rng = random.Random(seed)
    done: list[int] = []
    out: list[Lease] = []
    for _ in range(100_000):
        if schedule.finished:
            break
        lease = schedule.take()
        if lease is not None:
            out.append(lease)
        if not out:
            continue
        at = out.pop(rng.randrange(len(out)))
        fate = rng.random()
        if fate < unlucky:
            schedule.lose(at)
        elif fate < 2 * unlucky:
            schedule.put_back(at)
        else:
            count = at.count
            if fate > 0.9:
                count = min(count, rng.randrange(0, count + 1) // BATCH * BATCH)
            done += range(at.first, at.first + count)
            schedule.finish(at, count)
    return done


@given(
    programs=st.integers(0, 5000),
    workers=st.integers(1, 8),
    seed=st.integers(0, 1 << 30),
    unlucky=st.sampled_from([0.0, 0.1, 0.3]),
)
def test_every_program_is_done_once_or_given_up(
    programs: int, workers: int, seed: int, unlucky: float
) -> None:
    schedule = Schedule(programs, workers)
    done = run_all(schedule, seed, unlucky)
    account = schedule.account()
    given_up = [
        n for lease in account.given_up for n in range(lease.first, lease.first + lease.count)
    ]
    assert sorted(done + given_up) == list(range(programs))
    assert account.done == len(done)
    assert account.left == 0
    assert all(lease.count <= BATCH for lease in account.given_up)
    if not unlucky:
        assert not given_up


@given(programs=st.integers(0, 3000), workers=st.integers(1, 8))
def test_leases_begin_at_batches(programs: int, workers: int) -> None:
    schedule = Schedule(programs, workers)
    while (lease := schedule.take()) is not None:
        assert lease.first % BATCH == 0
        schedule.finish(lease, lease.count)
    assert schedule.finished


def test_a_batch_that_ends_every_worker_is_given_up_alone() -> None:
    schedule = Schedule(1024, 1)
    poison = 5 * BATCH + 3
    deaths = 0
    while (lease := schedule.take()) is not None:
        if lease.first <= poison < lease.first + lease.count:
            deaths += 1
            schedule.lose(lease)
        else:
            schedule.finish(lease, lease.count)
    account = schedule.account()
    assert account.given_up == (Lease(5 * BATCH, BATCH),)
    assert account.done == 1024 - BATCH
    assert deaths <= 10 + DEATHS_MAX


def test_what_is_still_out_counts_as_not_run() -> None:
    schedule = Schedule(200, 1)
    lease = schedule.take()
    assert lease is not None
    assert schedule.account().left == 200
    assert not schedule.finished


def test_without_a_budget_it_never_finishes() -> None:
    schedule = Schedule(None, 2)
    for _ in range(10):
        lease = schedule.take()
        assert lease is not None
        schedule.finish(lease, lease.count)
    assert not schedule.finished
    assert schedule.account().left == 0


@pytest.mark.parametrize("targets", [1, 2, 3])
def test_each_target_gets_every_way_of_looking(targets: int) -> None:
    batches = 128 * targets * 4
    for target in range(targets):
        mine = [b for b in range(batches) if target_of(b, targets) == target]
        ways = [observe_of(b, targets) for b in mine]
        assert ways.count(Observe.READ_ALL) == len(mine) // 16
        assert ways.count(Observe.SMAPS) == len(mine) // 64
        assert ways.count(Observe.EACH_STEP | Observe.ISOLATED) == len(mine) // 128
