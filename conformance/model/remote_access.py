"""Which address space a pidfd gives access to. Source: pidfd_get_task(), mm_access()."""

from __future__ import annotations

from conformance.abi.advice import BY_VALUE
from conformance.abi.errnos import EACCES, EBADF, EINVAL, EPERM, ESRCH
from conformance.model.address_space import AddressSpace
from conformance.model.pauses import TASK
from conformance.model.process import Process
from conformance.program.places import (
    FD_PIDFD_DEAD,
    FD_PIDFD_KTHREAD,
    FD_PIDFD_REMOTE,
    FD_PIDFD_SELF,
    FD_PIDFD_ZOMBIE,
    PIDFD_SELF_GROUP,
    PIDFD_SELF_THREAD,
)
from conformance.spec.cite import cite, met


def resolve(process: Process, pidfd: int) -> AddressSpace | int:
    """The address space behind a pidfd, or a positive errno."""
    error = find_task(process, pidfd)
    return error or access(process, pidfd)


def find_task(process: Process, pidfd: int) -> int:
    """pidfd_get_task(): 0, or a positive errno where there is no task, dead or alive."""
    facts = process.facts
    if pidfd == FD_PIDFD_SELF:
        met("remote-self")
        return 0
    if pidfd == FD_PIDFD_ZOMBIE:
        return 0
    if (pidfd == PIDFD_SELF_THREAD and facts.pidfd_self) or (
        pidfd == PIDFD_SELF_GROUP and facts.pidfd_self_group
    ):
        cite("remote-pidfd-self")
        return 0
    if pidfd == FD_PIDFD_DEAD:
        cite("remote-no-mm")
        return ESRCH
    there = facts.kthread_visible if pidfd == FD_PIDFD_KTHREAD else process.remote is not None
    if pidfd not in (FD_PIDFD_KTHREAD, FD_PIDFD_REMOTE) or not there:
        cite("remote-bad-pidfd")
        return EBADF
    return 0


def access(process: Process, pidfd: int) -> AddressSpace | int:
    """mm_access() of a task that was found: its address space, or a positive errno."""
    if pidfd in (FD_PIDFD_ZOMBIE, FD_PIDFD_KTHREAD):
        cite("remote-no-mm")
        if pidfd == FD_PIDFD_ZOMBIE:
            met("remote-zombie")
        elif pidfd == FD_PIDFD_KTHREAD:
            met("remote-kernel-thread")
        return ESRCH
    if pidfd != FD_PIDFD_REMOTE or process.remote is None:
        return process.space
    if process.space.pause is not None:
        process.space.pause(TASK, 0, None)
    if process.gone:
        cite("remote-no-mm")
        return ESRCH
    if not process.facts.remote_readable:
        cite("remote-ptrace-read")
        return EACCES
    met("remote-addresses")
    return process.remote


def check_remote(process: Process, space: AddressSpace, advice: int) -> int:
    """May this advice go to that address space? 0 or a positive errno."""
    if space is process.space:
        return EPERM if process.facts.self_needs_nice and not process.facts.cap_sys_nice else 0
    row = BY_VALUE.get(advice)
    if row is None or not row.remote:
        cite("remote-advices")
        return EINVAL
    if not process.facts.cap_sys_nice:
        cite("remote-sys-nice")
        return EPERM
    return 0
