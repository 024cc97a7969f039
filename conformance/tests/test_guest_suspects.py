"""A guest that panics, reports, falls silent or lies: the program is found, and none is lost."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from conformance.program.call import Madvise
from conformance.program.kernel_facts import KernelFacts
from conformance.program.mapping import Kind as MappingKind
from conformance.program.mapping import Mapping
from conformance.program.outcome import Outcome, Status
from conformance.program.places import ARENA_BASE
from conformance.program.program import Program
from conformance.program.wire import encode
from conformance.target.executor_target import Options
from conformance.target.facts import Probed
from conformance.target.guest import GuestTarget, Kind
from conformance.target.guest_machine import Boot
from conformance.target.kernel_log import LOST, SILENT
from conformance.target.limits import Pace
from conformance.target.target import TargetError
from conformance.tests import fake_guest as fake

FACTS = Probed(KernelFacts(release="fake", advices=()), {})
PACE = Pace(boot=5.0, start=5.0, facts=5.0, silence=0.5)
BATCH = 16

Opener = Callable[..., GuestTarget]


def program(advice: int, steps: int = 1) -> Program:
    """A program whose advice tells the fake guest what to do."""
    call = Madvise(ARENA_BASE, 4096, advice)
    return Program((Mapping(MappingKind.ANON, at=0, pages=4),), (call,) * steps)


HARMLESS = [program(advice, 1 + advice % 5) for advice in range(BATCH)]


def right(outcome: Outcome, one: Program) -> bool:
    """Exactly what the fake guest answers for a program, and nothing held against the kernel."""
    return outcome == Outcome(Status.DONE, (len(encode(one, 0)) // 8,))


def with_one(advice: int, place: int) -> list[Program]:
    return [*HARMLESS[:place], program(advice), *HARMLESS[place:]]


@pytest.fixture
def open_fake(tmp_path: Path) -> Iterator[Opener]:
    """Opens targets over fake guests; they are closed at the end, and leave nothing behind."""
    opened: list[GuestTarget] = []
    facts = tmp_path / "facts.json"
    facts.write_bytes(msgspec.json.encode(FACTS))
    root = tmp_path / "root"
    root.mkdir()

    def machine(boot: Boot) -> list[str]:
        return [
            sys.executable, "-m", "conformance.tests.fake_guest", str(boot.bell),
            str(boot.ring_fd), str(boot.ring_bytes), str(tmp_path), str(facts),
            *boot.append.split(),
        ]  # fmt: skip

    def opener(append: str = "", boot_s: float = PACE.boot) -> GuestTarget:
        kind = Kind(machine, PACE._replace(boot=boot_s), 200)
        options = Options(tmp_root=root, append=append)
        opened.append(GuestTarget("fake", Path("fake-kernel"), kind, options))
        return opened[-1]

    yield opener
    pids = [pid for target in opened for pid in target.worker_pids()]
    for target in opened:
        target.close()
    assert list(root.iterdir()) == []
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def boots(tmp_path: Path) -> int:
    return len((tmp_path / "boots").read_text("ascii"))


def test_what_a_sound_guest_answers_counts(open_fake: Opener, tmp_path: Path) -> None:
    target = open_fake()
    assert target.facts == FACTS.facts
    for _ in range(3):
        assert all(map(right, target.run_batch(HARMLESS), HARMLESS))
    assert boots(tmp_path) == 1


@pytest.mark.parametrize("place", [0, 7, BATCH])
def test_a_panic_is_told_of_its_program_alone(
    open_fake: Opener, tmp_path: Path, place: int
) -> None:
    outcomes = open_fake().run_batch(with_one(fake.PANICS, place))
    crashed = outcomes.pop(place)
    assert crashed.status is Status.CRASHED
    assert crashed.log.splitlines()[0] == fake.OOPS_TITLE
    assert "Kernel panic" in crashed.log
    assert all(map(right, outcomes, HARMLESS))
    assert boots(tmp_path) <= 3


def test_two_panics_in_a_batch_are_two(open_fake: Opener) -> None:
    programs = [*with_one(fake.PANICS, 3), program(fake.PANICS)]
    outcomes = open_fake().run_batch(programs)
    assert [o.status is Status.CRASHED for o in outcomes] == [
        one == program(fake.PANICS) for one in programs
    ]


def test_a_report_that_the_guest_survives_comes_with_its_outcome(open_fake: Opener) -> None:
    outcomes = open_fake().run_batch(with_one(fake.SPLATS, 5))
    told = outcomes.pop(5)
    assert right(msgspec.structs.replace(told, log=""), program(fake.SPLATS))
    assert told.log.splitlines()[0] == fake.SPLAT_TITLE
    assert "stack backtrace" in told.log
    assert all(map(right, outcomes, HARMLESS))


def test_taint_alone_is_enough(open_fake: Opener) -> None:
    outcomes = open_fake().run_batch(with_one(fake.TAINTS, 5))
    told = outcomes.pop(5)
    assert told.log.splitlines()[0] == "kernel tainted 0x200"
    assert told.status is Status.DONE
    assert all(map(right, outcomes, HARMLESS))


@pytest.mark.parametrize(
    ("advice", "title"),
    [
        (fake.STANDS_STILL, SILENT),
        (fake.CUTS_ANSWER, SILENT),
        (fake.REBOOTS, LOST),
    ],
)
def test_a_guest_that_answers_no_more_costs_one_program(
    open_fake: Opener, advice: int, title: str
) -> None:
    outcomes = open_fake().run_batch(with_one(advice, 2))
    lost = outcomes.pop(2)
    assert lost.status is Status.CRASHED
    assert lost.log.splitlines()[0] == title
    assert all(map(right, outcomes, HARMLESS))


def test_nonsense_on_the_channel_costs_one_program(open_fake: Opener) -> None:
    outcomes = open_fake().run_batch(with_one(fake.TALKS_NONSENSE, 2))
    lost = outcomes.pop(2)
    assert lost.status is not Status.DONE
    assert all(map(right, outcomes, HARMLESS))


def test_signs_of_life_are_waited_for(open_fake: Opener, tmp_path: Path) -> None:
    outcomes = open_fake().run_batch([program(fake.THINKS)])
    assert right(outcomes[0], program(fake.THINKS))
    assert boots(tmp_path) == 1


def test_what_a_sound_kernel_prints_is_no_report(open_fake: Opener, tmp_path: Path) -> None:
    programs = with_one(fake.CHATTERS, 4)
    assert all(map(right, open_fake().run_batch(programs), programs))
    assert boots(tmp_path) == 1


def test_what_never_shows_again_is_told_all_the_same(open_fake: Opener) -> None:
    programs = with_one(fake.PANICS_ONCE, 4)
    outcomes = open_fake().run_batch(programs)
    *others, last = outcomes
    assert last.log.splitlines()[0] == fake.OOPS_TITLE
    assert "not again" in last.log
    assert all(map(right, others, programs))
    assert right(msgspec.structs.replace(last, log=""), programs[-1])


def test_what_shows_only_together_is_narrowed_down(open_fake: Opener) -> None:
    programs = list(HARMLESS)
    programs[4:4] = [program(fake.FIRST_OF_TWO)]
    programs[8:8] = [program(fake.SECOND_OF_TWO)]
    outcomes = open_fake().run_batch(programs)
    told = [i for i, outcome in enumerate(outcomes) if outcome.log]
    assert len(told) == 1
    assert "programs in a row only" in outcomes[told[0]].log
    assert told[0] >= 8
    others = [
        (o, p) for i, (o, p) in enumerate(zip(outcomes, programs, strict=True)) if i != told[0]
    ]
    assert all(right(outcome, one) for outcome, one in others)


def test_a_guest_that_somebody_killed_loses_nothing(open_fake: Opener) -> None:
    programs = with_one(fake.KILLED_ONCE, 4)
    assert all(map(right, open_fake().run_batch(programs), programs))


def test_an_executor_that_ends_needs_no_new_guest(open_fake: Opener, tmp_path: Path) -> None:
    outcomes = open_fake().run_batch(with_one(fake.LOSES_EXECUTOR, 4))
    killed = outcomes.pop(4)
    assert killed.status is Status.KILLED
    assert all(map(right, outcomes, HARMLESS))
    assert boots(tmp_path) == 1


def test_two_submissions_keep_their_order_through_a_crash(open_fake: Opener) -> None:
    target = open_fake()
    first, second = with_one(fake.PANICS, 3), HARMLESS[::-1]
    target.submit(first)
    target.submit(second)
    assert [o.status for o in target.collect()].count(Status.CRASHED) == 1
    assert all(map(right, target.collect(), second))


def test_a_kernel_that_goes_down_before_any_program_is_booted_again_and_told(
    open_fake: Opener, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = open_fake("boot=panics-once")
    assert all(map(right, target.run_batch(HARMLESS), HARMLESS))
    assert boots(tmp_path) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("madvet: the guest fake-kernel went down while it booted: BUG: ")
    assert told.endswith("; booting it again")


@pytest.mark.parametrize(
    ("append", "wanted"),
    [
        ("boot=silent", "did not boot"),
        ("boot=panic", "Kernel panic - not syncing"),
        ("boot=nonsense", "speaks another language"),
    ],
)
def test_a_guest_that_does_not_come_up_says_why(
    open_fake: Opener, tmp_path: Path, append: str, wanted: str
) -> None:
    began = time.monotonic()
    with pytest.raises(TargetError, match=wanted) as raised:
        open_fake(append, boot_s=2.0)
    assert time.monotonic() - began < 10
    assert "fake-kernel" in str(raised.value)
    assert "its last words:\n  " in str(raised.value)
    assert list((tmp_path / "root").iterdir()) == []
