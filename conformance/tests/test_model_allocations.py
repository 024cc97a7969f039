"""What the model says of calls that get no memory, place by place."""

from __future__ import annotations

import msgspec
import pytest

from conformance.abi.advice import ADVICES
from conformance.abi.errnos import EAGAIN, ENOMEM
from conformance.cases.layouts import HUGE, anon, madvise, memfd, vector, written
from conformance.model.predict import predict
from conformance.model.prediction import Prediction
from conformance.program.call import (
    Madvise,
    MadviseRanges,
    Mremap,
    ProcessMadvise,
    Step,
    TouchPages,
)
from conformance.program.kernel_facts import KernelFacts
from conformance.program.mapping import Backing, FileSlot, Kind, Mapping, Sharing
from conformance.program.outcome import PAGE_GUARD
from conformance.program.places import FD_PIDFD_REMOTE, PAGE, page_address
from conformance.program.program import Program

FACTS = KernelFacts(
    release="7.3", advices=tuple(a.value for a in ADVICES), fail_nth=True, disk_fs="ext4"
)
PLACES_MAX = 40


def places(
    layout: tuple[Mapping, ...],
    call: Madvise | ProcessMadvise | MadviseRanges,
    files: tuple[FileSlot, ...] = (),
) -> list[Prediction]:
    """One prediction for each place in the call where the model allocates."""
    program = Program(layout, (msgspec.structs.replace(call, fail_nth=1),), files)
    usual = predict(program, FACTS)
    assert usual.again is not None
    out: list[Prediction] = []
    for place in range(1, PLACES_MAX):
        prediction = usual.again(place)
        if not prediction.fault_reached:
            return out
        out.append(prediction)
    raise AssertionError("there is no end of places")


def results(predictions: list[Prediction]) -> list[int]:
    return [prediction.results[-1] for prediction in predictions]


@pytest.mark.parametrize(
    ("layout", "call", "expected"),
    [
        ((written(0, 6),), madvise(2, 2, "RANDOM"), [-EAGAIN] * 2),  # two splits
        ((written(0, 6),), madvise(0, 6, "RANDOM"), []),
        ((written(0, 6),), madvise(0, 6, "MERGEABLE"), [-EAGAIN]),  # KSM, once for a process
        ((written(0, 6),), madvise(0, 6, "DONTNEED"), []),
        ((written(0, 6),), madvise(0, 6, "POPULATE_WRITE"), []),
        ((anon(0, 6),), madvise(0, 6, "POPULATE_READ"), [-ENOMEM]),
        ((anon(0, 6),), madvise(0, 6, "POPULATE_WRITE"), [-ENOMEM] * 2),
        ((anon(0, 6),), madvise(0, 6, "GUARD_INSTALL"), [-ENOMEM] * 2),  # anon_vma, page table
        ((written(0, 6),), madvise(0, 6, "GUARD_INSTALL"), []),
        ((written(0, 6),), madvise(0, 2, "SOFT_OFFLINE"), [-ENOMEM] * 2),
        ((written(0, 8),), vector("DONTNEED", *[(page, 1) for page in range(8)]), []),
        ((written(0, 9),), vector("DONTNEED", *[(page, 1) for page in range(9)]), [-ENOMEM]),
        ((written(0, 6),), vector("RANDOM", (0, 1), (2, 1)), [-EAGAIN, PAGE, PAGE]),
    ],
)
def test_where_a_call_needs_memory(
    layout: tuple[Mapping, ...], call: Madvise | ProcessMadvise, expected: list[int]
) -> None:
    assert results(places(layout, call)) == expected


def test_a_merge_without_memory_splits_nothing_in_its_place() -> None:
    layout = (written(0, 4), written(4, 4))
    random = madvise(0, 4, "RANDOM")
    program = Program(
        layout, (random, msgspec.structs.replace(madvise(4, 2, "RANDOM"), fail_nth=1))
    )
    usual = predict(program, FACTS)
    assert usual.again is not None
    first = usual.again(1)
    assert first.results[-1] == -EAGAIN
    assert len(first.snapshots[-1].vmas) == 8  # two VMAs, as before
    assert not usual.again(2).fault_reached


def test_guards_stay_up_to_the_page_table_that_is_missing() -> None:
    predictions = places((anon(HUGE - 2, 4),), madvise(HUGE - 2, 4, "GUARD_INSTALL"))
    guards = [
        [bool(p.snapshots[-1].pages[page] & PAGE_GUARD) for page in range(HUGE - 2, HUGE + 2)]
        for p in predictions
    ]
    assert guards == [[False] * 4, [False] * 4, [True, True, False, False]]


def test_of_a_hole_in_a_file_on_a_disk_nobody_knows_how_far_it_came() -> None:
    files = (FileSlot(Backing.DISK, 4),)
    layout = (Mapping(Kind.DISK, 0, 4, sharing=Sharing.SHARED),)
    (one,) = places(layout, madvise(0, 2, "REMOVE"), files)
    assert one.results[-1] == -ENOMEM
    assert one.unspecified
    assert places((memfd(0, 4),), madvise(0, 2, "REMOVE"), (FileSlot(Backing.MEMFD, 4),)) == []


def test_a_page_of_two_processes_has_to_be_copied() -> None:
    """The second process is a fork that stands by. Who writes first gets the copy, the other one
    may keep the page."""
    remote = vector("COLD", (0, 1), pidfd=FD_PIDFD_REMOTE)

    def results_of(*steps: Step, page: int = 0) -> list[int]:
        fails = msgspec.structs.replace(madvise(page, 1, "POPULATE_WRITE"), fail_nth=1)
        usual = predict(Program((written(0, 2),), (*steps, fails)), FACTS)
        assert usual.again is not None
        failed = [usual.again(place) for place in (1, 2)]
        return [one.results[-1] for one in failed if one.fault_reached]

    assert results_of() == []
    assert results_of(remote) == [-ENOMEM]
    assert results_of(remote, TouchPages(1, 1, True)) == [-ENOMEM]
    assert results_of(remote, TouchPages(0, 1, True)) == []
    assert results_of(remote, TouchPages(0, 1, False)) == [-ENOMEM]
    assert results_of(remote, madvise(0, 1, "PAGEOUT"))[-1:] == [-ENOMEM]
    moved = Mremap(page_address(0), 2 * PAGE, 2 * PAGE, page_address(8))
    assert results_of(remote, moved, page=8) == [-ENOMEM]
    assert results_of(remote, TouchPages(0, 1, True), moved, page=8) == []
