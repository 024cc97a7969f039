"""HWPOISON and SOFT_OFFLINE of memory that is in use: on kernels that can be thrown away."""

from __future__ import annotations

import pytest

from conformance.abi.errnos import EBUSY, EFAULT, EHWPOISON
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import MEMFD, anon, madvise, memfd, written
from conformance.program.call import TouchPages
from conformance.program.content import write_tag
from conformance.program.mapping import Touch
from conformance.program.outcome import MEMORY_ERROR, PAGE_PRESENT
from conformance.target.registry import is_guest
from conformance.target.target import Target

SIGBUS = 7


@pytest.fixture(autouse=True)
def disposable(target: Target) -> None:
    """Asked before a case has its kernel."""
    if not is_guest(target.name):
        pytest.skip(f"{target.name} is a machine that people use")


@pytest.mark.requirement("madvise-hwpoison-kills")
def test_a_poisoned_page_is_gone_and_access_to_it_is_sigbus(poisonable: Kernel) -> None:
    seen = poisonable.run((written(0, 3),), madvise(1, 1, "HWPOISON"), TouchPages(0, 3))
    assert seen.results == (-MEMORY_ERROR, -(SIGBUS << 16 | 1))
    assert not seen.after(1).page(1) & PAGE_PRESENT
    assert seen.after(1).page(2) & PAGE_PRESENT


@pytest.mark.requirement("madvise-hwpoison-kills")
@pytest.mark.parametrize("name", ["DONTNEED", "FREE", "DONTNEED_LOCKED"])
def test_discards_take_the_marker_away(poisonable: Kernel, name: str) -> None:
    again = TouchPages(0, 1)
    seen = poisonable.run((written(0, 1),), madvise(0, 1, "HWPOISON"), madvise(0, 1, name), again)
    assert seen.results == (-MEMORY_ERROR, 0, 1)


@pytest.mark.requirement("madvise-populate-poison")
def test_populate_stops_at_a_poisoned_page(poisonable: Kernel) -> None:
    populate = madvise(0, 3, "POPULATE_WRITE")
    seen = poisonable.run(
        (written(1, 1), anon(0, 1), anon(2, 1)), madvise(1, 1, "HWPOISON"), populate
    )
    assert seen.results == (-MEMORY_ERROR, -EHWPOISON)
    last = seen.after(1)
    assert (bool(last.page(0) & PAGE_PRESENT), bool(last.page(2) & PAGE_PRESENT)) == (True, False)


@pytest.mark.requirement("madvise-soft-offline-content")
def test_soft_offline_keeps_the_content(poisonable: Kernel) -> None:
    seen = poisonable.run((written(0, 2),), madvise(0, 1, "COLD"), madvise(0, 2, "SOFT_OFFLINE"))
    busy = -EBUSY if poisonable.target.facts.lru_gen else 0  # in a batch, or out of it by now
    assert seen.results in ((0, 0), (0, busy))
    assert [seen.after(1).page(page) for page in (0, 1)] == [
        seen.after(0).page(page) for page in (0, 1)
    ]


@pytest.mark.requirement("madvise-soft-offline-content")
def test_soft_offline_of_a_file_keeps_the_content(poisonable: Kernel) -> None:
    mapping = memfd(0, 2, touches=(Touch(0, 2),))
    seen = poisonable.run((mapping,), madvise(0, 2, "SOFT_OFFLINE"), TouchPages(0, 2, False),
                          files=MEMFD)  # fmt: skip
    assert seen.results == (0, 2)
    assert seen.after(1).contents(0, 1) == [write_tag(2, 0), write_tag(2, 1)]


@pytest.mark.requirement("madvise-poison-zero")
def test_the_zero_page_cannot_be_poisoned_away(poisonable: Kernel) -> None:
    """The second time it has been poisoned, whatever came of the first."""
    seen = poisonable.run((anon(0, 2),), *(madvise(0, 2, "HWPOISON"),) * 2, TouchPages(0, 2))
    assert seen.results[1:] == (-EHWPOISON - MEMORY_ERROR, 2)


@pytest.mark.requirement("madvise-poison-zero")
def test_a_zero_page_that_was_poisoned_is_passed_over(poisonable: Kernel) -> None:
    seen = poisonable.run(
        (anon(0, 1), written(1, 1)), madvise(0, 1, "HWPOISON"), madvise(0, 2, "SOFT_OFFLINE")
    )
    assert seen.results[1] == 0
    assert seen.after(1).present(0, 1) == [True, True]


@pytest.mark.requirement("madvise-poison-unmapped")
def test_pages_before_a_hole_are_poisoned(poisonable: Kernel) -> None:
    seen = poisonable.run((written(0, 1),), madvise(0, 2, "HWPOISON"), madvise(0, 1, "HWPOISON"))
    assert seen.results == (-EFAULT - MEMORY_ERROR, -EFAULT)
