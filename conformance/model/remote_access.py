"""Which address space a pidfd gives access to. Source: pidfd_get_task(), mm_access()."""

from __future__ import annotations

from conformance.abi.advice import BY_VALUE
from conformance.abi.errnos import EACCES, EBADF, EINVAL, EPERM, ESRCH
from conformance.model.address_space import AddressSpace
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
    facts = process.facts
    if pidfd == FD_PIDFD_SELF:
        met("remote-self")
        return process.space
    if pidfd in (PIDFD_SELF_THREAD, PIDFD_SELF_GROUP) and facts.pidfd_self:
        cite("remote-pidfd-self")
        return process.space
    if pidfd in (FD_PIDFD_DEAD, FD_PIDFD_ZOMBIE) or (
        pidfd == FD_PIDFD_KTHREAD and facts.kthread_visible
    ):
        cite("remote-no-mm")
        if pidfd == FD_PIDFD_ZOMBIE:
            met("remote-zombie")
        elif pidfd == FD_PIDFD_KTHREAD:
            met("remote-kernel-thread")
        return ESRCH
    if pidfd != FD_PIDFD_REMOTE or process.remote is None:
        cite("remote-bad-pidfd")
        return EBADF
    if not facts.remote_readable:
        cite("remote-ptrace-read")
        return EACCES
    met("remote-addresses")
    return process.remote


def check_remote(process: Process, space: AddressSpace, advice: int) -> int:
    """May this advice go to that address space? 0 or a positive errno."""
    if space is process.space:
        return 0
    row = BY_VALUE.get(advice)
    if row is None or not row.remote:
        cite("remote-advices")
        return EINVAL
    if not process.facts.cap_sys_nice:
        cite("remote-sys-nice")
        return EPERM
    return 0
