"""Splitting and merging keep the pages they had: properties of conformance.model.split_merge."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conformance.abi import vm_flags as f
from conformance.abi.advice import ADVICES
from conformance.model.address_space import ARENA_FIRST, AddressSpace, Vma
from conformance.model.advice_flags import apply_flags
from conformance.model.split_merge import merge_new, modify, prepare_anon_vma, split
from conformance.program.kernel_facts import KernelFacts

FACTS = KernelFacts(release="test", advices=tuple(a.value for a in ADVICES))
PLAIN = f.RD | f.WR | f.MR | f.MW | f.ME | f.AC
FLAG_ADVICES = (0, 1, 2, 10, 11, 14, 15, 16, 17, 18, 19)
PAGES = 12


def anonymous(start: int, pages: int, flags: int = PLAIN) -> Vma:
    first = ARENA_FIRST + start
    return Vma(first, first + pages, flags, first, None, True)


def one_mapping() -> AddressSpace:
    space = AddressSpace(FACTS, PAGES)
    merge_new(space, anonymous(0, PAGES))
    return space


def flags_by_page(space: AddressSpace) -> list[int]:
    out = [0] * PAGES
    for vma in space.vmas:
        for page in range(vma.start, vma.end):
            out[page - ARENA_FIRST] = vma.flags
    return out


def check_sorted(space: AddressSpace) -> None:
    for left, right in zip(space.vmas, space.vmas[1:], strict=False):
        assert left.start < left.end <= right.start < right.end


edges = st.tuples(st.integers(0, PAGES - 1), st.integers(1, PAGES)).map(
    lambda e: (min(e[0], e[1] - 1), max(e[0] + 1, e[1]))
)
calls = st.lists(st.tuples(edges, st.sampled_from(FLAG_ADVICES)), max_size=8)


@given(st.integers(1, PAGES - 1))
def test_split_then_same_flags_merges_back(page: int) -> None:
    space = one_mapping()
    assert split(space, space.vmas[0], ARENA_FIRST + page) == 0
    assert len(space.vmas) == 2
    right = space.vmas[1]
    assert modify(space, right, right.start, right.end, PLAIN) == 0
    assert [(v.start, v.end, v.flags, v.pgoff) for v in space.vmas] == [
        (ARENA_FIRST, ARENA_FIRST + PAGES, PLAIN, ARENA_FIRST)
    ]


@given(calls)
def test_flag_advice_changes_exactly_its_pages(sequence: list[tuple[tuple[int, int], int]]) -> None:
    space = one_mapping()
    for (start, end), advice in sequence:
        before = flags_by_page(space)
        page = ARENA_FIRST + start
        while page < ARENA_FIRST + end:
            vma = space.at(page)
            assert vma is not None
            part_end = min(vma.end, ARENA_FIRST + end)
            assert apply_flags(space, vma, page, part_end, advice) == 0
            page = part_end
        after = flags_by_page(space)
        assert after[:start] == before[:start]
        assert after[end:] == before[end:]
        check_sorted(space)


@given(calls)
def test_neighbours_that_could_merge_do(sequence: list[tuple[tuple[int, int], int]]) -> None:
    """Without faults no two touching VMAs may be left with equal flags."""
    space = one_mapping()
    for (start, end), advice in sequence:
        page = ARENA_FIRST + start
        while page < ARENA_FIRST + end:
            vma = space.at(page)
            assert vma is not None
            part_end = min(vma.end, ARENA_FIRST + end)
            apply_flags(space, vma, page, part_end, advice)
            page = part_end
    for left, right in zip(space.vmas, space.vmas[1:], strict=False):
        assert left.flags != right.flags


def test_different_anon_vmas_keep_vmas_apart() -> None:
    space = AddressSpace(FACTS, PAGES)
    left, right = anonymous(0, 2), anonymous(3, 2)
    space.insert(left)
    space.insert(right)
    prepare_anon_vma(space, left)
    prepare_anon_vma(space, right)
    assert left.anon_vma != right.anon_vma
    assert merge_new(space, anonymous(2, 1)) is left
    assert len(space.vmas) == 2


def test_special_mapping_does_not_split() -> None:
    space = AddressSpace(FACTS, PAGES)
    vvar = anonymous(0, 4, f.RD | f.MR | f.PF | f.IO | f.DE)
    vvar.special = True
    space.insert(vvar)
    assert modify(space, vvar, vvar.start, vvar.start + 1, vvar.flags | f.DD) == 22
    assert len(space.vmas) == 1
