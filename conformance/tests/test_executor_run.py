"""The executor runs programs and reports what it sees: expectations by hand, no model."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.abi.advice import BY_NAME
from conformance.abi.vm_flags import names
from conformance.program import call as c
from conformance.program.content import TORN, file_tag, write_tag
from conformance.program.control_memory import pack_range
from conformance.program.control_struct import ControlFields, Multi, Range, Single
from conformance.program.mapping import (
    Backing,
    FileSlot,
    Kind,
    Lock,
    Mapping,
    Prot,
    Sharing,
    Touch,
    Uffd,
)
from conformance.program.outcome import (
    NOT_PLACED,
    PAGE_GUARD,
    PAGE_PRESENT,
    PAGE_READ,
    PAGE_UNREADABLE,
    Outcome,
    Status,
)
from conformance.program.places import ARENA_BASE, PAGE, ZONE_BASE, ZONE_RO_BASE, page_address
from conformance.program.program import Program
from conformance.program.wire import Observe, Op
from conformance.target.executor_build import build_executor
from conformance.target.executor_link import PROTOCOL_VERSION
from conformance.tests.executor_driver import Executor, raw_program

SEEN = PAGE_PRESENT | PAGE_READ
SYS_MMAP, SYS_TIME = 9, 201
MAP_FIXED_ANON = 0x32
NOWHERE = (1 << 64) - 1


@pytest.fixture(scope="module", params=["bpf", "smaps"])
def executor(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Executor]:
    """One for all tests of this file, so that each also tests that the ones before left nothing."""
    arguments = ["--no-bpf"] if request.param == "smaps" else []
    folder = tmp_path_factory.mktemp("executor")
    with Executor(build_executor(), folder, *arguments) as running:
        assert running.version == PROTOCOL_VERSION
        yield running


def advice(name: str, page: int, pages: int = 1) -> c.Madvise:
    return c.Madvise(page_address(page), pages * PAGE, BY_NAME[name].value)


def fault(number: signal.Signals, done: int) -> int:
    return -(number << 16 | done)


def vmas(outcome: Outcome, index: int = -1) -> list[tuple[int, int, str]]:
    """(first page, pages, flags) of each VMA, without flags that depend on the kernel's config."""
    flat = outcome.snapshots[index].vmas
    return [
        (
            (flat[i] - ARENA_BASE) // PAGE,
            (flat[i + 1] - flat[i]) // PAGE,
            " ".join(name for name in names(flat[i + 2]).split() if name not in ("sd", "gu")),
        )
        for i in range(0, len(flat), 4)
    ]


def test_touches_and_their_faults(executor: Executor) -> None:
    program = Program(
        layout=(
            Mapping(Kind.ANON, 0, 4),
            Mapping(Kind.ANON, 4, 1, prot=Prot.NONE),
            Mapping(Kind.TMPFS, 6, 3),
        ),
        steps=(
            c.TouchPages(0, 2),
            c.TouchPages(2, 1, write=False),
            c.TouchPages(3, 3),
            c.TouchPages(6, 3, write=False),
        ),
        files=(FileSlot(Backing.TMPFS, 1),),
    )
    outcome = executor.one(program)
    assert outcome.status is Status.DONE
    assert outcome.results[3:] == (
        2,
        1,
        fault(signal.SIGSEGV, 1),
        fault(signal.SIGBUS, 1),
    )
    assert outcome.snapshots[-1].step == 6
    assert outcome.snapshots[-1].pages == (
        SEEN | write_tag(4, 0),
        SEEN | write_tag(4, 1),
        SEEN,
        SEEN | write_tag(6, 3),
        0,
        0,
        SEEN | file_tag(0, 0),
        0,
        0,
    )


def test_kinds_and_their_flags(executor: Executor) -> None:
    layout = (
        Mapping(Kind.ANON, 0, 1),
        Mapping(Kind.ANON, 2, 1, sharing=Sharing.SHARED),
        Mapping(Kind.ANON, 4, 1, prot=Prot.NONE),
        Mapping(Kind.ANON, 6, 1, prot=Prot.RX),
        Mapping(Kind.NORESERVE, 8, 1),
        Mapping(Kind.ZERO, 10, 1, prot=Prot.R),
        Mapping(Kind.ANON, 12, 1, lock=Lock.LOCKED),
        Mapping(Kind.ANON, 14, 1, lock=Lock.ONFAULT),
        Mapping(Kind.MEMFD, 16, 1, sharing=Sharing.SHARED, read_only_fd=True, prot=Prot.R),
        Mapping(Kind.DISK, 18, 1, file=1, offset=2),
        Mapping(Kind.ANON, 20, 1, uffd=Uffd.MISSING),
        Mapping(Kind.GROWSDOWN, 22, 1),
    )
    files = (FileSlot(Backing.MEMFD, 1), FileSlot(Backing.DISK, 3))
    outcome = executor.one(Program(layout, (advice("RANDOM", 0),), files))
    assert vmas(outcome) == [
        (0, 1, "rd wr mr mw me rr ac"),
        (2, 1, "rd wr sh mr mw me ms"),
        (4, 1, "mr mw me"),
        (6, 1, "rd ex mr mw me"),
        (8, 1, "rd wr mr mw me nr"),
        (10, 1, "rd mr mw me"),
        (12, 1, "rd wr mr mw me lo ac"),
        (14, 1, "rd wr mr mw me lo lf ac"),
        (16, 1, "rd mr me ms"),  # never to be written: not VM_SHARED either
        (18, 1, "rd wr mr mw me ac"),
        (20, 1, "rd wr mr mw me ac um"),
        (22, 1, "rd wr mr mw me gd ac"),
    ]
    offsets = outcome.snapshots[-1].vmas[3::4]
    assert offsets[9] == 1 << 63 | 2  # the file's third page
    assert offsets[0] == 0  # no file
    assert offsets[5] == 1 << 63  # /dev/zero is one


def test_advice_splits_and_merges(executor: Executor) -> None:
    layout = (Mapping(Kind.ANON, 0, 6),)
    split = executor.one(Program(layout, (advice("SEQUENTIAL", 2, 2),)))
    assert vmas(split) == [
        (0, 2, "rd wr mr mw me ac"),
        (2, 2, "rd wr mr mw me sr ac"),
        (4, 2, "rd wr mr mw me ac"),
    ]
    merged = executor.one(Program(layout, (advice("SEQUENTIAL", 2, 2), advice("NORMAL", 2, 2))))
    assert vmas(merged) == [(0, 6, "rd wr mr mw me ac")]


def test_a_snapshot_after_each_step(executor: Executor) -> None:
    program = Program(
        (Mapping(Kind.ANON, 0, 2),), (c.TouchPages(0), advice("DONTNEED", 0), c.TouchPages(1))
    )
    outcome = executor.one(program, Observe.EACH_STEP)
    assert [(s.step, s.child) for s in outcome.snapshots] == [(1, False), (2, False), (3, False)]
    assert [s.pages for s in outcome.snapshots] == [
        (SEEN | write_tag(2, 0), 0),
        (0, 0),
        (0, SEEN | write_tag(4, 1)),
    ]


def test_reading_all_finds_what_is_not_present(executor: Executor) -> None:
    layout = (
        Mapping(Kind.DISK, 0, 3),
        Mapping(Kind.ANON, 4, 2, touches=(Touch(0),)),
        Mapping(Kind.ANON, 7, 1, prot=Prot.NONE),
    )
    program = Program(layout, (advice("GUARD_INSTALL", 5),), (FileSlot(Backing.DISK, 2),))
    pages = executor.one(program, Observe.READ_ALL).snapshots[-1].pages
    assert pages == (
        PAGE_READ | file_tag(0, 0),
        PAGE_READ | file_tag(0, 1),
        PAGE_UNREADABLE,  # beyond the end of the file
        0,
        SEEN | write_tag(4, 4),
        PAGE_GUARD | PAGE_UNREADABLE,
        0,
        0,
    )


def test_structs_are_placed_and_read_back(executor: Executor) -> None:
    fields = ControlFields(Single(Range(page_address(0), PAGE, 4)))
    step = c.MadviseRanges(fields, per_range_at=c.PER_RANGE_USUAL, stats_fill=0x5A)
    outcome = executor.one(Program((Mapping(Kind.ANON, 0, 1),), (step,)))
    assert outcome.results[-1] == -errno.ENOSYS  # no kernel of today has the call
    per_range, stats, zone = outcome.peeks
    assert per_range == b"\x5a" * 32
    assert stats == b"\x5a" * 40 + c.PER_RANGE_USUAL.to_bytes(8, "little") + b"\x5a" * 24
    assert zone == bytes(8)


def test_structs_that_cannot_be_placed(executor: Executor) -> None:
    first = Range(page_address(0), PAGE, 4)
    fields = ControlFields(Multi((first, Range(0, 0, 4))))
    layout = (Mapping(Kind.ANON, 0, 1, prot=Prot.R), Mapping(Kind.ANON, 2, 1))
    read_only = c.MadviseRanges(fields, array_at=page_address(0))
    straddling = c.MadviseRanges(fields, array_at=page_address(3) - 24)
    outcome = executor.one(Program(layout, (read_only, straddling, c.TouchPages(2))))
    assert outcome.results[2:] == (NOT_PLACED, NOT_PLACED, 1)
    readable = [len(peek) for peek in outcome.peeks]
    assert readable == [72, 48, 8, 72, 24, 8]
    assert outcome.peeks[4] == pack_range(first, 0)


def test_words_of_structs_do_not_tear_a_page(executor: Executor) -> None:
    fields = ControlFields(Single(Range(page_address(0), PAGE, 4)))
    layout = (Mapping(Kind.ANON, 0, 1, touches=(Touch(0),)),)
    covered = executor.one(Program(layout, (c.MadviseRanges(fields, ctl_at=page_address(0) + 64),)))
    assert covered.snapshots[-1].pages == (SEEN | write_tag(2, 0),)
    over_the_tag = c.MadviseRanges(fields, ctl_at=page_address(0) + 4040)
    both = executor.one(Program(layout, (over_the_tag,)))
    assert both.snapshots[-1].pages == (SEEN | write_tag(2, 0),)


@pytest.mark.parametrize("zone", [ZONE_BASE, ZONE_RO_BASE])
def test_zone_check_finds_a_stray_write(executor: Executor, zone: int) -> None:
    """time(2) writes 8 bytes where it is told; the read-only zone refuses with EFAULT."""
    ops = [
        (Op.POKE, zone + 0x100, 8, 0x1122334455667788),
        (Op.SYSCALL, SYS_TIME, zone + 0x140, 0, 0, 0, 0, 0),
        (Op.PEEK, zone + 0x100, 8),
        (Op.ZONE_CHECK,),
        (Op.POKE, zone + 0x100, 8, 0),
        (Op.SYSCALL, SYS_TIME, 0, 0, 0, 0, 0, 0),
        (Op.ZONE_CHECK,),
        (Op.PEEK, zone + 0x100, 8),
    ]
    outcome = executor.one(raw_program(ops))
    writable = zone == ZONE_BASE
    assert (outcome.results[0] > 0) is writable
    assert outcome.results[0] > 0 or outcome.results[0] == -errno.EFAULT
    assert outcome.peeks[0] == bytes.fromhex("8877665544332211")
    stray = int.from_bytes(outcome.peeks[1], "little")
    assert stray == (zone + 0x140 if writable else 0)
    assert outcome.peeks[2] == bytes(8)  # the stray bytes are poison again
    assert outcome.peeks[3] == b"\xa5" * 8  # so is the struct


def test_a_write_that_a_peek_covers_is_no_stray(executor: Executor) -> None:
    ops = [
        (Op.POKE, ZONE_BASE + 0x100, 8, 1),
        (Op.SYSCALL, SYS_TIME, ZONE_BASE + 0x100, 0, 0, 0, 0, 0),
        (Op.PEEK, ZONE_BASE + 0x100, 8),
        (Op.ZONE_CHECK,),
    ]
    outcome = executor.one(raw_program(ops))
    assert int.from_bytes(outcome.peeks[0], "little") == outcome.results[0]
    assert outcome.peeks[1] == bytes(8)


def test_structs_of_the_call_before_are_gone(executor: Executor) -> None:
    """The second program stores nothing: the whole zone is poison for its call."""
    vec = (c.IoRange(page_address(0), PAGE),)
    layout = (Mapping(Kind.ANON, 0, 1, touches=(Touch(0),)),)
    first = c.ProcessMadvise(BY_NAME["COLD"].value, vec)
    second = c.ProcessMadvise(BY_NAME["COLD"].value, (), count=1)
    outcome = executor.one(Program(layout, (first, second)))
    assert outcome.results[2] == PAGE
    assert outcome.results[3] == -errno.EINVAL  # a negative length: 0xa5a5a5a5a5a5a5a5


def test_fork_is_seen_by_the_child(executor: Executor) -> None:
    layout = (Mapping(Kind.ANON, 0, 3, touches=(Touch(0, 3),)),)
    steps = (advice("DONTFORK", 0), advice("WIPEONFORK", 1), c.Fork(), c.TouchPages(0))
    outcome = executor.one(Program(layout, steps))
    assert outcome.results[2:] == (0, 0, 0, 1)
    child, parent = outcome.snapshots
    assert (child.step, child.child, parent.step, parent.child) == (4, True, 5, False)
    assert child.pages == (0, 0, SEEN | write_tag(2, 2))
    assert parent.pages[0] == SEEN | write_tag(6, 0)
    assert [start for start, _, _ in vmas(outcome, 0)] == [1, 2]


def test_processes_behind_descriptors(executor: Executor) -> None:
    layout = (Mapping(Kind.ANON, 0, 2, touches=(Touch(0, 2),)),)
    vec = (c.IoRange(page_address(0), PAGE),)
    cold, dontneed = BY_NAME["COLD"].value, BY_NAME["DONTNEED"].value
    steps = (
        c.ProcessMadvise(cold, vec),
        c.ProcessMadvise(cold, vec, pidfd=201),
        c.ProcessMadvise(dontneed, vec, pidfd=201),
        c.ProcessMadvise(cold, vec, pidfd=202),
        c.ProcessMadvise(cold, vec, pidfd=203),
        c.ProcessMadvise(cold, vec, pidfd=204),
        advice("DONTNEED", 0),
    )
    outcome = executor.one(Program(layout, steps))
    assert outcome.results[2:] == (
        PAGE,
        PAGE,
        -errno.EINVAL,
        -errno.ESRCH,
        -errno.ESRCH,
        -errno.EBADF,
        0,
    )
    own, remote = outcome.snapshots
    assert own.pages == (0, SEEN | write_tag(2, 1))
    assert (remote.child, remote.step) == (True, 8)
    assert remote.pages == (SEEN | write_tag(2, 0), SEEN | write_tag(2, 1))


def test_the_remote_goes_with_its_program(executor: Executor) -> None:
    step = c.ProcessMadvise(20, (), pidfd=201)
    outcome = executor.one(Program((), (step,)))
    assert outcome.results == (0,)
    ops = [(Op.SYSCALL, 440, 201, ZONE_BASE, 0, 20, 0, 0)]
    assert executor.one(raw_program(ops)).results == (-errno.EBADF,)


def test_torn_pages_are_told(executor: Executor) -> None:
    ops = [
        (Op.SYSCALL, SYS_MMAP, ARENA_BASE, PAGE, 3, MAP_FIXED_ANON, NOWHERE, 0),
        (Op.SYSCALL, SYS_TIME, ARENA_BASE + 2048, 0, 0, 0, 0, 0),
        (Op.SNAPSHOT,),
    ]
    assert executor.one(raw_program(ops, 1)).snapshots[-1].pages == (SEEN | TORN,)


def test_readers_agree_on_every_kind(tmp_path: Path) -> None:
    """The same mappings, with every flag that can be had, by BPF and by smaps."""
    kinds = (Kind.ANON, Kind.NORESERVE, Kind.GROWSDOWN, Kind.DROPPABLE, Kind.ZERO, Kind.MEMFD,
             Kind.TMPFS, Kind.DISK, Kind.SECRETMEM)  # fmt: skip
    file_of = {Kind.MEMFD: 0, Kind.TMPFS: 1, Kind.DISK: 2}
    layout = [
        Mapping(kind, 4 * at, 2, file=file_of.get(kind, 0), sharing=sharing, lock=lock)
        for at, (kind, sharing, lock) in enumerate(
            (k, s, lk) for k in kinds for s in Sharing for lk in (Lock.NO, Lock.ONFAULT)
        )
    ]
    files = tuple(FileSlot(backing, 2) for backing in Backing)
    steps = [advice("RANDOM", 0, 8), advice("DONTDUMP", 4, 90), advice("HUGEPAGE", 0, 40),
             advice("MERGEABLE", 0, 90), advice("GUARD_INSTALL", 0, 1)]  # fmt: skip
    program = Program((*layout[:16], Mapping(Kind.ANON, 100, 1, sealed=True)), tuple(steps), files)
    other = Program((*layout[16:], Mapping(Kind.VVAR, 200, 8)), tuple(steps), files)
    with Executor(build_executor(), tmp_path) as running:
        plain = running.run([program, other])
        smaps = running.run([program, other], Observe.SMAPS)
    assert plain == smaps
    assert all(outcome.status is Status.DONE for outcome in plain)
    seen = {name for outcome in plain for f in outcome.snapshots[-1].vmas[2::4]
            for name in names(f).split()}  # fmt: skip
    assert {"rd", "wr", "sh", "gd", "pf", "io", "lo", "lf", "rr", "nr", "dd"} <= seen
