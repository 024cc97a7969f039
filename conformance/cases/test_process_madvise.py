"""process_madvise(2): what it returns, and what it looks at first."""

from __future__ import annotations

import pytest

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EBADF, EFAULT, EINVAL, ENOMEM, ESRCH
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import anon, vector
from conformance.program.places import FD_NOT_PIDFD, FD_PIDFD_DEAD, PAGE, UNMAPPED


@pytest.mark.requirement("process-madvise-bytes")
def test_the_bytes_of_all_elements_are_returned(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 4),), vector("COLD", (0, 1), (2, 2)))
    assert seen.results == (3 * PAGE,)


@pytest.mark.requirement("process-madvise-partial")
def test_an_element_with_a_gap_is_applied_and_not_counted(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 2), anon(3, 1)), vector("SEQUENTIAL", (0, 1), (1, 3)))
    assert seen.results == (PAGE,)
    assert seen.after(0).flags(3) & f.SR


@pytest.mark.requirement("process-madvise-count")
def test_more_than_1024_elements_are_too_many(kernel: Kernel) -> None:
    full = vector("COLD", *[(0, 1)] * 1024)
    over = vector("COLD", *[(0, 1)] * 1025)
    seen = kernel.run((anon(0, 1),), full, over)
    assert seen.results == (1024 * PAGE, -EINVAL)


@pytest.mark.requirement("process-madvise-flags")
def test_flags_must_be_zero(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 1),), vector("COLD", (0, 1), flags=1))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("process-madvise-vec-fault")
def test_the_vector_must_be_readable(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 1),), vector("COLD", vec_at=UNMAPPED, count=1))
    assert seen.results == (-EFAULT,)


@pytest.mark.requirement("process-madvise-zero-later")
def test_empty_elements_change_nothing(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 2),), vector("COLD", (0, 1), (9, 0), (1, 1)))
    assert seen.results == (2 * PAGE,)


@pytest.mark.requirement("remote-bad-pidfd")
def test_an_ordinary_file_is_no_pidfd(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 1),), vector("COLD", (0, 1), pidfd=FD_NOT_PIDFD))
    assert seen.results == (-EBADF,)


@pytest.mark.requirement("remote-no-mm")
def test_a_process_that_is_gone_cannot_be_advised(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 1),), vector("COLD", (0, 1), pidfd=FD_PIDFD_DEAD))
    assert seen.results == (-ESRCH,)


@pytest.mark.requirement("madvise-gap-enomem")
def test_a_first_element_with_a_gap_is_an_error(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 1),), vector("COLD", (0, 2)))
    assert seen.results == (-ENOMEM,)
