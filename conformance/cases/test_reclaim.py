"""COLD, PAGEOUT and WILLNEED: nothing that a program holds changes."""

from __future__ import annotations

import pytest

from conformance.abi.errnos import EBADF, EINVAL
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import (
    HUGE,
    MEMFD,
    anon,
    hugetlb,
    locked,
    madvise,
    memfd,
    perf,
    read,
    shared,
    vvar,
    written,
)
from conformance.program.mapping import Prot, Touch
from conformance.program.outcome import PAGE_PRESENT

LAYOUT = (written(0, 4), shared(4, 4), memfd(8, 4, touches=(Touch(0, 4),)))
READ = read(0, 12)


@pytest.mark.requirement("madvise-cold-kept", "madvise-content-kept")
def test_cold_leaves_every_page_where_it_is(kernel: Kernel) -> None:
    seen = kernel.run(LAYOUT, READ, madvise(0, 12, "COLD"), files=MEMFD)
    assert seen.results == (12, 0)
    assert seen.after(1).snapshot.pages == seen.after(0).snapshot.pages


@pytest.mark.requirement("madvise-pageout-kept")
def test_what_is_paged_out_reads_as_before(kernel: Kernel) -> None:
    seen = kernel.run(LAYOUT, READ, madvise(0, 12, "PAGEOUT"), READ, files=MEMFD)
    assert seen.results == (12, 0, 12)
    held = [seen.after(step).contents(*range(12)) for step in (0, 2)]
    assert held[0] == held[1]
    assert 0 not in held[0]


@pytest.mark.requirement("madvise-cold-locked")
@pytest.mark.parametrize("name", ["COLD", "PAGEOUT"])
def test_locked_memory_stays_where_it_is(kernel: Kernel, name: str) -> None:
    seen = kernel.run((written(0, 1), locked(1, 2)), madvise(0, 3, name))
    assert seen.results == (-EINVAL,)
    assert seen.after(0).page(1) & PAGE_PRESENT


@pytest.mark.requirement("madvise-cold-pfn")
@pytest.mark.parametrize("name", ["COLD", "PAGEOUT"])
def test_page_frames_do_not_age(kernel: Kernel, name: str) -> None:
    seen = kernel.run((perf(0), anon(6, 1)), madvise(0, 5, name))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("madvise-cold-hugetlb")
@pytest.mark.parametrize("name", ["COLD", "PAGEOUT"])
def test_huge_pages_of_hugetlb_do_not_age(kernel: Kernel, name: str) -> None:
    seen = kernel.run((hugetlb(),), madvise(HUGE, HUGE, name))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("madvise-willneed-kept")
def test_willneed_takes_memory_of_every_kind(kernel: Kernel) -> None:
    if not kernel.target.facts.config_swap:
        kernel.lacks("CONFIG_SWAP")
    layout = (written(0, 2), anon(2, 2, prot=Prot.NONE), locked(4, 2), memfd(6, 2), vvar(8))
    seen = kernel.run(layout, read(0, 2), madvise(0, 9, "WILLNEED"), files=MEMFD)
    assert seen.results == (2, 0)
    assert seen.after(1).snapshot.pages[:6] == seen.after(0).snapshot.pages[:6]


@pytest.mark.requirement("madvise-willneed-noswap")
def test_without_swap_there_is_nothing_to_read_in(kernel: Kernel) -> None:
    if kernel.target.facts.config_swap:
        kernel.lacks("a kernel without CONFIG_SWAP")
    seen = kernel.run((written(0, 2),), madvise(0, 2, "WILLNEED"))
    assert seen.results == (-EBADF,)
