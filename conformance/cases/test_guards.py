"""GUARD_INSTALL and GUARD_REMOVE."""

from __future__ import annotations

import pytest

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EFAULT, EINVAL
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import MEMFD, locked, madvise, memfd, perf, read, vvar, written
from conformance.program.call import Fork, TouchPages
from conformance.program.mapping import Lock, Mapping, Mark, Prot
from conformance.program.outcome import PAGE_GUARD

SIGSEGV = 11


@pytest.mark.requirement("guard-fatal")
def test_reading_and_writing_a_guard_is_fatal_and_calls_get_efault(kernel: Kernel) -> None:
    seen = kernel.run(
        (written(0, 3),),
        madvise(1, 1, "GUARD_INSTALL"),
        read(0, 3),
        TouchPages(1),
        madvise(0, 3, "POPULATE_READ"),
    )
    assert seen.results == (0, -(SIGSEGV << 16 | 1), -(SIGSEGV << 16), -EFAULT)


@pytest.mark.requirement("madvise-guard-kind")
@pytest.mark.parametrize("name", ["GUARD_INSTALL", "GUARD_REMOVE"])
def test_special_memory_takes_no_guards(kernel: Kernel, name: str) -> None:
    seen = kernel.run((perf(0), vvar(8)), madvise(0, 5, name), madvise(8, 1, name))
    assert seen.results == (-EINVAL, -EINVAL)


@pytest.mark.requirement("madvise-guard-locked")
def test_locked_memory_takes_no_guards(kernel: Kernel) -> None:
    layout = (locked(0, 2),)
    seen = kernel.run(layout, madvise(0, 2, "GUARD_INSTALL"), madvise(0, 2, "GUARD_REMOVE"))
    assert seen.results == (-EINVAL, 0)
    assert seen.after(1).present(0, 1) == [True, True]


@pytest.mark.requirement("madvise-guard-remove-locked")
def test_guards_are_removed_from_sealed_memory(kernel: Kernel) -> None:
    guard = Mark(0, 2, advice=102)
    layout: tuple[Mapping, ...] = (written(0, 2, marks=(guard,), sealed=True),)
    seen = kernel.run(layout, madvise(0, 2, "GUARD_REMOVE"), read(0, 2))
    assert seen.results == (0, 2)
    assert seen.after(1).contents(0, 1) == [0, 0]


@pytest.mark.requirement("madvise-guard-remove-locked")
def test_guards_are_removed_from_locked_memory(kernel: Kernel) -> None:
    layout = (written(0, 2, lock=Lock.LOCKED),)
    seen = kernel.run(layout, madvise(0, 2, "GUARD_REMOVE"))
    assert seen.results == (0,)
    assert 0 not in seen.after(0).contents(0, 1)


@pytest.mark.requirement("madvise-guard-file")
def test_files_take_guards_since_6_15(kernel: Kernel) -> None:
    seen = kernel.run((memfd(0, 2),), madvise(1, 1, "GUARD_INSTALL"), files=MEMFD)
    if kernel.target.facts.guard_file:
        assert seen.results == (0,)
        assert seen.after(0).page(1) & PAGE_GUARD
    else:
        assert seen.results == (-EINVAL,)


@pytest.mark.requirement("madvise-guard-flag")
def test_the_whole_vma_carries_the_flag_and_is_not_cut(kernel: Kernel) -> None:
    if not kernel.target.facts.guard_flag:
        kernel.lacks("a guard flag on VMAs")
    calls = (madvise(1, 1, "GUARD_INSTALL"), madvise(1, 1, "GUARD_REMOVE"))
    seen = kernel.run((written(0, 3),), *calls)
    for step in (0, 1):
        assert seen.after(step).extents() == [(0, 3)]
        assert seen.after(step).flags(0) & f.GU


@pytest.mark.requirement("madvise-guard-remove")
def test_only_guards_are_removed(kernel: Kernel) -> None:
    calls = (madvise(1, 1, "GUARD_INSTALL"), madvise(0, 3, "GUARD_REMOVE"))
    seen = kernel.run((written(0, 3),), read(0, 3), *calls, read(0, 3))
    assert seen.results == (3, 0, 0, 3)
    assert not seen.after(2).page(1) & PAGE_GUARD
    before, after = seen.after(0), seen.after(3)
    assert after.contents(0, 1, 2) == [before.contents(0)[0], 0, before.contents(2)[0]]


@pytest.mark.requirement("fork-guards")
def test_a_child_finds_the_guards(kernel: Kernel) -> None:
    seen = kernel.run((written(0, 3),), madvise(1, 1, "GUARD_INSTALL"), Fork())
    child = seen.after(1, child=True)
    assert child.page(1) & PAGE_GUARD
    assert child.contents(0, 2) == seen.after(1).contents(0, 2)


@pytest.mark.requirement("madvise-guard-content")
def test_memory_without_access_takes_guards(kernel: Kernel) -> None:
    layout = (written(0, 2, marks=(Mark(0, 2, prot=Prot.NONE),)),)
    seen = kernel.run(layout, madvise(0, 2, "GUARD_INSTALL"))
    assert seen.results == (0,)
    assert seen.after(0).page(0) & PAGE_GUARD
