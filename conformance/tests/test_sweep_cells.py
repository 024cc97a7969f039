"""The sweep of cells: complete, unique, valid, and each place is what its name says."""

import pytest

from conformance.abi.advice import ADVICES, BY_NAME, Family
from conformance.program.call import Madvise, ProcessMadvise
from conformance.program.mapping import Kind, Lock, Prot, Sharing, Touch, Uffd
from conformance.program.places import ARENA_BASE, PAGE
from conformance.program.validate import validate
from conformance.sweep.cells import (
    BEFORE,
    FORKS,
    INVALID,
    INVALID_VALUE,
    PLACES,
    PROCESS_MADVISE,
    Cell,
    cell,
    cells,
    poisons,
)
from conformance.sweep.vma_kinds import UNPINNABLE, VMA_KINDS, VmaKind

CELLS = list(cells())
VECTORS = list(cells(PROCESS_MADVISE))


def advised(one: Cell) -> tuple[int, int]:
    """Pages [first, after) that the call of a cell names."""
    call = one.program.steps[0]
    if isinstance(call, ProcessMadvise):
        (call,) = (Madvise(r.start, r.length, call.advice) for r in call.vec)
    assert isinstance(call, Madvise)
    first = (call.start - ARENA_BASE) // PAGE
    return first, first + call.length // PAGE


def test_there_is_one_for_each_advice_kind_and_place() -> None:
    names = [*(row.name for row in ADVICES), INVALID]
    rows = [(a, k, p) for a in names for k in VMA_KINDS for p in PLACES]
    assert [one.id for one in CELLS] == [f"{a}/{k.name}/{p}" for a, k, p in rows]
    assert [one.id for one in VECTORS] == [
        f"process_madvise/{a}/{k.name}/{p}" for a, k, p in rows if not poisons(a) or k.poisonable()
    ]
    assert len({one.id for one in (*CELLS, *VECTORS)}) == len(CELLS) + len(VECTORS)


def test_no_two_are_the_same_program() -> None:
    programs = {one.program for one in (*CELLS, *VECTORS)}
    assert len(programs) == len(CELLS) + len(VECTORS)


def test_each_may_run_and_what_poisons_only_in_a_guest() -> None:
    for one in (*CELLS, *VECTORS):
        assert validate(one.program, one.guest) == [], one.id
        poison = one.advice in BY_NAME and BY_NAME[one.advice].family is Family.POISON
        assert one.guest == poison == bool(validate(one.program, False)), one.id


def test_every_kind_of_mapping_and_every_state_of_one_is_a_kind() -> None:
    assert {kind.kind for kind in VMA_KINDS} == set(Kind)
    assert {kind.lock for kind in VMA_KINDS} == set(Lock)
    assert {kind.uffd for kind in VMA_KINDS} == set(Uffd)
    assert {kind.becomes or kind.prot for kind in VMA_KINDS} == set(Prot)


def test_poison_by_vector_stays_in_pages_of_the_programs_own() -> None:
    for one in VECTORS:
        if not poisons(one.advice):
            continue
        assert one.program.files == (), one.id
        for mapping in one.program.layout:
            shared = mapping.sharing is Sharing.SHARED
            assert not shared or mapping.kind in (Kind.PERF, Kind.SECRETMEM), one.id
            assert mapping.kind is not Kind.HUGETLB
            if mapping.kind not in UNPINNABLE:
                assert Touch(0, mapping.pages) in mapping.touches, one.id


def test_the_value_that_no_kernel_knows() -> None:
    assert INVALID_VALUE not in {row.value for row in ADVICES}


@pytest.mark.parametrize("kind", VMA_KINDS, ids=lambda kind: kind.name)
def test_places_are_what_they_are_called(kind: VmaKind) -> None:
    for place in PLACES:
        one = cell("DONTNEED", kind.name, place)
        first, after = advised(one)
        spans = [(m.at, m.at + m.pages) for m in one.program.layout]
        low, high = spans[0][0], spans[-1][1]
        assert (first, after) != (low, high) or place in ("whole", "across-two", "across-gap")
        if place == "across-two":
            assert (spans[0][1], first, after) == (spans[1][0], low, high)
        elif place == "across-gap":
            assert spans[0][1] < spans[1][0]
            assert (first, after) == (low, high)
        else:
            assert len(spans) == 1
            starts = {"head": 0, "whole": 0, "start-in-gap": -1}.get(place, 1)
            ends = {"tail": 0, "whole": 0, "end-in-gap": 1}.get(place, -1)
            assert (first > low) - (first < low) == starts, place
            assert (after > high) - (after < high) == ends, place


def test_what_is_taken_back_was_given_and_what_is_for_children_has_one() -> None:
    for one in CELLS:
        given = {mark.advice for m in one.program.layout for mark in m.marks}
        if one.advice in BEFORE:
            assert BY_NAME[BEFORE[one.advice]].value in given, one.id
        assert len(one.program.steps) == (2 if one.advice in FORKS else 1)


def test_two_that_stand_together_would_merge_but_for_a_mark() -> None:
    one = cell("NORMAL", "memfd-shared", "across-two").program
    left, right = one.layout
    assert left.offset + left.pages == right.offset
    assert right.marks[:-1] == left.marks


def test_other_surfaces_have_no_cells() -> None:
    with pytest.raises(ValueError, match="no sweep of mmap"):
        cell("NORMAL", "anon", "whole", "mmap")
