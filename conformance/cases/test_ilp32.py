"""Calls of an ILP32 process on a 64-bit kernel."""

from __future__ import annotations

import pytest

from conformance.abi.errnos import EINVAL, ENOMEM
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import anon, madvise, multi, single, span, vector, written
from conformance.program.call import PER_RANGE_USUAL, IoRange, Madvise, ProcessMadvise, Step
from conformance.program.kernel_facts import RangesCall
from conformance.program.outcome import PAGE_PRESENT
from conformance.program.places import PAGE
from conformance.target.target import Target

HIGH = 0x5555_0000_0000_0000


@pytest.fixture(autouse=True)
def ilp32(target: Target, request: pytest.FixtureRequest) -> None:
    """Asked before a case has its kernel."""
    if not target.facts.ilp32_calls:
        pytest.skip(f"{target.name} makes no calls of i386")
    shim = target.facts.ranges_call is RangesCall.SHIM
    if shim and "ranges" in request.fixturenames:
        pytest.skip(f"{target.name}: the shim is a function of 64-bit programs")


def present(kernel: Kernel, *steps: Step) -> tuple[tuple[int, ...], list[bool]]:
    seen = kernel.run((written(0, 4),), *steps)
    last = seen.after(len(steps) - 1)
    return seen.results, [bool(last.page(page) & PAGE_PRESENT) for page in range(4)]


@pytest.mark.requirement("madvise-compat")
def test_the_upper_half_of_a_register_is_not_looked_at(kernel: Kernel) -> None:
    usual = madvise(1, 2, "DONTNEED")
    call = Madvise(usual.start + HIGH, usual.length + HIGH, usual.advice, ilp32=True)
    assert present(kernel, call) == ((0,), [True, False, False, True])


@pytest.mark.requirement("process-madvise-compat")
def test_iovecs_have_8_bytes_and_2_gib_are_negative(kernel: Kernel) -> None:
    good = vector("DONTNEED", (0, 1), (2, 1), ilp32=True)
    bad = ProcessMadvise(good.advice, (good.vec[0], IoRange(good.vec[1].start, 1 << 31)))
    bad = ProcessMadvise(bad.advice, bad.vec, ilp32=True)
    assert present(kernel, bad, good) == ((-EINVAL, 2 * PAGE), [False, True, False, True])


@pytest.mark.requirement("abi-compat")
def test_structs_are_those_of_ilp32(ranges: Kernel) -> None:
    call = multi(
        span(0, 1, "DONTNEED"), span(2, 4, "COLD"), per_range_at=PER_RANGE_USUAL, ilp32=True
    )
    seen = ranges.run((written(0, 4),), call, single(span(3, 1, "DONTNEED"), ilp32=True))
    assert seen.results == (0, 0)
    assert len(seen.written(0, "stats")) == 36
    stats = seen.stats(0)
    assert (stats["nr_pages_advised"], stats["nr_gaps"]) == (3, 1)
    assert seen.element(0, 1)["range.size"] == 4 * PAGE
    assert not seen.after(1).page(3) & PAGE_PRESENT


@pytest.mark.requirement("madvise-compat")
def test_start_and_length_do_not_wrap_at_4_gib(kernel: Kernel) -> None:
    """A 64-bit caller's range to the end of its addresses wraps: EINVAL. Here it is a gap."""
    cold = madvise(0, 1, "COLD").advice
    seen = kernel.run((anon(0, 1),), Madvise((1 << 32) - PAGE, 2 * PAGE, cold, ilp32=True))
    assert seen.results == (-ENOMEM,)
