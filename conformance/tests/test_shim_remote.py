"""The shim: another process as the target. Expectations written by hand from SPEC 1.6."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from conformance.program.places import PAGE
from conformance.tests.shim_arena import ARRAY, CTL, ELEMENTS, REMOTE, Arena, page, pages

EPERM, ESRCH, EBADF, ENOMEM, EACCES, EINVAL = 1, 3, 9, 12, 13, 22
CAP_SETUID, CAP_SYS_NICE = 7, 23
NOBODY: Final = 65534
PIDFD_SELF: Final = -10000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4


def has_capability(number: int) -> bool:
    """Has this process a capability?"""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    (caps,) = (line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(caps, 16) >> number & 1)


def in_child(action: Callable[[], int]) -> int:
    """What the action returns in a forked child, 0 to 250; 255 if it raised."""
    child = os.fork()
    if not child:
        code = 255
        try:
            code = action()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def libc() -> ctypes.CDLL:
    """The C library, for what Python does not offer."""
    return ctypes.CDLL(None)


def become_nobody() -> None:
    """Give all rights up, but stay readable for processes of the same user."""
    if has_capability(CAP_SETUID):
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    libc().prctl(PR_SET_DUMPABLE, 1)


@pytest.fixture
def other(arena: Arena) -> Iterator[int]:
    """A pidfd of a child with a copy of the arena, waiting. The arena: pages 0, 1 and 3."""
    arena.map(0, 2)
    arena.map(3, 1)
    child = os.fork()
    if not child:
        libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pause()
        os._exit(0)
    pidfd = os.pidfd_open(child)
    yield pidfd
    os.close(pidfd)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


needs_nice = pytest.mark.skipif(
    not has_capability(CAP_SYS_NICE), reason="CAP_SYS_NICE is needed to advise another process"
)


@pytest.mark.requirement("remote-access")
def test_descriptors_that_are_no_process(arena: Arena) -> None:
    arena.map(0, 1)
    file = os.open("/dev/null", os.O_RDONLY)
    for pidfd in (-1, 1 << 20, file, -2):
        answer = arena.call(pages(0, 1, "COLD"), flags=REMOTE, pidfd=pidfd)
        assert (answer.result, answer.stats) == (-EBADF, {}), pidfd
    os.close(file)


@pytest.mark.requirement("remote-access")
@pytest.mark.parametrize("reaped", [False, True])
def test_process_that_is_gone(arena: Arena, reaped: bool) -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    pidfd = os.pidfd_open(child)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    if reaped:
        os.waitpid(child, 0)
    answer = arena.call(pages(0, 1, "COLD"), flags=REMOTE, pidfd=pidfd)
    os.close(pidfd)
    if not reaped:
        os.waitpid(child, 0)
    assert (answer.result, answer.stats) == (-ESRCH, {})


@pytest.mark.requirement("remote-access")
@pytest.mark.skipif(os.stat("/proc/1").st_uid == NOBODY, reason="process 1 is nobody's here")
def test_process_that_one_may_not_read(arena: Arena) -> None:
    def ask() -> int:
        become_nobody()
        init = os.pidfd_open(1)
        return -arena.call(pages(0, 1, "COLD"), flags=REMOTE, pidfd=init).result

    assert in_child(ask) == EACCES


@pytest.mark.requirement("remote-access")
def test_another_process_needs_cap_sys_nice(arena: Arena) -> None:
    def ask() -> int:
        become_nobody()
        other = os.fork()
        if not other:
            libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.pause()
            os._exit(0)
        try:
            pidfd = os.pidfd_open(other)
            return -arena.call(pages(0, 1, "COLD"), flags=REMOTE, pidfd=pidfd).result
        finally:
            os.kill(other, signal.SIGKILL)
            os.waitpid(other, 0)

    assert in_child(ask) == EPERM


@pytest.mark.requirement("remote-access")
@pytest.mark.parametrize("sentinel", [False, True])
def test_oneself_is_local(arena: Arena, sentinel: bool) -> None:
    arena.map(0, 2)
    pidfd = PIDFD_SELF if sentinel else os.pidfd_open(os.getpid())
    answer = arena.call(pages(0, 2, "DONTDUMP"), flags=REMOTE, pidfd=pidfd)
    if not sentinel:
        os.close(pidfd)
    assert (answer.result, answer.counts()) == (0, (1, 0, 2, 0, 0))
    assert arena.flagged("dd") == [0, 1]


@needs_nice
@pytest.mark.requirement("remote-advices")
def test_advices_for_another_process(arena: Arena, other: int) -> None:
    for name in ("COLD", "PAGEOUT", "WILLNEED"):
        assert arena.call(pages(0, 2, name), flags=REMOTE, pidfd=other).result == 0, name
    for name in ("NORMAL", "DONTNEED", "FREE", "DONTFORK", "POPULATE_READ", "NOHUGEPAGE"):
        answer = arena.call(pages(0, 2, "COLD"), pages(0, 2, name), flags=REMOTE, pidfd=other)
        assert (answer.result, answer.error()) == (-EINVAL, (EINVAL, page(0), 1)), name
        assert answer.counts() == (0, 0, 0, 0, 0)


@needs_nice
@pytest.mark.requirement("remote-addresses")
def test_addresses_are_those_of_the_target(arena: Arena, other: int) -> None:
    arena.unmap(0, 4)  # here, not there
    answer = arena.call(
        pages(0, 4, "COLD"), pages(0, 2, "COLD"), flags=REMOTE, pidfd=other, elements=ELEMENTS
    )
    assert (answer.result, answer.counts()) == (0, (3, 0, 5, 0, 1))
    assert [answer.verdict(i) for i in range(2)] == [(1, 0), (1, 0)]
    assert arena.read(ELEMENTS, 8) == page(0).to_bytes(8, "little")
    assert CTL < ARRAY < ELEMENTS < CTL + PAGE  # the structs are the caller's
