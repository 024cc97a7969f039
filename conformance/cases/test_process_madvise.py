"""process_madvise(2): what it returns, and what it looks at first."""

from __future__ import annotations

import pytest

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EBADF, EFAULT, EINVAL, ENOMEM, ESRCH
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import advice, anon, locked, vector, written
from conformance.program.call import IoRange, ProcessMadvise
from conformance.program.places import (
    FD_NOT_PIDFD,
    FD_PIDFD_DEAD,
    KERNEL,
    PAGE,
    UNMAPPED,
    page_address,
)

COLD = advice("COLD")
NO_ADVICE = 77
MAX_RW_COUNT = 0x7FFF_F000  # bytes


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


@pytest.mark.requirement("process-madvise-order", "process-madvise-as-madvise")
def test_later_elements_see_what_earlier_ones_did(kernel: Kernel) -> None:
    self_any(kernel)
    seen = kernel.run((anon(0, 4),), vector("RANDOM", (0, 4), (1, 2)), vector("NORMAL", (1, 2)))
    assert seen.results == (6 * PAGE, 2 * PAGE)
    assert seen.after(0).extents() == [(0, 4)]
    assert seen.after(1).extents() == [(0, 1), (1, 3), (3, 4)]


@pytest.mark.requirement("process-madvise-empty")
def test_a_vector_without_a_byte_is_fine(kernel: Kernel) -> None:
    empty = ProcessMadvise(COLD, vec_at=UNMAPPED)
    seen = kernel.run((anon(0, 1),), empty, vector("COLD", (0, 0), (9, 0)))
    assert seen.results == (0, 0)


@pytest.mark.requirement("process-madvise-zero-first")
def test_an_empty_first_element_must_be_aligned(kernel: Kernel) -> None:
    odd, good = IoRange(page_address(0) + 1, 0), IoRange(page_address(0), PAGE)
    first, later = ProcessMadvise(COLD, (odd, good)), ProcessMadvise(COLD, (good, odd))
    seen = kernel.run((anon(0, 1),), first, later)
    assert seen.results == (-EINVAL, PAGE)


@pytest.mark.requirement("process-madvise-unrounded")
def test_lengths_count_as_they_were_given(kernel: Kernel) -> None:
    self_any(kernel)
    call = ProcessMadvise(advice("DONTNEED"), (IoRange(page_address(0), PAGE + 1),))
    seen = kernel.run((written(0, 3),), call)
    assert seen.results == (PAGE + 1,)
    assert seen.after(0).present(0, 1, 2) == [False, False, True]


@pytest.mark.requirement("process-madvise-error-first")
def test_the_error_of_the_first_element_is_told(kernel: Kernel) -> None:
    seen = kernel.run((locked(0, 1), anon(2, 1)), vector("COLD", (0, 1), (2, 1)))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("process-madvise-self-any")
def test_oneself_takes_every_advice_since_6_13(kernel: Kernel) -> None:
    seen = kernel.run((written(0, 2),), vector("DONTNEED", (0, 1)))
    if kernel.target.facts.self_any_advice:
        assert seen.results == (PAGE,)
        assert seen.after(0).present(0, 1) == [False, True]
    else:
        assert seen.results == (-EINVAL,)
        assert seen.after(0).present(0, 1) == [True, True]


@pytest.mark.requirement("process-madvise-one-clamped", "process-madvise-clamped")
def test_a_single_element_is_cut_before_it_is_checked(kernel: Kernel) -> None:
    if not kernel.target.facts.iovec_one_clamped:
        kernel.lacks("a single element that is cut (6.4)")
    huge = IoRange(page_address(0), 1 << 62)
    one = ProcessMadvise(COLD, (huge,))
    two = ProcessMadvise(COLD, (huge, IoRange(page_address(0), PAGE)))
    seen = kernel.run((anon(0, 1),), one, two, whole=True)
    assert seen.results == (-ENOMEM, -EFAULT)


@pytest.mark.requirement("process-madvise-clamped")
def test_what_is_beyond_2_gib_is_cut_off_in_silence(kernel: Kernel) -> None:
    layout = (written(0, 2),)
    most = IoRange(page_address(4), MAX_RW_COUNT - PAGE)
    both = ProcessMadvise(COLD, (IoRange(page_address(0), PAGE), most, most))
    seen = kernel.run(layout, both, whole=True)
    assert seen.results == (PAGE,)


@pytest.mark.requirement("process-madvise-count-truncated")
def test_the_count_is_cut_to_32_bits(kernel: Kernel) -> None:
    vec = (IoRange(page_address(0), PAGE),)
    calls = [ProcessMadvise(COLD, vec, count=count) for count in (1 << 32, (1 << 32) + 1)]
    seen = kernel.run((anon(0, 1),), *calls)
    assert seen.results == (0, PAGE)


@pytest.mark.requirement("process-madvise-negative-length")
def test_no_length_is_negative(kernel: Kernel) -> None:
    good, bad = IoRange(page_address(0), PAGE), IoRange(page_address(0), 1 << 63)
    seen = kernel.run(
        (anon(0, 1),), ProcessMadvise(COLD, (good, bad)), ProcessMadvise(COLD, (bad,))
    )
    assert seen.results == (-EINVAL, -EINVAL)


@pytest.mark.requirement("process-madvise-access-ok")
def test_no_element_reaches_beyond_user_addresses(kernel: Kernel) -> None:
    good, bad = IoRange(page_address(0), PAGE), IoRange(KERNEL, PAGE)
    seen = kernel.run(
        (anon(0, 1),), ProcessMadvise(COLD, (good, bad)), ProcessMadvise(COLD, (bad,))
    )
    assert seen.results == (-EFAULT, -EFAULT)


@pytest.mark.requirement("process-madvise-advice-invalid")
def test_an_advice_must_exist(kernel: Kernel) -> None:
    call = ProcessMadvise(NO_ADVICE, (IoRange(page_address(0), PAGE),))
    seen = kernel.run((anon(0, 1),), call)
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("process-madvise-pidfd-first")
@pytest.mark.parametrize(("pidfd", "error"), [(FD_NOT_PIDFD, EBADF), (FD_PIDFD_DEAD, ESRCH)])
def test_the_process_is_looked_up_before_the_advice(kernel: Kernel, pidfd: int, error: int) -> None:
    call = ProcessMadvise(NO_ADVICE, (IoRange(page_address(0), PAGE),), pidfd=pidfd)
    seen = kernel.run((anon(0, 1),), call)
    assert seen.results == (-error,)


def self_any(kernel: Kernel) -> None:
    """Skip where oneself takes only what another process takes."""
    if not kernel.target.facts.self_any_advice:
        kernel.lacks("other advices of process_madvise() on oneself (6.13)")
