"""What may be done to another process, and by whom."""

from __future__ import annotations

import pytest

from conformance.abi.errnos import EACCES, EINVAL, EPERM
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import single, span, vector, written
from conformance.program.call import Madvise, MadviseRanges, ProcessMadvise
from conformance.program.places import FD_PIDFD_REMOTE, PAGE, UNMAPPED
from conformance.program.program import Rights
from conformance.target.target import Target

HWPOISON = 100


def to_other(name: str) -> ProcessMadvise:
    return vector(name, (0, 1), pidfd=FD_PIDFD_REMOTE)


def ranges_to_other(name: str) -> MadviseRanges:
    return single(span(0, 1, name), pidfd=FD_PIDFD_REMOTE, is_remote=True)


@pytest.fixture
def two_users(target: Target) -> None:
    """Asked before a case has its kernel."""
    if not target.facts.change_user or not target.facts.remote_readable:
        pytest.skip(f"{target.name}: nobody here may become another user")


@pytest.mark.requirement("remote-sys-nice")
def test_advising_another_process_wants_cap_sys_nice(kernel: Kernel) -> None:
    layout, rights = (written(0, 1),), Rights.NO_SYS_NICE
    seen = kernel.run(layout, to_other("COLD"), to_other("DONTNEED"), rights=rights)
    assert seen.results == (-EPERM, -EINVAL)


@pytest.mark.usefixtures("two_users")
@pytest.mark.requirement("remote-ptrace-read")
def test_another_users_process_may_not_be_looked_at(kernel: Kernel) -> None:
    layout, rights = (written(0, 1),), Rights.OTHER_USER
    seen = kernel.run(layout, to_other("COLD"), to_other("DONTNEED"), rights=rights)
    assert seen.results == (-EACCES, -EACCES)


@pytest.mark.usefixtures("two_users")
@pytest.mark.requirement("remote-access")
def test_madvise_ranges_asks_for_the_same_rights(ranges: Kernel) -> None:
    call = ranges_to_other("COLD")
    for rights, error in ((Rights.NO_SYS_NICE, EPERM), (Rights.OTHER_USER, EACCES)):
        seen = ranges.run((written(0, 1),), call, rights=rights)
        assert seen.results == (-error,)


@pytest.mark.requirement("madvise-poison-capability")
def test_poisoning_wants_cap_sys_admin(poisonable: Kernel) -> None:
    call = Madvise(UNMAPPED, PAGE, HWPOISON)
    seen = poisonable.run((written(0, 1),), call, rights=Rights.NO_SYS_ADMIN)
    assert seen.results == (-EPERM,)
