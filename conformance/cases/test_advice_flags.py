"""Advices that set and clear VmFlags: which, where, and on which memory not."""

from __future__ import annotations

import pytest

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EAGAIN, EINVAL
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import (
    anon,
    droppable,
    madvise,
    memfd,
    perf,
    shared,
    vector,
    vvar,
    written,
)
from conformance.program.mapping import Backing, FileSlot, Kind, Mapping, Mark, Prot

requirement = pytest.mark.requirement
FILE = (FileSlot(Backing.MEMFD, 4),)
VMAS_MADE = 1000  # by 16 mappings, each of which 32 marks cut into 65


@pytest.mark.parametrize(
    ("name", "before", "sets", "clears"),
    [
        pytest.param("NORMAL", "RANDOM", 0, f.RR, marks=requirement("madvise-normal-flags")),
        pytest.param("NORMAL", "SEQUENTIAL", 0, f.SR, marks=requirement("madvise-normal-flags")),
        pytest.param("RANDOM", "SEQUENTIAL", f.RR, f.SR, marks=requirement("madvise-random-flags")),
        pytest.param(
            "SEQUENTIAL", "RANDOM", f.SR, f.RR, marks=requirement("madvise-sequential-flags")
        ),
        pytest.param("DONTFORK", "", f.DC, 0, marks=requirement("madvise-dontfork-flags")),
        pytest.param("DOFORK", "DONTFORK", 0, f.DC, marks=requirement("madvise-dofork-flags")),
        pytest.param("WIPEONFORK", "", f.WF, 0, marks=requirement("madvise-wipeonfork-flags")),
        pytest.param(
            "KEEPONFORK", "WIPEONFORK", 0, f.WF, marks=requirement("madvise-keeponfork-flags")
        ),
        pytest.param("DONTDUMP", "", f.DD, 0, marks=requirement("madvise-dontdump-flags")),
        pytest.param("DODUMP", "DONTDUMP", 0, f.DD, marks=requirement("madvise-dodump-flags")),
        pytest.param("MERGEABLE", "", f.MG, 0, marks=requirement("madvise-mergeable-flags")),
        pytest.param(
            "UNMERGEABLE", "MERGEABLE", 0, f.MG, marks=requirement("madvise-unmergeable-flags")
        ),
        pytest.param(
            "HUGEPAGE", "NOHUGEPAGE", f.HG, f.NH, marks=requirement("madvise-hugepage-flags")
        ),
        pytest.param(
            "NOHUGEPAGE", "HUGEPAGE", f.NH, f.HG, marks=requirement("madvise-nohugepage-flags")
        ),
    ],
)
def test_an_advice_changes_its_own_flags_in_its_own_part(
    kernel: Kernel, name: str, before: str, sets: int, clears: int
) -> None:
    steps = [madvise(0, 4, before)] if before else [madvise(9, 0, "NORMAL")]
    seen = kernel.run((anon(0, 4),), *steps, madvise(1, 2, name))
    assert seen.results == (0, 0)
    old, new = seen.after(0).flags(1), seen.after(1)
    assert new.flags(1) == old & ~clears | sets != old
    assert [new.flags(page) for page in (0, 3)] == [old, old]
    assert new.extents() == [(0, 1), (1, 3), (3, 4)]


@pytest.mark.requirement("madvise-flags", "process-madvise-as-madvise")
def test_process_madvise_of_oneself_changes_the_same_flags(kernel: Kernel) -> None:
    if not kernel.target.facts.self_any_advice:
        kernel.lacks("other advices of process_madvise() on oneself (6.13)")
    one = kernel.run((anon(0, 4),), madvise(1, 2, "RANDOM"))
    two = kernel.run((anon(0, 4),), vector("RANDOM", (1, 2)))
    assert two.after(0).snapshot.vmas == one.after(0).snapshot.vmas


@pytest.mark.requirement("madvise-flags-unchanged")
def test_an_advice_that_changes_nothing_splits_nothing(kernel: Kernel) -> None:
    seen = kernel.run((vvar(0), anon(8, 3)), madvise(1, 1, "NORMAL"), madvise(9, 1, "DOFORK"))
    assert seen.results == (0, 0)
    assert (8, 11) in seen.after(1).extents()
    assert seen.after(1).extents() == seen.after(0).extents()


@pytest.mark.requirement("madvise-mergeable-flags")
def test_private_memory_of_a_file_can_be_merged(kernel: Kernel) -> None:
    seen = kernel.run((Mapping(Kind.MEMFD, 0, 2),), madvise(0, 2, "MERGEABLE"), files=FILE)
    assert seen.results == (0,)
    assert seen.after(0).flags(0) & f.MG


@pytest.mark.requirement("madvise-mergeable-ignored")
def test_shared_memory_cannot_be_merged_and_nobody_minds(kernel: Kernel) -> None:
    seen = kernel.run((shared(0, 2),), madvise(0, 1, "MERGEABLE"))
    assert seen.results == (0,)
    assert seen.after(0).extents() == [(0, 2)]
    assert not seen.after(0).flags(0) & f.MG


@pytest.mark.requirement("madvise-hugepage-flags")
def test_hugepage_may_be_asked_for_on_a_file_and_in_small_memory(kernel: Kernel) -> None:
    seen = kernel.run((memfd(0, 2),), madvise(0, 2, "HUGEPAGE"), files=FILE)
    assert seen.results == (0,)
    assert seen.after(0).flags(0) & f.HG


@pytest.mark.requirement("madvise-dofork-special")
def test_dofork_of_device_memory_is_refused(kernel: Kernel) -> None:
    facts = kernel.target.facts
    if not facts.vvar_flags & f.IO and not facts.dofork_refuses_special:
        kernel.lacks("a mapping with VM_IO")
    seen = kernel.run((vvar(0), anon(8, 1)), madvise(0, 1, "DOFORK"))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("madvise-keeponfork-droppable")
def test_droppable_memory_is_never_kept_on_fork(kernel: Kernel) -> None:
    seen = kernel.run((droppable(0, 2),), madvise(0, 2, "KEEPONFORK"))
    assert seen.results == (-EINVAL,)
    assert seen.after(0).flags(0) & f.WF


@pytest.mark.requirement("madvise-dodump-special")
def test_special_and_droppable_memory_is_never_dumped(kernel: Kernel) -> None:
    frames = kernel.run((perf(0),), madvise(0, 5, "DODUMP"))
    assert frames.results == (-EINVAL,)
    drop = kernel.run((droppable(0, 2),), madvise(0, 2, "DODUMP"))
    assert drop.results == (-EINVAL,)
    assert drop.after(0).flags(0) & f.DD


@pytest.mark.requirement("madvise-wipeonfork-flags")
def test_memory_without_access_can_be_wiped_on_fork(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 1, prot=Prot.NONE),), madvise(0, 1, "WIPEONFORK"))
    assert seen.results == (0,)
    assert seen.after(0).flags(0) & f.WF


@pytest.mark.requirement("madvise-enomem-as-eagain")
def test_no_room_for_one_more_vma_is_eagain(kernel: Kernel) -> None:
    most = kernel.target.facts.max_map_count
    if most > VMAS_MADE:
        kernel.lacks(f"a limit of VMAs that a program can reach: vm.max_map_count is {most}")
    layout = tuple(
        written(66 * i, 65, marks=tuple(Mark(2 * page, 1, advice=1) for page in range(32)))
        for i in range(16)
    )
    last = 66 * 15
    part, all_of_it = madvise(last + 9, 1, "SEQUENTIAL"), madvise(last, 65, "SEQUENTIAL")
    seen = kernel.run(layout, part, all_of_it, whole=True)
    assert seen.results == (-EAGAIN, 0)
    assert len(seen.after(1).extents()) > 16
    assert seen.after(1).extents()[-1] == (last, last + 65)
