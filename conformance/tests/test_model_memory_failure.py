"""Memory failure in the model: pages of one's own, the zero page, and what nobody foresees."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.abi.errnos import EBUSY, EFAULT, EHWPOISON, EIO, ENOTRECOVERABLE
from conformance.model.prediction import Prediction
from conformance.oracle.judge import judge
from conformance.oracle.verdict import VerdictKind
from conformance.program.call import IoRange, Madvise, Mremap, ProcessMadvise, Step, TouchPages
from conformance.program.mapping import (
    Backing,
    FileSlot,
    Kind,
    Lock,
    Mapping,
    Sharing,
    Touch,
    Uffd,
)
from conformance.program.outcome import MEMORY_ERROR, Outcome, Snapshot, Status
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from conformance.tests.test_model_old_kernels import foresee

HWPOISON, SOFT_OFFLINE = 100, 101
FILES = (FileSlot(Backing.MEMFD, 8),)
SIGBUS = 7
KILLED = -EHWPOISON - MEMORY_ERROR


def poison(page: int, pages: int, advice: int = HWPOISON) -> Madvise:
    return Madvise(page_address(page), pages * PAGE, advice)


def anon(at: int, pages: int, written: int = 0, **more: Any) -> Mapping:
    touches = (Touch(0, written),) if written else ()
    return Mapping(Kind.ANON, at, pages, touches=touches, **more)


def after(mapping: Mapping, *steps: Step, **facts: Any) -> Prediction:
    return foresee(Program((mapping,), steps, FILES), **facts)


def own(prediction: Prediction, steps: int) -> list[int]:
    """Results of the last steps."""
    return prediction.results[-steps:]


def test_a_page_of_ones_own_is_killed_and_the_next_that_was_never_written_is_refused() -> None:
    prediction = after(anon(0, 3, 1), poison(0, 3), TouchPages(0, 1))
    assert own(prediction, 2) == [-EBUSY - MEMORY_ERROR, -(SIGBUS << 16)]
    (choice,) = prediction.alternatives[len(prediction.results) - 2]
    assert choice.value == KILLED
    assert choice.alike
    assert prediction.judged_until == len(prediction.results)


def test_what_this_program_has_poisoned_leaves_no_choice() -> None:
    prediction = after(anon(0, 2), *(poison(0, 2),) * 2, poison(0, 2, SOFT_OFFLINE))
    assert own(prediction, 3) == [-EBUSY, KILLED, 0]
    assert len(prediction.alternatives) == 1


@pytest.mark.parametrize(("newer", "error"), [(False, EIO), (True, ENOTRECOVERABLE)])
def test_the_zero_page_stays_online(newer: bool, error: int) -> None:
    prediction = after(anon(0, 3, 1), poison(0, 3, SOFT_OFFLINE), offline_notrecoverable=newer)
    assert own(prediction, 1) == [-error]
    (choice,) = prediction.alternatives[len(prediction.results) - 1]
    assert (choice.value, choice.alike) == (0, True)
    (last,) = prediction.snapshots
    assert list(last.reasons.items()) == [(2, "zero-page")]  # read in, or not


@pytest.mark.parametrize(
    ("behind", "then"),
    [
        (Mapping(Kind.ANON, 1, 1, touches=(Touch(0),)), 0),
        (Mapping(Kind.ANON, 1, 1, uffd=Uffd.MISSING), -EFAULT),
        (Mapping(Kind.MEMFD, 1, 1, sharing=Sharing.SHARED, file=0, offset=8), -EFAULT),
        (Mapping(Kind.MEMFD, 1, 1, sharing=Sharing.SHARED, file=0, offset=7), 0),
    ],
)
def test_a_zero_page_that_is_passed_over_leads_to_the_rest(behind: Mapping, then: int) -> None:
    program = Program((anon(0, 1), behind), (poison(0, 2, SOFT_OFFLINE),), FILES)
    prediction = foresee(program)
    (choice,) = prediction.alternatives[len(prediction.results) - 1]
    assert choice.value == then
    file_read_in = behind.kind is Kind.MEMFD and then == 0
    assert choice.alike is not file_read_in


def test_locked_memory_has_no_zero_pages() -> None:
    prediction = after(anon(0, 2, lock=Lock.LOCKED), poison(0, 2))
    assert own(prediction, 1) == [-MEMORY_ERROR]
    assert not prediction.alternatives


def test_offline_reads_in_what_is_not_there_and_stops_where_nothing_is() -> None:
    memfd = Mapping(Kind.MEMFD, 0, 2, sharing=Sharing.SHARED, file=0, offset=7)
    prediction = after(memfd, poison(0, 2, SOFT_OFFLINE))
    assert own(prediction, 1) == [-EFAULT]
    assert prediction.judged_until == len(prediction.results)


@pytest.mark.parametrize(
    "mapping",
    [
        Mapping(Kind.MEMFD, 0, 2, sharing=Sharing.SHARED, file=0, touches=(Touch(0, 2),)),
        Mapping(Kind.DROPPABLE, 0, 2, touches=(Touch(0, 2),)),
        Mapping(Kind.HUGETLB, 0, 512),
    ],
)
def test_what_others_have_a_part_in_is_not_foreseen(mapping: Mapping) -> None:
    prediction = after(mapping, poison(0, 1), hugetlb_pages_free=8)
    assert prediction.unspecified


def test_what_another_call_makes_of_a_choice_is_not_foreseen() -> None:
    call = ProcessMadvise(HWPOISON, (IoRange(page_address(0), PAGE),))
    prediction = after(anon(0, 1), call)
    assert [one.reason for one in prediction.unspecified.values()] != []
    assert not prediction.alternatives
    known = after(anon(0, 1), poison(0, 1), call)
    assert own(known, 1) == [KILLED]


@pytest.mark.parametrize("seen", [-EBUSY, KILLED])
def test_either_way_the_state_is_judged(seen: int) -> None:
    program = Program((anon(0, 2),), (poison(0, 1),))
    prediction = foresee(program)
    shots = tuple(
        Snapshot(s.step, s.child, tuple(s.vmas), tuple(s.pages)) for s in prediction.snapshots
    )
    outcome = Outcome(Status.DONE, (*prediction.results[:-1], seen), (), shots)
    assert judge(program, outcome, prediction).kind is VerdictKind.CONFORMANT
    (last,) = shots
    wrong = Snapshot(last.step, last.child, (*last.vmas[:2], 0, last.vmas[3]), last.pages)
    outcome = Outcome(Status.DONE, (*prediction.results[:-1], seen), (), (wrong,))
    assert judge(program, outcome, prediction).bad


def others(prediction: Prediction) -> list[tuple[int, bool]]:
    """What else the last step may return, and whether it leaves the same state."""
    last = len(prediction.results) - 1
    return [(one.value, one.alike) for one in prediction.alternatives.get(last, ())]


COLD = Madvise(page_address(0), PAGE, 20)


def test_what_cold_took_off_its_list_may_be_busy() -> None:
    offline = poison(0, 2, SOFT_OFFLINE)
    prediction = after(anon(0, 2, 2), COLD, offline, lru_gen=True)
    assert own(prediction, 1) == [0]
    assert others(prediction) == [(-EBUSY, True)]
    assert others(after(anon(0, 2, 2), COLD, offline)) == []  # it was on the inactive list
    assert others(after(anon(0, 2, 2), COLD, poison(1, 1, SOFT_OFFLINE), lru_gen=True)) == []
    gone = Madvise(page_address(0), PAGE, 4)
    again = after(anon(0, 2, 2), COLD, gone, TouchPages(0, 1), offline, lru_gen=True)
    assert others(again) == []  # another page


def test_what_is_busy_ends_the_call_before_later_pages_are_looked_at() -> None:
    prediction = after(anon(0, 2, 1), COLD, poison(0, 2, SOFT_OFFLINE), lru_gen=True)
    assert own(prediction, 1) == [-EIO]
    assert others(prediction) == [(0, True), (-EBUSY, False)]


def test_a_page_is_as_busy_where_it_was_moved_to() -> None:
    move = Mremap(page_address(0), PAGE, PAGE, page_address(4))
    prediction = after(anon(0, 1, 1), COLD, move, poison(4, 1, SOFT_OFFLINE), lru_gen=True)
    assert others(prediction) == [(-EBUSY, True)]
