"""Another process's memory, through process_madvise() and madvise_ranges()."""

from __future__ import annotations

import pytest

from conformance.abi.advice import ADVICES
from conformance.abi.errnos import EINVAL, ESRCH
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import madvise, single, span, vector, whole, written
from conformance.program.call import MadviseRanges, ProcessMadvise
from conformance.program.mapping import Mapping
from conformance.program.places import (
    FD_PIDFD_KTHREAD,
    FD_PIDFD_REMOTE,
    FD_PIDFD_SELF,
    FD_PIDFD_ZOMBIE,
    PAGE,
    PIDFD_SELF_GROUP,
    PIDFD_SELF_THREAD,
)
from conformance.program.program import Rights

LAYOUT: tuple[Mapping, ...] = (written(0, 2),)


def to(pidfd: int, name: str = "COLD", pages: int = 1) -> ProcessMadvise:
    return vector(name, (0, pages), pidfd=pidfd)


def ranges_to(pidfd: int, name: str = "COLD", pages: int = 1) -> MadviseRanges:
    return single(span(0, pages, name), is_remote=True, pidfd=pidfd)


@pytest.mark.requirement("remote-self")
def test_oneself_is_no_other_process(ranges: Kernel) -> None:
    rights = Rights.NO_SYS_NICE
    seen = ranges.run(LAYOUT, ranges_to(FD_PIDFD_SELF, "DONTNEED"), rights=rights)
    assert seen.results == (0,)
    assert seen.after(0).present(0, 1) == [False, True]


@pytest.mark.requirement("remote-self")
def test_oneself_needs_no_right_since_6_13(kernel: Kernel) -> None:
    if not kernel.target.facts.self_any_advice:
        kernel.lacks("process_madvise() on oneself without CAP_SYS_NICE (6.13)")
    seen = kernel.run(LAYOUT, to(FD_PIDFD_SELF), rights=Rights.NO_SYS_NICE)
    assert seen.results == (PAGE,)


@pytest.mark.requirement("remote-pidfd-self")
@pytest.mark.parametrize("pidfd", [PIDFD_SELF_THREAD, PIDFD_SELF_GROUP])
def test_the_numbers_that_name_oneself(kernel: Kernel, pidfd: int) -> None:
    if not kernel.target.facts.pidfd_self:
        kernel.lacks("PIDFD_SELF (6.15)")
    seen = kernel.run(LAYOUT, to(pidfd))
    assert seen.results == (PAGE,)


@pytest.mark.requirement("remote-zombie", "remote-no-mm")
def test_a_zombie_has_no_memory(kernel: Kernel) -> None:
    seen = kernel.run(LAYOUT, to(FD_PIDFD_ZOMBIE))
    assert seen.results == (-ESRCH,)


@pytest.mark.requirement("remote-kernel-thread")
def test_a_kernel_thread_has_no_memory(kernel: Kernel) -> None:
    if not kernel.target.facts.kthread_visible:
        kernel.lacks("a kernel thread that can be seen")
    seen = kernel.run(LAYOUT, to(FD_PIDFD_KTHREAD))
    assert seen.results == (-ESRCH,)


@pytest.mark.requirement("remote-addresses")
def test_addresses_are_those_of_the_other(kernel: Kernel) -> None:
    only_here = madvise(0, 1, "DONTNEED")
    seen = kernel.run(LAYOUT, only_here, to(FD_PIDFD_REMOTE, "COLD", 2))
    assert seen.results == (0, 2 * PAGE)
    assert seen.after(1, child=True).present(0, 1) == [True, True]
    assert seen.after(1).present(0, 1) == [False, True]


@pytest.mark.requirement("remote-addresses")
def test_structs_are_the_callers(ranges: Kernel) -> None:
    seen = ranges.run(LAYOUT, ranges_to(FD_PIDFD_REMOTE, "COLD", 2))
    assert seen.results == (0,)
    assert seen.stats(0)["nr_pages_advised"] == 2
    assert all(seen.after(0, child=True).present(0, 1))


@pytest.mark.requirement("remote-advices")
@pytest.mark.parametrize("name", [row.name for row in ADVICES if not row.remote])
def test_another_process_takes_advice_that_takes_nothing_away(kernel: Kernel, name: str) -> None:
    seen = kernel.run(LAYOUT, to(FD_PIDFD_REMOTE, name))
    assert seen.results == (-EINVAL,)
    assert all(seen.after(0, child=True).present(0, 1))


@pytest.mark.requirement("all-remote-advices")
def test_all_of_another_process(ranges: Kernel) -> None:
    refused = whole("DONTDUMP", is_remote=True, pidfd=FD_PIDFD_REMOTE)
    seen = ranges.run(LAYOUT, refused, whole=True)
    assert seen.results == (-EINVAL,)
    assert seen.stats(0)["nr_mappings_advised"] == 0
