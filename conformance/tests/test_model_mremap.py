"""mremap(): which VMAs source and copy become, on kernels that differ in it."""

from __future__ import annotations

import msgspec
import pytest

from conformance.abi.advice import ADVICES
from conformance.abi.vm_flags import LO
from conformance.model.policy import DEFAULT_POLICY
from conformance.model.predict import predict
from conformance.program.call import AnyStep, Mprotect, Mremap
from conformance.program.kernel_facts import KernelFacts
from conformance.program.mapping import Backing, FileSlot, Kind, Lock, Mapping, Prot, Touch
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program

FACTS = KernelFacts(release="test", advices=tuple(a.value for a in ADVICES), disk_fs="ext4")
KEEPS = Mremap(page_address(0), PAGE, PAGE, page_address(1), dont_unmap=True)


def edges(program: Program, facts: KernelFacts) -> list[tuple[int, int]]:
    """(first page, page after) of each VMA that the model expects at the end."""
    (snapshot,) = predict(program, facts, DEFAULT_POLICY, (), 0).snapshots
    rows = snapshot.vmas
    base = page_address(0)
    return [
        ((rows[i] - base) // PAGE, (rows[i + 1] - base) // PAGE) for i in range(0, len(rows), 4)
    ]


def program(*steps: AnyStep) -> Program:
    untouched = Mapping(Kind.ANON, 0, 1)
    written = Mapping(Kind.ANON, 2, 1, touches=(Touch(0),))
    return Program((untouched, written), steps)  # type: ignore[arg-type] # setup steps are not used


@pytest.mark.parametrize(("joins", "expected"), [(True, [(0, 3)]), (False, [(0, 1), (1, 3)])])
def test_copy_beside_its_source(joins: bool, expected: list[tuple[int, int]]) -> None:
    facts = msgspec.structs.replace(FACTS, mremap_joins_source=joins)
    assert edges(program(KEEPS), facts) == expected


def test_source_that_took_in_its_copy_keeps_its_anon_vma() -> None:
    """An anon_vma keeps memory accounted when it loses all access, so the flags tell."""
    ends = Mprotect(page_address(0), PAGE, Prot.NONE)
    (snapshot,) = predict(program(KEEPS, ends), FACTS, DEFAULT_POLICY, (), 0).snapshots
    (alone,) = predict(program(ends), FACTS, DEFAULT_POLICY, (), 0).snapshots
    assert snapshot.vmas[2] != alone.vmas[2]


@pytest.mark.parametrize(("apart", "expected"), [(False, [(0, 2)]), (True, [(0, 1), (1, 2)])])
def test_written_file_pages_keep_their_anonymous_offset(
    apart: bool, expected: list[tuple[int, int]]
) -> None:
    facts = msgspec.structs.replace(FACTS, anon_pgoff_apart=apart)
    first = Mapping(Kind.MEMFD, 0, 1)
    second = Mapping(Kind.MEMFD, 4, 1, offset=1, touches=(Touch(0),))
    moves = Mremap(page_address(4), PAGE, PAGE, page_address(1))
    moved = Program((first, second), (moves,), (FileSlot(Backing.MEMFD, 2),))
    assert edges(moved, facts) == expected


@pytest.mark.parametrize(("apart", "expected"), [(False, [(1, 3)]), (True, [(1, 2), (2, 3)])])
def test_so_does_a_written_zero_device(apart: bool, expected: list[tuple[int, int]]) -> None:
    facts = msgspec.structs.replace(FACTS, anon_pgoff_apart=apart)
    written, other = Mapping(Kind.ZERO, 0, 1, touches=(Touch(0),)), Mapping(Kind.ZERO, 1, 2)
    moves = Mremap(page_address(0), PAGE, PAGE, page_address(1))
    assert edges(Program((written, other), (moves,)), facts) == expected


@pytest.mark.parametrize(("splits", "locked"), [(False, [False, False]), (True, [False, True])])
def test_locked_memory_that_is_kept_is_unlocked(splits: bool, locked: list[bool]) -> None:
    """Page 0 of two is moved and kept: it loses its lock, and page 1 where VMAs are not split."""
    facts = msgspec.structs.replace(FACTS, mremap_splits_locked=splits)
    both = Mapping(Kind.ANON, 0, 2, lock=Lock.LOCKED)
    moves = Mremap(page_address(0), PAGE, PAGE, page_address(8), dont_unmap=True)
    (snapshot,) = predict(Program((both,), (moves,)), facts, DEFAULT_POLICY, (), 0).snapshots
    rows = snapshot.vmas
    seen = [False, False]
    for i in range(0, len(rows), 4):
        for page in range(2):
            if rows[i] <= page_address(page) < rows[i + 1]:
                seen[page] = bool(rows[i + 2] & LO)
    assert seen == locked
