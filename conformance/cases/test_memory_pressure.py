"""Memory that the kernel takes back when it is short of it: in guests, whose programs have a
memory cgroup of their own."""

from __future__ import annotations

import pytest

from conformance.cases.conftest import Kernel
from conformance.cases.layouts import locked, madvise, written
from conformance.program.call import Reclaim
from conformance.program.outcome import PAGE_PRESENT, PAGE_SWAP
from conformance.target.target import Target


@pytest.fixture(autouse=True)
def under_pressure(target: Target) -> None:
    """Asked before a case has its kernel."""
    if not target.facts.memcg_reclaim:
        pytest.skip(f"{target.name} has no memory cgroup of its own to reclaim from")


@pytest.mark.requirement("reclaim-effect")
def test_what_was_freed_goes_first_and_nothing_else_is_lost(kernel: Kernel) -> None:
    seen = kernel.run((written(0, 8),), madvise(0, 4, "FREE"), Reclaim())
    assert seen.results == (0, 0)
    before, after = seen.after(0), seen.after(1)
    gone = [page for page in range(4) if not after.page(page) & (PAGE_PRESENT | PAGE_SWAP)]
    assert gone, "nothing was reclaimed"
    kept = [page for page in range(4, 8) if after.page(page) & PAGE_PRESENT]
    assert all(after.page(page) == before.page(page) for page in kept)
    assert after.extents() == before.extents()
    if not kernel.target.facts.swap:
        assert kept == [4, 5, 6, 7], "there is nowhere else to keep them"


@pytest.mark.requirement("reclaim-effect")
def test_locked_pages_stay(kernel: Kernel) -> None:
    seen = kernel.run((locked(0, 2), written(2, 2)), madvise(2, 2, "COLD"), Reclaim())
    assert seen.results == (0, 0)
    for page in (0, 1):
        assert seen.after(1).page(page) == seen.after(0).page(page)
        assert seen.after(1).page(page) & PAGE_PRESENT
