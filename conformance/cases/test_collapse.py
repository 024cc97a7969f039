"""COLLAPSE, and where huge pages may come from by themselves."""

from __future__ import annotations

import pytest

from conformance.abi.errnos import EINVAL
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import HUGE, anon, madvise, memfd, read, written
from conformance.program.call import TouchPages
from conformance.program.mapping import Backing, FileSlot, Touch
from conformance.target.target import Target

TWO = 2 * HUGE  # pages


@pytest.fixture(autouse=True)
def huge_pages(target: Target) -> None:
    """Asked before a case has its kernel."""
    if target.facts.thp == "absent":
        pytest.skip(f"{target.name} has no transparent huge pages")


@pytest.mark.requirement("madvise-collapse-content")
def test_collapsed_memory_holds_what_it_held_and_zeros(kernel: Kernel) -> None:
    layout = (anon(HUGE, TWO, touches=(Touch(3), Touch(HUGE + 5))),)
    seen = kernel.run(layout, read(HUGE + 3), madvise(HUGE, TWO, "COLLAPSE"))
    assert seen.results == (1, 0)
    after = seen.after(1)
    assert all(after.present(HUGE, HUGE + 1, 2 * HUGE - 1, 3 * HUGE - 1))
    assert after.contents(HUGE, HUGE + 1) == [0, 0]
    assert after.contents(HUGE + 3) == seen.after(0).contents(HUGE + 3) != [0]


@pytest.mark.requirement("madvise-collapse-small")
def test_memory_without_room_for_a_huge_page(kernel: Kernel) -> None:
    seen = kernel.run((written(0, 8),), madvise(0, 8, "COLLAPSE"))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("madvise-collapse-kind")
def test_memory_that_asked_for_no_huge_pages(kernel: Kernel) -> None:
    layout = (anon(HUGE, HUGE, touches=(Touch(0),)),)
    calls = (madvise(HUGE, HUGE, "NOHUGEPAGE"), madvise(HUGE, HUGE, "COLLAPSE"))
    seen = kernel.run(layout, *calls)
    assert seen.results == (0, -EINVAL)
    assert not seen.after(1).present(HUGE + 1)[0]


@pytest.mark.requirement("madvise-collapse-untouched")
def test_memory_that_nobody_wrote_to(kernel: Kernel) -> None:
    if not kernel.target.facts.collapse_needs_anon_vma:
        kernel.lacks("a COLLAPSE that wants written memory")
    seen = kernel.run((anon(HUGE, HUGE),), madvise(HUGE, HUGE, "COLLAPSE"))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("madvise-collapse-nothing")
def test_a_range_that_holds_no_huge_page(kernel: Kernel) -> None:
    layout = (anon(HUGE, TWO, touches=(Touch(0),)),)
    across = madvise(2 * HUGE - 4, 8, "COLLAPSE")
    inside = madvise(HUGE + 4, 8, "COLLAPSE")
    seen = kernel.run(layout, across, inside)
    below = 0 if kernel.target.facts.collapse_below_pmd_ok else -EINVAL
    assert seen.results == (0, below)
    assert not seen.after(1).present(HUGE + 5)[0]


@pytest.mark.requirement("madvise-collapse-empty")
def test_a_huge_page_of_which_nothing_is_there(kernel: Kernel) -> None:
    layout = (anon(HUGE, TWO, touches=(Touch(HUGE),)),)
    seen = kernel.run(layout, madvise(HUGE, TWO, "COLLAPSE"))
    assert seen.results == (-EINVAL,)
    goes_on = kernel.target.facts.collapse_passes_holes
    assert seen.after(0).present(HUGE, 2 * HUGE + 1) == [False, goes_on]


@pytest.mark.requirement("touch-huge")
def test_a_touch_may_bring_a_huge_page(kernel: Kernel) -> None:
    if kernel.target.facts.thp == "never":
        kernel.lacks("huge pages by faults")
    calls = (madvise(HUGE, HUGE, "HUGEPAGE"), TouchPages(HUGE + 7))
    seen = kernel.run((anon(HUGE, HUGE),), *calls)
    assert seen.results == (0, 1)
    after = seen.after(1)
    others = [page for page in range(HUGE, 2 * HUGE) if page != HUGE + 7]
    assert after.present(HUGE + 7) == [True]
    assert len(set(after.present(*others))) == 1
    assert set(after.contents(*others)) == {0}


@pytest.mark.requirement("khugepaged-may-collapse")
def test_what_khugepaged_may_add_is_zero(kernel: Kernel) -> None:
    if kernel.target.facts.thp == "never":
        kernel.lacks("khugepaged")
    layout = (anon(HUGE, HUGE, touches=(Touch(9),)),)
    seen = kernel.run(layout, madvise(HUGE, HUGE, "HUGEPAGE"), read(HUGE + 9))
    after = seen.after(1)
    assert after.contents(HUGE + 9) != [0]
    assert set(after.contents(HUGE + 8, HUGE + 10)) == {0}


@pytest.mark.requirement("madvise-collapse-small")
def test_a_small_mapping_of_a_file(kernel: Kernel) -> None:
    files = (FileSlot(Backing.MEMFD, 8),)
    seen = kernel.run((memfd(0, 8),), madvise(0, 8, "COLLAPSE"), files=files)
    assert seen.results == (-EINVAL,)
