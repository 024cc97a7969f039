"""What kernels before 6.17 do otherwise, each rule switched by its own fact."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from conformance.abi import vm_flags as f
from conformance.abi.advice import ADVICES, BY_NAME
from conformance.abi.errnos import EBADF, EFAULT, EINVAL, ENOMEM, EPERM, ESRCH
from conformance.model.policy import DEFAULT_POLICY
from conformance.model.predict import predict
from conformance.model.prediction import ExpectedSnapshot, Prediction
from conformance.program.call import (
    AnyStep,
    IoRange,
    Madvise,
    Mmap,
    Mprotect,
    Mremap,
    ProcessMadvise,
    TouchPages,
)
from conformance.program.kernel_facts import KernelFacts
from conformance.program.mapping import (
    Backing,
    FileSlot,
    Kind,
    Lock,
    Mapping,
    Prot,
    Sharing,
    Touch,
)
from conformance.program.places import (
    FD_PIDFD_DEAD,
    FD_PIDFD_KTHREAD,
    FD_PIDFD_SELF,
    FD_PIDFD_ZOMBIE,
    PAGE,
    PIDFD_SELF_GROUP,
    PIDFD_SELF_THREAD,
    ZONE_END,
    page_address,
)
from conformance.program.program import Program, Rights

FACTS = KernelFacts(release="test", advices=tuple(a.value for a in ADVICES))
RANDOM, NORMAL, COLD = (BY_NAME[name].value for name in ("RANDOM", "NORMAL", "COLD"))


def foresee(program: Program, **facts: Any) -> Prediction:
    changed = msgspec.structs.replace(FACTS, **facts)
    return predict(program, changed, DEFAULT_POLICY, (), 0)


def result(prediction: Prediction) -> int:
    """Of the last step."""
    return prediction.results[-1]


def rows(prediction: Prediction) -> list[tuple[int, int, int]]:
    """(first page, page after, flags) of each VMA at the end."""
    shown: ExpectedSnapshot = prediction.snapshots[-1]
    base = page_address(0)
    return [
        ((shown.vmas[i] - base) // PAGE, (shown.vmas[i + 1] - base) // PAGE, shown.vmas[i + 2])
        for i in range(0, len(shown.vmas), 4)
    ]


def anon(at: int, pages: int = 1, **more: Any) -> Mapping:
    return Mapping(Kind.ANON, at, pages, **more)


def steps(*wanted: AnyStep) -> Any:
    return wanted


@pytest.mark.parametrize(("shown", "flag"), [(True, f.LF), (False, 0)])
def test_a_flag_without_a_name_is_not_seen(shown: bool, flag: int) -> None:
    locked = Program((anon(0, lock=Lock.ONFAULT),), steps(Madvise(page_address(0), PAGE, COLD)))
    ((_, _, flags),) = rows(foresee(locked, lockonfault_shown=shown))
    assert flags & (f.LO | f.LF) == f.LO | flag


@pytest.mark.parametrize(("touches", "old", "new"), [((), f.AC, 0), ((Touch(0),), f.AC, f.AC)])
def test_untouched_memory_made_read_only(touches: tuple[Touch, ...], old: int, new: int) -> None:
    program = Program((anon(0, touches=touches),), steps(Mprotect(page_address(0), PAGE, Prot.R)))
    assert rows(foresee(program, mprotect_unaccounts=False))[0][2] & f.AC == old
    assert rows(foresee(program, mprotect_unaccounts=True))[0][2] & f.AC == new


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize(("rule", "merged"), [(True, True), (False, False)])
def test_a_written_range_and_a_neighbour_without_pages(
    left: bool, rule: bool, merged: bool
) -> None:
    """The range that gets its flags back has an anon_vma, the neighbour has none."""
    touched, at = (0, 0) if left else (1, 1)
    program = Program(
        (anon(0, 2),),
        steps(
            Madvise(page_address(at), PAGE, RANDOM),
            TouchPages(touched),
            Madvise(page_address(at), PAGE, NORMAL),
        ),
    )
    assert (len(rows(foresee(program, merge_into_unfaulted=rule))) == 1) is merged


@pytest.mark.parametrize("rule", [True, False])
def test_an_unwritten_range_joins_a_written_neighbour_always(rule: bool) -> None:
    program = Program(
        (anon(0, 2),),
        steps(
            Madvise(page_address(0), PAGE, RANDOM),
            TouchPages(1),
            Madvise(page_address(0), PAGE, NORMAL),
        ),
    )
    assert len(rows(foresee(program, merge_into_unfaulted=rule))) == 1


@pytest.mark.parametrize(
    ("first", "expected"), [(True, [(0, 1), (1, 3)]), (False, [(0, 2), (2, 3)])]
)
def test_new_memory_between_two_that_cannot_be_one(
    first: bool, expected: list[tuple[int, int]]
) -> None:
    written = (Touch(0),)
    between = Mmap(anon(1))
    program = Program((anon(0, touches=written), anon(2, touches=written)), steps(between))
    seen = rows(foresee(program, mmap_next_first=first, merge_into_unfaulted=not first))
    assert [(start, after) for start, after, _ in seen] == expected


def test_which_mistake_of_mremap_is_told() -> None:
    onto_itself = Mremap(page_address(2), 2 * PAGE, 2 * PAGE, page_address(3))
    program = Program((anon(0),), steps(onto_itself))
    assert result(foresee(program, mremap_vma_first=True)) == -EFAULT
    assert result(foresee(program, mremap_vma_first=False)) == -EINVAL


@pytest.mark.parametrize(("old_kernel", "left"), [(True, 1), (False, 2)])
def test_what_lay_at_the_target_of_a_refused_mremap(old_kernel: bool, left: int) -> None:
    second_place = Mremap(page_address(0), 0, PAGE, page_address(4))
    program = Program((anon(0), anon(4)), steps(second_place))
    seen = foresee(program, mremap_vma_first=old_kernel, mremap_clears_first=old_kernel)
    assert result(seen) == -EINVAL
    assert len(rows(seen)) == left


@pytest.mark.parametrize(("loses", "flag"), [(True, 0), (False, f.AC)])
def test_whether_memory_left_behind_is_charged_for(loses: bool, flag: int) -> None:
    keeps = Mremap(page_address(0), PAGE, PAGE, page_address(4), dont_unmap=True)
    seen = foresee(Program((anon(0),), steps(keeps)), mremap_keep_unaccounts=loses)
    source, copy = rows(seen)
    assert source[2] & f.AC == flag
    assert copy[2] & f.AC


@pytest.mark.parametrize(("late", "left"), [(True, 0), (False, 1)])
def test_what_lay_where_a_sealed_file_is_refused(late: bool, left: int) -> None:
    sealed = Mapping(Kind.MEMFD, 0, 1, sharing=Sharing.SHARED)
    program = Program((anon(0),), steps(Mmap(sealed)), (FileSlot(Backing.MEMFD, 1, True),))
    seen = foresee(program, mmap_seal_late=late)
    assert result(seen) == -EPERM
    assert len(rows(seen)) == left


@pytest.mark.parametrize(("late", "expected"), [(True, [(0, 2)]), (False, [(0, 1)])])
def test_seals_are_not_looked_at_where_an_older_mapping_grows(
    late: bool, expected: list[tuple[int, int]]
) -> None:
    older = Mapping(Kind.MEMFD, 0, 1, sharing=Sharing.SHARED)
    newer = Mapping(Kind.MEMFD, 1, 1, sharing=Sharing.SHARED, offset=1)
    program = Program((older,), steps(Mmap(newer)), (FileSlot(Backing.MEMFD, 2, True),))
    seen = rows(foresee(program, mmap_seal_late=late))
    assert [(start, after) for start, after, _ in seen] == expected


@pytest.mark.parametrize("late", [True, False])
def test_what_is_only_read_of_a_sealed_file_stays_so(late: bool) -> None:
    older = Mapping(Kind.MEMFD, 0, 1, prot=Prot.R, sharing=Sharing.SHARED)
    newer = Mapping(Kind.MEMFD, 1, 1, prot=Prot.R, sharing=Sharing.SHARED, offset=1)
    program = Program((older,), steps(Mmap(newer)), (FileSlot(Backing.MEMFD, 2, True),))
    before, after = rows(foresee(program, mmap_seal_late=late))
    assert before[2] & f.MW
    assert not after[2] & f.MW


@pytest.mark.parametrize(("hides", "error"), [(True, ENOMEM), (False, EINVAL)])
def test_what_mmap_says_over_what_is_never_split(hides: bool, error: int) -> None:
    vvar = Mapping(Kind.VVAR, 0, 4, Prot.R)
    flags = f.RD | f.MR | f.PF | f.IO | f.DE | f.DD
    program = Program((vvar,), steps(Mmap(anon(1))))
    seen = foresee(program, mmap_hides_why=hides, vvar_pages=4, vvar_flags=flags)
    assert result(seen) == -error


def advised(pidfd: int, advice: int, rights: Rights = Rights.ALL) -> Program:
    call = ProcessMadvise(advice, (IoRange(page_address(0), PAGE),), pidfd=pidfd)
    return Program((anon(0),), steps(call), rights=rights)


@pytest.mark.parametrize("pidfd", [FD_PIDFD_ZOMBIE, FD_PIDFD_KTHREAD])
def test_a_bad_advice_for_a_process_without_memory(pidfd: int) -> None:
    old = {"remote_access_first": False, "self_any_advice": False}
    assert result(foresee(advised(pidfd, RANDOM), **old)) == -EINVAL
    assert result(foresee(advised(pidfd, COLD), **old)) == -ESRCH
    assert result(foresee(advised(pidfd, RANDOM))) == -ESRCH
    assert result(foresee(advised(FD_PIDFD_DEAD, RANDOM), **old)) == -ESRCH  # there is no task


@pytest.mark.parametrize(("whole", "error"), [(True, EFAULT), (False, EINVAL)])
def test_a_vector_with_two_mistakes(whole: bool, error: int) -> None:
    wrong = (IoRange(page_address(0), 1 << 63),)
    call = ProcessMadvise(COLD, wrong, count=2, vec_at=ZONE_END - 16)
    assert result(foresee(Program((anon(0),), steps(call)), iovec_whole=whole)) == -error


@pytest.mark.parametrize(("clamped", "error"), [(True, ENOMEM), (False, EFAULT)])
def test_a_single_element_that_is_too_long(clamped: bool, error: int) -> None:
    call = ProcessMadvise(COLD, (IoRange(page_address(0), 1 << 62),))
    seen = foresee(Program((anon(0),), steps(call)), iovec_one_clamped=clamped)
    assert result(seen) == -error


@pytest.mark.parametrize(("group", "expected"), [(True, PAGE), (False, -EBADF)])
def test_the_sentinel_of_the_process(group: bool, expected: int) -> None:
    program = advised(PIDFD_SELF_GROUP, COLD)
    assert result(foresee(program, pidfd_self_group=group)) == expected
    assert result(foresee(advised(PIDFD_SELF_THREAD, COLD), pidfd_self_group=group)) == PAGE


@pytest.mark.parametrize(("needs", "expected"), [(True, -EPERM), (False, PAGE)])
def test_the_right_that_advice_to_oneself_needs(needs: bool, expected: int) -> None:
    program = advised(FD_PIDFD_SELF, COLD, Rights.NO_SYS_NICE)
    assert result(foresee(program, self_needs_nice=needs)) == expected
    assert result(foresee(advised(FD_PIDFD_SELF, COLD), self_needs_nice=needs)) == PAGE
