"""What one program does never reaches the next, nor the executor; what kills a process is told."""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from conformance.abi.advice import BY_NAME
from conformance.program import call as c
from conformance.program.content import file_tag, write_tag
from conformance.program.mapping import Backing, FileSlot, Kind, Lock, Mapping, Sharing, Touch, Uffd
from conformance.program.outcome import PAGE_PRESENT, PAGE_READ, Status
from conformance.program.places import EXECUTOR_BASE, PAGE, TASK_SIZE, ZONE_RO_BASE, page_address
from conformance.program.program import Program
from conformance.program.wire import Observe, Op
from conformance.target.executor_build import build_executor
from conformance.tests.executor_driver import Executor, raw_program

SEEN = PAGE_PRESENT | PAGE_READ
DEADLINE_MS = 300
SYS_PAUSE, SYS_TIME, SYS_MUNMAP = 34, 201, 11
ANON = Program((Mapping(Kind.ANON, 0, 1),), (c.TouchPages(0),))
HANGS = raw_program(
    [(Op.SYSCALL, SYS_TIME, 0, 0, 0, 0, 0, 0), (Op.SYSCALL, SYS_PAUSE, 0, 0, 0, 0, 0, 0)]
)
DIES = Program((Mapping(Kind.ANON, 0, 1),), (c.TouchPages(0), c.Munmap(EXECUTOR_BASE, 1 << 24)))


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """One for all tests of this file."""
    folder = tmp_path_factory.mktemp("executor")
    with Executor(build_executor(), folder, "--deadline-ms", str(DEADLINE_MS)) as running:
        yield running


def is_plain(executor: Executor) -> bool:
    """Does the executor still run the simplest program as it must?"""
    outcome = executor.one(ANON)
    return outcome.results == (page_address(0), 1) and outcome.snapshots[-1].pages == (
        SEEN | write_tag(2, 0),
    )


@pytest.mark.parametrize("backing", list(Backing))
def test_files_are_pristine_for_each_program(executor: Executor, backing: Backing) -> None:
    """Written, punched, larger, smaller: the next program sees what a fresh file has."""
    kind = Kind(backing.value)
    shared = Mapping(kind, 0, 4, sharing=Sharing.SHARED)
    read = (c.TouchPages(0, 4, write=False),)

    def look(pages: int) -> Program:
        return Program((shared,), read, (FileSlot(backing, pages),))

    spoil = Program(
        (shared,),
        (c.TouchPages(0, 4), c.Madvise(page_address(1), PAGE, BY_NAME["REMOVE"].value)),
        (FileSlot(backing, 4),),
    )
    fresh, spoiled, again, smaller, larger = executor.run(
        [look(4), spoil, look(4), look(2), look(6)], Observe.READ_ALL
    )
    assert spoiled.results[-2:] == (4, 0)
    tags = [0 if backing is Backing.MEMFD else file_tag(0, page) for page in range(4)]
    assert [page & 0xFFFFFFFF for page in fresh.snapshots[-1].pages] == tags
    assert again == fresh
    assert smaller.results[-1] == -(signal.SIGBUS << 16 | 2)
    assert larger.results[-1] == 4


def test_a_memfd_has_no_pages_before_it_is_used(executor: Executor) -> None:
    """A read fault maps what is in the page cache around it: nothing must be left there."""
    mapping = Mapping(Kind.MEMFD, 0, 4, sharing=Sharing.SHARED)
    files = (FileSlot(Backing.MEMFD, 4),)
    full = Program((mapping,), (c.TouchPages(0, 4),), files)
    one = Program((mapping,), (c.TouchPages(1, 1, write=False),), files)
    outcome = executor.run([full, one])[1]
    assert outcome.snapshots[-1].pages == (0, SEEN, 0, 0)


def test_a_sealed_file_is_replaced(executor: Executor) -> None:
    mapping = Mapping(Kind.MEMFD, 0, 1, sharing=Sharing.SHARED)
    sealed = Program((mapping,), (c.Mmap(mapping),), (FileSlot(Backing.MEMFD, 1, True),))
    plain = Program((mapping,), (c.Mmap(mapping),), (FileSlot(Backing.MEMFD, 1),))
    first, second = executor.run([sealed, plain])
    assert first.results == (page_address(0), 0, -errno.EPERM)
    assert second.results == (page_address(0), page_address(0))


def test_mappings_locks_and_registrations_go(executor: Executor) -> None:
    busy = Program(
        (
            Mapping(Kind.ANON, 0, 2, lock=Lock.LOCKED),
            Mapping(Kind.ANON, 4, 2, uffd=Uffd.MISSING),
            Mapping(Kind.SECRETMEM, 8, 1, sharing=Sharing.SHARED),
        ),
        (c.TouchPages(4, 1),),
    )
    outcomes = executor.run([busy, ANON] * 40)
    assert all(outcome == outcomes[0] for outcome in outcomes[::2])
    assert outcomes[0].results[-1] == -(signal.SIGBUS << 16)  # missing: SIGBUS, nothing blocks
    assert all(len(outcome.snapshots[-1].vmas) == 4 for outcome in outcomes[1::2])


def test_sealed_mappings_cost_only_their_process(executor: Executor) -> None:
    sealed = Program((Mapping(Kind.ANON, 0, 1, sealed=True),), (c.Munmap(page_address(0), PAGE),))
    assert sealed.isolated()
    outcomes = executor.run([ANON, sealed, ANON, sealed])
    assert [outcome.results[-1] for outcome in outcomes] == [1, -errno.EPERM, 1, -errno.EPERM]


def test_a_moved_vvar_costs_only_its_process(executor: Executor) -> None:
    moved = Program((Mapping(Kind.VVAR, 0, 8),), (c.TouchPages(9),))
    first, second, plain = executor.run([moved, moved, ANON])
    assert first == second
    assert first.results[0] == page_address(0)
    assert plain.status is Status.DONE


def test_a_death_costs_one_program(executor: Executor) -> None:
    outcomes = executor.run([ANON, DIES, ANON, DIES, DIES, ANON])
    died = [outcome for outcome in outcomes if outcome.status is Status.KILLED]
    assert [outcome.status for outcome in outcomes] == [
        Status.DONE, Status.KILLED, Status.DONE, Status.KILLED, Status.KILLED, Status.DONE,
    ]  # fmt: skip
    assert all(
        (d.signal, d.step, d.results) == (signal.SIGSEGV, 2, (page_address(0), 1)) for d in died
    )
    assert outcomes[0] == outcomes[2] == outcomes[5]


def test_a_hang_costs_one_program_and_its_deadline(executor: Executor) -> None:
    started = time.monotonic()
    before, hung, after = executor.run([ANON, HANGS, ANON])
    waited_ms = (time.monotonic() - started) * 1000
    assert (hung.status, hung.step, len(hung.results)) == (Status.HUNG, 1, 1)
    assert before == after
    assert waited_ms >= DEADLINE_MS


def test_the_read_only_zone_is_clean_after_a_death(executor: Executor) -> None:
    """It is memory that processes share; the dead one had a struct in it."""
    dies = raw_program(
        [
            (Op.POKE, ZONE_RO_BASE + 0x100, 8, 1),
            (Op.SYSCALL, SYS_MUNMAP, EXECUTOR_BASE, 1 << 24, 0, 0, 0, 0),
        ]
    )
    peeks = raw_program([(Op.PEEK, ZONE_RO_BASE + 0x100, 8)])
    killed, peek = executor.run([dies, peeks])
    assert killed.status is Status.KILLED
    assert peek.peeks == (b"\xa5" * 8,)


def test_a_discarded_executor_is_noticed(executor: Executor) -> None:
    """A call that throws away the executor's own data counts as its death."""
    for fields in ((EXECUTOR_BASE, 1 << 24),):
        program = Program((), (c.Madvise(*fields, BY_NAME["DONTNEED"].value),))
        assert executor.one(program).status in (Status.KILLED, Status.HUNG)
    assert is_plain(executor)


def test_poison_is_refused(executor: Executor) -> None:
    """Poisoned memory is lost to the whole machine. Kernels without it answer EINVAL."""
    layout = (Mapping(Kind.ANON, 0, 1, touches=(Touch(0),)),)
    known, real = executor.run(
        [
            Program((), (c.Madvise(0, 0, BY_NAME["HWPOISON"].value),)),
            Program(layout, (c.Madvise(page_address(0), PAGE, BY_NAME["HWPOISON"].value),)),
        ]
    )
    if known.results == (0,):
        assert real.status is Status.NOT_RUN
    else:
        assert real.results[-1] == -errno.EINVAL


@pytest.mark.parametrize("observe", [Observe(0), Observe.READ_ALL, Observe.EACH_STEP])
def test_a_sacrificed_process_sees_the_same(executor: Executor, observe: Observe) -> None:
    layout = (
        Mapping(Kind.ANON, 0, 4, touches=(Touch(0, 2), Touch(2, 1, False))),
        Mapping(Kind.MEMFD, 6, 2, sharing=Sharing.SHARED, touches=(Touch(0),)),
        Mapping(Kind.DISK, 9, 3, file=1, touches=(Touch(1, 1, False), Touch(0))),
        Mapping(Kind.SECRETMEM, 13, 1, sharing=Sharing.SHARED, touches=(Touch(0),)),
        Mapping(Kind.ANON, 15, 2, uffd=Uffd.MISSING, lock=Lock.ONFAULT),
    )
    files = (FileSlot(Backing.MEMFD, 2), FileSlot(Backing.DISK, 2))
    steps = (
        c.Madvise(page_address(0), PAGE, BY_NAME["DONTNEED"].value),
        c.Madvise(page_address(1), 4 * PAGE, BY_NAME["RANDOM"].value),
        c.TouchPages(13, 3),
        c.Fork(),
        c.ProcessMadvise(BY_NAME["COLD"].value, (c.IoRange(page_address(0), PAGE),), pidfd=201),
        c.ProcessMadvise(BY_NAME["COLD"].value, (c.IoRange(page_address(2), PAGE),)),
    )
    program = Program(layout, steps, files)
    plain = executor.one(program, observe)
    sacrificed = executor.one(program, observe | Observe.WHOLE)
    assert plain.status is Status.DONE
    assert plain.results[-2:] == (PAGE, PAGE)
    assert msgspec.structs.replace(sacrificed, outside=()) == plain
    starts = sacrificed.outside[::4]
    assert EXECUTOR_BASE in starts
    assert ZONE_RO_BASE in starts


def test_calls_on_the_whole_address_space(executor: Executor) -> None:
    """The result is known even of the call after which nothing can run."""
    layout = (Mapping(Kind.ANON, 0, 1, touches=(Touch(0),)),)
    everything = c.Munmap(0, TASK_SIZE)
    last = executor.one(Program(layout, (everything,), whole=True))
    assert (last.status, last.results[2:]) == (Status.DONE, (0,))
    assert last.snapshots[-1].vmas == ()
    more = executor.one(Program(layout, (everything, c.TouchPages(0)), whole=True))
    assert (more.status, more.signal, more.step) == (Status.KILLED, signal.SIGSEGV, 3)
    assert more.results[2:] == (0,)
    for name in ("DONTNEED", "GUARD_INSTALL", "REMOVE", "PAGEOUT", "DONTFORK"):
        step = c.Madvise(0x10000, TASK_SIZE - 0x10000, BY_NAME[name].value)
        outcome = executor.one(Program(layout, (step,), whole=True))
        assert outcome.status is Status.DONE, name
        assert outcome.results[-1] < 0, name  # gaps, or vvar
    assert is_plain(executor)


def test_children_end_with_their_parent(tmp_path: Path) -> None:
    """Input ends while a program hangs: nobody is left to read the outcome."""
    running = Executor(build_executor(), tmp_path, "--deadline-ms", "60000")
    running.submit([HANGS])
    pid = running.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    give_up = time.monotonic() + 10
    hanging: list[int] = []
    while not hanging and time.monotonic() < give_up:
        found = [int(word) for word in children.read_text().split()]
        hanging = [child for child in found if "pause" in _wchan(child)]
        time.sleep(0.01)
    assert hanging, "the program never hung"
    pidfd = os.pidfd_open(hanging[0])
    running.close()
    ended, _, _ = select.select([pidfd], [], [], 10)
    os.close(pidfd)
    assert ended


def _wchan(pid: int) -> str:
    """ "pause" for a process that waits in pause(2)."""
    try:
        number = Path(f"/proc/{pid}/syscall").read_text().split()[0]
    except (OSError, IndexError):
        return ""
    return "pause" if number == str(SYS_PAUSE) else ""
