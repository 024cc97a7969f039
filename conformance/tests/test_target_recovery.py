"""An executor that dies, hangs or lies: every program gets its outcome, and the right one."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conformance.program.call import Madvise
from conformance.program.kernel_facts import KernelFacts
from conformance.program.mapping import Kind, Mapping
from conformance.program.outcome import Outcome, Status
from conformance.program.places import ARENA_BASE
from conformance.program.program import Program
from conformance.program.wire import Observe, encode
from conformance.target import limits
from conformance.target.executor_target import NOT_PREPARED, ExecutorTarget, Options
from conformance.target.facts import Probed
from conformance.target.target import TargetError
from conformance.tests import fake_executor as fake

FACTS = Probed(KernelFacts(release="fake", advices=()), {})
FAKE = (sys.executable, "-m", "conformance.tests.fake_executor")

Opener = Callable[..., ExecutorTarget]


def program(advice: int, steps: int = 1) -> Program:
    """A program whose advice tells the fake executor what to do."""
    call = Madvise(ARENA_BASE, 4096, advice)
    return Program((Mapping(Kind.ANON, at=0, pages=4),), (call,) * steps)


HARMLESS = [program(advice, 1 + advice % 5) for advice in range(40)]


def words(one: Program) -> int:
    """What the fake executor answers for a program."""
    return len(encode(one, 0)) // 8


def right(outcome: Outcome, one: Program) -> bool:
    return outcome.status is Status.DONE and outcome.results == (words(one),)


@pytest.fixture
def open_fake(tmp_path: Path) -> Iterator[Opener]:
    """Opens targets over the fake executor; they are closed at the end."""
    opened = []

    def opener(*extra: str, deadline_ms: int = 50) -> ExecutorTarget:
        options = Options(tmp_root=tmp_path, probed=FACTS, program_deadline_ms=deadline_ms)
        opened.append(ExecutorTarget("fake", [*FAKE, *extra], options))
        return opened[-1]

    yield opener
    for target in opened:
        target.close()


@pytest.mark.parametrize("observe", [Observe(0), Observe.SMAPS | Observe.NO_LEAKS])
def test_the_executor_hears_whether_leaks_are_of_interest(
    open_fake: Opener, monkeypatch: pytest.MonkeyPatch, observe: Observe
) -> None:
    target, heard = open_fake(), []
    ring_bell = target.process.ring_bell

    def listen(pair: int, size: int, count: int, quick: bool) -> None:
        heard.append(quick)
        ring_bell(pair, size, count, quick)

    monkeypatch.setattr(target.process, "ring_bell", listen)
    target.run_batch(HARMLESS, observe)
    assert heard == [Observe.NO_LEAKS in observe]


def test_outcomes_come_in_the_order_of_the_programs(open_fake: Opener) -> None:
    outcomes = open_fake().run_batch(HARMLESS)
    assert len(outcomes) == len(HARMLESS)
    assert all(map(right, outcomes, HARMLESS))
    assert len({outcome.results for outcome in outcomes}) > 1


@pytest.mark.parametrize("place", [0, 1, 20, 40])
def test_whoever_takes_the_executor_along_is_blamed_alone(open_fake: Opener, place: int) -> None:
    target = open_fake()
    outcomes = target.run_batch([*HARMLESS[:place], program(fake.DIES), *HARMLESS[place:]])
    blamed = outcomes.pop(place)
    assert blamed.status is Status.KILLED
    assert blamed.signal == signal.SIGSEGV
    assert blamed.reason == (
        "the executor died of SIGSEGV, each of the 3 times that it ran this program alone"
    )
    assert all(map(right, outcomes, HARMLESS))
    assert all(map(right, target.run_batch(HARMLESS), HARMLESS))


@pytest.mark.parametrize(
    ("mishap", "said"),
    [
        (fake.EXITS, "the executor exited with status 7"),
        (fake.GARBLES, "the executor's answer cannot be read: no outcome at byte"),
        (fake.MISCOUNTS, "to another batch than asked"),
        (fake.LEAVES_BYTES, "8 bytes after the last outcome"),
        (fake.WRONG_ID, "outcome of program 3 where 2 was due"),
    ],
)
def test_an_answer_that_is_none_is_never_believed(
    open_fake: Opener, mishap: int, said: str
) -> None:
    outcomes = open_fake().run_batch([*HARMLESS[:2], program(mishap), HARMLESS[2]])
    blamed = outcomes.pop(2)
    assert blamed.status is Status.KILLED
    assert blamed.signal == 0
    assert said in blamed.reason
    assert all(map(right, outcomes, HARMLESS))


def test_a_program_that_hangs_the_executor_is_hung(
    open_fake: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ANSWER_SLACK_S", 0.2)
    monkeypatch.setattr(limits, "KILL_AND_FORK_S", 0.0)
    target = open_fake(deadline_ms=20)
    outcomes = target.run_batch([program(1), program(fake.HANGS), program(2)])
    assert [o.status for o in outcomes] == [Status.DONE, Status.HUNG, Status.DONE]
    assert "did not answer within" in outcomes[1].reason


def test_an_executor_that_dies_once_costs_nothing(open_fake: Opener) -> None:
    target = open_fake()
    programs = [*HARMLESS[:7], program(fake.DIES_ONCE), *HARMLESS[7:]]
    outcomes = target.run_batch(programs)
    assert all(map(right, outcomes, programs))
    assert target.process.starts == 2


def test_two_batches_in_flight_survive_a_death(open_fake: Opener) -> None:
    target = open_fake()
    first = [program(fake.DIES_ONCE), *HARMLESS]
    target.submit(first)
    target.submit(HARMLESS)
    target.submit([])
    assert all(map(right, target.collect(), first))
    assert all(map(right, target.collect(), HARMLESS))
    assert target.collect() == []


def test_a_kill_from_outside_is_recovered_from(open_fake: Opener) -> None:
    target = open_fake()
    for _ in range(3):
        (pid,) = target.worker_pids()
        target.submit(HARMLESS)
        os.kill(pid, signal.SIGKILL)
        assert all(map(right, target.collect(), HARMLESS))
        # It may have answered before it died; then its death shows at the next batch.
        assert all(map(right, target.run_batch(HARMLESS), HARMLESS))
        assert target.worker_pids() != (pid,)


def test_a_broken_executor_is_an_error_and_not_a_heap_of_crashes(
    open_fake: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DEATHS_IN_A_ROW_MAX", 5)
    target = open_fake()
    with pytest.raises(TargetError, match="6 times in a row without answering"):
        target.run_batch([program(fake.EXITS)] * 20)
    with pytest.raises(TargetError, match="closed"):
        target.submit(HARMLESS)
    assert target.worker_pids() == ()
    assert not target.folder.exists()


def test_not_run_says_why(open_fake: Opener) -> None:
    (outcome,) = open_fake().run_batch([program(fake.NOT_RUN)])
    assert outcome.status is Status.NOT_RUN
    assert outcome.reason == NOT_PREPARED


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (("--fake-no-start",), "status 3; its last words:\n  executor: no coffee"),
        (("--fake-version", "9"), "speaks protocol 9, not 2"),
    ],
)
def test_an_executor_that_does_not_start_is_an_error(
    open_fake: Opener, tmp_path: Path, extra: tuple[str, ...], said: str
) -> None:
    with pytest.raises(TargetError) as caught:
        open_fake(*extra)
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_executor_without_hello_is_an_error(
    open_fake: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "START_SECONDS_MAX", 0.2)
    with pytest.raises(TargetError, match=r"did not come up: .* did not answer within 0\.2 s"):
        open_fake("--fake-silent-start")


def test_close_ends_the_process_and_removes_the_folder(open_fake: Opener) -> None:
    target = open_fake()
    (pid,) = target.worker_pids()
    assert target.folder.is_dir()
    target.close()
    target.close()
    assert not target.folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_wrong_order_of_use_is_an_error(open_fake: Opener) -> None:
    target = open_fake()
    with pytest.raises(TargetError, match="without a submitted batch"):
        target.collect()
    target.submit(HARMLESS)
    with pytest.raises(TargetError, match="not collected"):
        target.run_batch(HARMLESS)
    assert all(map(right, target.collect(), HARMLESS))


def test_an_unwritable_temporary_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"cannot make a temporary folder in .*nowhere"):
        ExecutorTarget("fake", FAKE, Options(tmp_root=tmp_path / "nowhere", probed=FACTS))


def test_a_cpu_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    options = Options(tmp_root=tmp_path, probed=FACTS, cpu=4095)
    with pytest.raises(TargetError, match="cannot pin the executor to CPU 4095"):
        ExecutorTarget("fake", FAKE, options)
    assert list(tmp_path.iterdir()) == []


def test_the_executor_is_pinned_when_asked(tmp_path: Path) -> None:
    cpu = min(os.sched_getaffinity(0))
    options = Options(tmp_root=tmp_path, probed=FACTS, cpu=cpu)
    with ExecutorTarget("fake", FAKE, options) as target:
        (pid,) = target.worker_pids()
        assert os.sched_getaffinity(pid) == {cpu}
