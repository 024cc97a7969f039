"""Where VMAs are cut and where they join: by the three calls, and by the ordinary ones."""

from __future__ import annotations

import pytest

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EINVAL
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import (
    HUGE,
    MEMFD,
    anon,
    hugetlb,
    madvise,
    memfd,
    perf,
    vvar,
    written,
)
from conformance.program.call import Munmap, TouchPages
from conformance.program.places import PAGE, page_address


@pytest.mark.requirement("vma-split", "madvise-effect")
def test_a_vma_is_cut_at_the_edges_of_what_is_advised(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 8),), madvise(2, 3, "RANDOM"))
    assert seen.results == (0,)
    assert seen.after(0).extents() == [(0, 2), (2, 5), (5, 8)]


@pytest.mark.requirement("vma-merge")
def test_neighbours_that_become_alike_become_one(kernel: Kernel) -> None:
    seen = kernel.run((written(0, 6),), madvise(2, 2, "RANDOM"), madvise(2, 2, "NORMAL"))
    assert seen.results == (0, 0)
    assert seen.after(1).extents() == [(0, 6)]


@pytest.mark.requirement("vma-merge-anon-vma")
def test_neighbours_that_were_written_apart_stay_two(kernel: Kernel) -> None:
    layout = (anon(0, 4),)
    apart = kernel.run(
        layout, madvise(2, 2, "RANDOM"), TouchPages(0), TouchPages(2), madvise(2, 2, "NORMAL")
    )
    together = kernel.run(
        layout, TouchPages(0), madvise(2, 2, "RANDOM"), TouchPages(2), madvise(2, 2, "NORMAL")
    )
    assert apart.after(3).flags(0) == apart.after(3).flags(2)
    assert apart.after(3).extents() == [(0, 2), (2, 4)]
    assert together.after(3).extents() == [(0, 4)]


@pytest.mark.requirement("vma-merge-file")
def test_pages_of_a_file_that_do_not_follow_each_other_stay_two(kernel: Kernel) -> None:
    layout = (memfd(0, 1), memfd(1, 1, offset=5), memfd(2, 1, offset=6))
    seen = kernel.run(layout, madvise(0, 3, "NORMAL"), files=MEMFD)
    assert seen.after(0).extents() == [(0, 1), (1, 3)]


@pytest.mark.requirement("vma-split-special")
def test_special_memory_cannot_be_cut(kernel: Kernel) -> None:
    layout = (perf(0), vvar(8))
    cut = Munmap(page_address(1), PAGE)
    seen = kernel.run(layout, madvise(1, 2, "RANDOM"), madvise(9, 1, "RANDOM"), cut)
    assert seen.results == (-EINVAL, -EINVAL, -EINVAL)
    assert (0, 5) in seen.after(2).extents()


@pytest.mark.requirement("vma-split-hugetlb")
def test_a_huge_page_cannot_be_cut(kernel: Kernel) -> None:
    seen = kernel.run((hugetlb(),), madvise(HUGE + 1, 4, "RANDOM"), madvise(HUGE, HUGE, "RANDOM"))
    assert seen.results == (-EINVAL, 0)
    assert seen.after(1).extents() == [(HUGE, 2 * HUGE), (2 * HUGE, 3 * HUGE)]


@pytest.mark.requirement("vma-merge-special")
def test_special_memory_never_joins(kernel: Kernel) -> None:
    seen = kernel.run((hugetlb(),), madvise(HUGE, HUGE, "RANDOM"), madvise(HUGE, HUGE, "NORMAL"))
    assert seen.results == (0, 0)
    assert seen.after(1).extents() == [(HUGE, 2 * HUGE), (2 * HUGE, 3 * HUGE)]


@pytest.mark.requirement("vma-merge-sticky")
def test_the_guard_flag_keeps_nothing_apart(kernel: Kernel) -> None:
    if not kernel.target.facts.guard_flag:
        kernel.lacks("a guard flag on VMAs")
    seen = kernel.run(
        (written(0, 4),),
        madvise(2, 2, "RANDOM"),
        madvise(0, 1, "GUARD_INSTALL"),
        madvise(2, 2, "NORMAL"),
    )
    before, last = seen.after(1), seen.after(2)
    assert (before.flags(0) & f.GU, before.flags(2) & f.GU) == (f.GU, 0)
    assert last.extents() == [(0, 4)]
    assert last.flags(0) & f.GU
