"""The shim: ranges, mappings, gaps, errors. Expectations written by hand from SPEC 1.4."""

from __future__ import annotations

import os

import pytest

from conformance.abi.advice import ADVICES
from conformance.program.places import PAGE
from conformance.tests.shim_arena import (
    ALL,
    BASE,
    ELEMENTS,
    IGNORE,
    MAP_SHARED,
    PROT_NONE,
    PROT_READ,
    SINGLE_ONLY,
    STOP,
    Arena,
    Range,
    page,
    pages,
)

ENOMEM, EFAULT, EINVAL = 12, 14, 22
SPECIAL = {"io", "pf", "de", "mm"}
USER_END = 1 << 63


@pytest.mark.requirement("walk-order")
def test_ranges_in_order_and_each_sees_what_came_before(arena: Arena) -> None:
    arena.map(0, 4)
    answer = arena.call(pages(0, 4, "DONTDUMP"), pages(1, 1, "DODUMP"), pages(0, 4, "NORMAL"))
    assert answer.result == 0
    assert arena.flagged("dd") == [0, 2, 3]
    assert answer.counts() == (1 + 1 + 3, 0, 4 + 1 + 4, 0, 0)


@pytest.mark.requirement("walk-as-madvise")
def test_parts_are_advised_as_madvise_does_it(arena: Arena) -> None:
    arena.map(0, 4)
    arena.write(page(0), b"x" * 4 * PAGE)
    assert arena.call(pages(1, 2, "DONTNEED")).result == 0
    assert arena.read(page(1) - 1, 2 * PAGE + 2) == b"x" + bytes(2 * PAGE) + b"x"
    assert arena.call(pages(1, 2, "DONTFORK")).result == 0
    assert [(start, end) for start, end, _ in arena.vmas()] == [
        (page(0), page(1)), (page(1), page(3)), (page(3), page(4)),
    ]  # fmt: skip
    assert arena.call(pages(0, 4, "DOFORK")).counts() == (3, 0, 4, 0, 0)
    assert len(arena.vmas()) == 1
    arena.map(4, 1, flags=MAP_SHARED)
    assert arena.call(pages(4, 1, "FREE")).error() == (EINVAL, page(4), 0)


@pytest.mark.requirement("gap-counted")
@pytest.mark.parametrize(
    ("mapped", "gaps"),
    [((2,), 2), ((0, 4), 1), ((0, 2, 4), 2), ((1, 3), 3), ((0,), 1), ((4,), 1), ((), 1)],
)
def test_gaps(arena: Arena, mapped: tuple[int, ...], gaps: int) -> None:
    for number in mapped:
        arena.map(number, 1)
    answer = arena.call(pages(0, 5, "DONTDUMP"), elements=ELEMENTS)
    assert answer.result == 0
    assert answer.counts() == (len(mapped), 0, len(mapped), 0, gaps)
    assert answer.error() == (0, 0, 0)
    assert answer.verdict(0) == (1, 0)
    assert arena.flagged("dd") == list(mapped)


@pytest.mark.requirement("gap-stop")
@pytest.mark.parametrize("flags", [STOP, STOP | IGNORE])
def test_stop_on_gap(arena: Arena, flags: int) -> None:
    arena.map(0, 2)
    arena.map(3, 2)
    ranges = [pages(0, 2, "DONTDUMP"), pages(1, 4, "DONTDUMP"), pages(4, 1, "DONTDUMP")]
    answer = arena.call(*ranges, flags=flags)
    assert answer.result == -ENOMEM
    assert answer.error() == (ENOMEM, page(2), 1)
    assert answer.counts() == (2, 0, 3, 0, 1)
    assert arena.flagged("dd") == [0, 1]


@pytest.mark.requirement("gap-stop")
@pytest.mark.parametrize(("first", "where"), [(0, 0), (2, 4)])
def test_stop_at_a_gap_at_either_end(arena: Arena, first: int, where: int) -> None:
    arena.map(2, 2)
    answer = arena.call(pages(first, 6, "DONTDUMP"), flags=STOP)
    assert (answer.result, answer.error()) == (-ENOMEM, (ENOMEM, page(where), 0))
    assert arena.flagged("dd") == ([] if first == 0 else [2, 3])


@pytest.mark.requirement("single-mapping")
def test_a_range_inside_one_mapping(arena: Arena) -> None:
    arena.map(0, 4)
    answer = arena.call(pages(1, 2, "DONTDUMP"), pages(0, 1, "NORMAL"), flags=SINGLE_ONLY)
    assert (answer.result, arena.flagged("dd")) == (0, [1, 2])


@pytest.mark.requirement("single-mapping")
@pytest.mark.parametrize(
    ("mapped", "errno", "where"),
    [
        ([(0, 2, 3), (2, 2, 1)], EINVAL, 2),
        ([(0, 1, 3), (1, 1, 1), (2, 2, 3)], EINVAL, 1),
        ([(0, 2, 3), (2, 1, 1)], ENOMEM, 3),
        ([(0, 2, 3), (3, 1, 3)], ENOMEM, 2),
        ([(1, 3, 3)], ENOMEM, 0),
        ([], ENOMEM, 0),
    ],
)
def test_a_range_of_several_mappings(
    arena: Arena, mapped: list[tuple[int, int, int]], errno: int, where: int
) -> None:
    for first, count, prot in mapped:
        arena.map(first, count, prot)
    answer = arena.call(pages(0, 4, "DONTDUMP"), flags=SINGLE_ONLY, elements=ELEMENTS)
    assert (answer.result, answer.error()) == (-errno, (errno, page(where), 0))
    assert answer.counts() == (0, 0, 0, 0, 0)
    assert answer.verdict(0) == (0, 0)
    assert arena.flagged("dd") == []
    ignored = arena.call(
        pages(0, 4, "DONTDUMP"), pages(0, 1, "DONTDUMP"), flags=SINGLE_ONLY | IGNORE
    )
    assert (ignored.result, ignored.error()) == (0, (errno, page(where), 0))


@pytest.mark.requirement("single-mapping")
def test_one_mapping_is_judged_when_the_range_is_reached(arena: Arena) -> None:
    arena.map(0, 4)
    answer = arena.call(pages(1, 1, "DONTDUMP"), pages(0, 4, "DONTDUMP"), flags=SINGLE_ONLY)
    assert (answer.result, answer.error()) == (-EINVAL, (EINVAL, page(1), 1))
    assert arena.flagged("dd") == [1]


@pytest.mark.requirement("error-ends")
def test_first_error_ends_the_call(arena: Arena) -> None:
    arena.map(0, 2)
    arena.map(2, 2, PROT_READ)
    arena.lock(2, 1)
    arena.map(4, 2)
    ranges = [pages(0, 1, "DONTDUMP"), pages(0, 6, "DONTNEED"), pages(5, 1, "DONTDUMP")]
    arena.write(page(0), b"x")
    arena.write(page(4), b"x")
    answer = arena.call(*ranges)
    assert (answer.result, answer.error()) == (-EINVAL, (EINVAL, page(2), 1))
    assert answer.counts() == (3, 0, 3, 0, 0)
    assert arena.flagged("dd") == [0]
    assert (arena.read(page(0), 1), arena.read(page(4), 1)) == (b"\0", b"x")


@pytest.mark.requirement("error-ignored")
def test_ignored_error_skips_its_part(arena: Arena) -> None:
    arena.map(0, 1)
    arena.map(1, 3, PROT_READ)
    arena.lock(1, 3)
    arena.map(4, 1)
    arena.map(6, 1)
    arena.write(page(4), b"x")
    answer = arena.call(pages(0, 7, "DONTNEED"), pages(6, 1, "DONTDUMP"), flags=IGNORE)
    assert (answer.result, answer.error()) == (0, (EINVAL, page(1), 0))
    assert answer.counts() == (4, 1, 4, 3, 1)
    assert (arena.read(page(4), 1), arena.flagged("dd")) == (b"\0", [6])


@pytest.mark.requirement("error-ignored")
@pytest.mark.requirement("error-partial-stays")
def test_fault_is_not_ignored_and_what_came_before_it_stays(arena: Arena) -> None:
    file = os.memfd_create("short")
    os.ftruncate(file, 2 * PAGE)
    arena.map_at(page(0), 4, PROT_READ, MAP_SHARED, file)
    arena.map(4, 1)
    answer = arena.call(pages(0, 5, "POPULATE_READ"), flags=IGNORE)
    assert (answer.result, answer.error()) == (-EFAULT, (EFAULT, page(0), 0))
    with open("/proc/self/pagemap", "rb") as pagemap:
        pagemap.seek(BASE // PAGE * 8)
        words = pagemap.read(5 * 8)
    os.close(file)
    present = [words[8 * i + 7] >> 7 for i in range(5)]
    assert present[:2] + present[4:] == [1, 1, 0]


def split_by_special(arena: Arena) -> tuple[int, int, int, int]:
    """Mappings and pages of this process that are not special, and that are."""
    counts = [0, 0, 0, 0]
    for start, end, flags in arena.vmas(0, USER_END):
        if start >> 63 or end - start == 0:
            continue
        special = bool(flags & SPECIAL)
        counts[special] += 1
        counts[2 + special] += (end - start) // PAGE
    return counts[0], counts[1], counts[2], counts[3]


@pytest.mark.requirement("all-walk")
def test_all_meets_every_mapping(arena: Arena) -> None:
    arena.map(1, 1)
    arena.map(3, 1, PROT_NONE)
    for _ in range(20):  # this process may map memory of its own between two looks
        before = split_by_special(arena)
        answer = arena.call(pages(0, 0, "NORMAL"), kind=ALL)
        if before == split_by_special(arena):
            break
    assert answer.result == 0
    assert answer.counts() == (*before, 0)
    assert before[1] >= 2  # [vvar] and [vdso]


@pytest.mark.requirement("all-advices")
def test_advices_that_all_refuses(arena: Arena) -> None:
    refused = [
        "DONTNEED", "FREE", "REMOVE", "DONTFORK", "WIPEONFORK", "POPULATE_READ",
        "POPULATE_WRITE", "DONTNEED_LOCKED", "HWPOISON", "SOFT_OFFLINE", "GUARD_INSTALL",
        "GUARD_REMOVE",
    ]  # fmt: skip
    assert {a.name for a in ADVICES if not a.whole} == set(refused)
    for name in refused:
        answer = arena.call(pages(0, 0, name), kind=ALL, flags=IGNORE)
        assert (answer.result, answer.error()) == (-EINVAL, (EINVAL, 0, 0)), name


@pytest.mark.requirement("all-advices")
@pytest.mark.parametrize(
    "name",
    ["NORMAL", "RANDOM", "SEQUENTIAL", "WILLNEED", "COLD", "PAGEOUT", "COLLAPSE", "HUGEPAGE",
     "NOHUGEPAGE", "MERGEABLE", "UNMERGEABLE", "DONTDUMP", "DODUMP", "DOFORK", "KEEPONFORK"],
)  # fmt: skip
def test_advices_that_all_takes(arena: Arena, name: str) -> None:
    """In a child, which it may make slower, but not hurt."""
    arena.map(0, 2)
    known = arena.call(Range(page(0), 0, pages(0, 0, name).advice)).result == 0
    child = os.fork()
    if not child:
        answer = arena.call(pages(0, 0, name), kind=ALL, flags=IGNORE)
        os._exit(-answer.result if not answer.result or not known else 99)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == (0 if known else EINVAL)
