"""The shim: statistics, elements, error details. Expectations written by hand from SPEC 1.5."""

from __future__ import annotations

import pytest

from conformance.program.places import PAGE
from conformance.tests.shim_arena import (
    ARRAY,
    CTL,
    ELEMENTS,
    FILL,
    IGNORE,
    MAP_SHARED,
    NOWHERE,
    PROT_READ,
    READ_ONLY,
    SINGLE_ONLY,
    STATS,
    STOP,
    Arena,
    Range,
    advice,
    page,
    pages,
)

ENOMEM, EFAULT, EINVAL = 12, 14, 22


@pytest.mark.requirement("stats-when")
def test_without_stats_the_effects_are_the_same(arena: Arena) -> None:
    arena.map(0, 4)
    assert arena.call(pages(0, 2, "DONTDUMP"), stats=0).result == 0
    assert arena.flagged("dd") == [0, 1]
    assert arena.read(STATS, 72) == bytes(72)
    assert arena.call(Range(page(0) + 1, PAGE, 0), stats=0).result == -EINVAL


@pytest.mark.requirement("stats-when")
def test_stats_of_a_call_that_fails(arena: Arena) -> None:
    arena.map(0, 1)
    arena.map(1, 1, flags=MAP_SHARED)
    answer = arena.call(pages(0, 2, "FREE"), pages(0, 1, "NORMAL"), elements=ELEMENTS)
    assert answer.result == -EINVAL
    assert answer.counts() == (1, 0, 1, 0, 0)
    assert answer.verdict(0) == (0, 1)


@pytest.mark.requirement("stats-advised")
def test_a_mapping_met_twice_counts_twice(arena: Arena) -> None:
    arena.map(0, 8)
    answer = arena.call(pages(1, 3, "NORMAL"), pages(2, 4, "NORMAL"))
    assert answer.counts() == (2, 0, 3 + 4, 0, 0)


@pytest.mark.requirement("stats-advised")
def test_mappings_count_as_they_were_found(arena: Arena) -> None:
    arena.map(0, 6)
    assert arena.call(pages(2, 2, "DONTDUMP")).counts() == (1, 0, 2, 0, 0)
    assert len(arena.vmas()) == 3
    # The first part merges with the second once it has its flag: both were there to be met.
    assert arena.call(pages(0, 6, "DONTDUMP")).counts() == (3, 0, 6, 0, 0)
    assert len(arena.vmas()) == 1


@pytest.mark.requirement("stats-skipped")
def test_skipped_parts_and_the_part_that_ends_the_call(arena: Arena) -> None:
    arena.map(0, 2, PROT_READ)
    arena.map(2, 3, flags=MAP_SHARED)
    ignored = arena.call(pages(0, 5, "FREE"), flags=IGNORE)
    assert (ignored.result, ignored.counts()) == (0, (1, 1, 2, 3, 0))
    ended = arena.call(pages(0, 5, "FREE"))
    assert (ended.result, ended.counts()) == (-EINVAL, (1, 0, 2, 0, 0))
    whole = arena.call(pages(0, 5, "FREE"), flags=IGNORE | SINGLE_ONLY)
    assert (whole.result, whole.counts()) == (0, (0, 0, 0, 0, 0))


@pytest.mark.requirement("stats-gaps")
def test_gaps_of_all_ranges_add_up(arena: Arena) -> None:
    arena.map(1, 1)
    answer = arena.call(pages(0, 3, "NORMAL"), pages(0, 1, "NORMAL"), pages(0, 3, "NORMAL"))
    assert answer.counts() == (2, 0, 2, 0, 2 + 1 + 2)


@pytest.mark.requirement("stats-first-error")
def test_details_are_those_of_the_first_error(arena: Arena) -> None:
    arena.map(0, 1)
    arena.map(1, 1, flags=MAP_SHARED)
    arena.map(3, 1, flags=MAP_SHARED)
    ranges = [pages(0, 1, "FREE"), pages(0, 2, "FREE"), pages(3, 1, "WIPEONFORK")]
    answer = arena.call(*ranges, flags=IGNORE)
    assert (answer.result, answer.error()) == (0, (EINVAL, page(1), 1))
    stopped = arena.call(*ranges, pages(0, 4, "NORMAL"), flags=IGNORE | STOP)
    assert (stopped.result, stopped.error()) == (-ENOMEM, (EINVAL, page(1), 1))
    assert stopped.counts()[4] == 1


@pytest.mark.requirement("stats-per-range")
def test_an_element_for_every_range_reached(arena: Arena) -> None:
    arena.map(0, 2)
    arena.map(2, 2, flags=MAP_SHARED)
    ranges = [
        pages(0, 2, "FREE"),  # all of it
        pages(0, 4, "FREE"),  # the first half
        pages(2, 1, "FREE"),  # nothing
        pages(8, 2, "FREE"),  # a gap
        Range(page(0), 0, advice("FREE")),  # empty
        Range(page(1), PAGE - 1, advice("DONTDUMP")),  # echoed as given
    ]
    answer = arena.call(*ranges, flags=IGNORE, elements=ELEMENTS)
    assert answer.result == 0
    verdicts = [answer.verdict(i) for i in range(len(ranges))]
    assert verdicts == [(1, 0), (0, 1), (0, 0), (1, 0), (1, 0), (1, 0)]
    for each, element in zip(ranges, answer.elements, strict=True):
        assert element[:20] == b"".join(
            value.to_bytes(size, "little") for value, size in zip(each, (8, 8, 4), strict=True)
        )
    assert answer.stats["per_range_stats"] == ELEMENTS


@pytest.mark.requirement("stats-per-range")
def test_no_element_for_ranges_not_reached(arena: Arena) -> None:
    arena.map(0, 2)
    arena.map(2, 2, flags=MAP_SHARED)
    ranges = [pages(0, 1, "FREE"), pages(2, 1, "FREE"), pages(0, 1, "FREE")]
    answer = arena.call(*ranges, elements=ELEMENTS)
    assert [answer.verdict(i) for i in range(2)] == [(1, 0), (0, 0)]
    assert answer.elements[2] == bytes([FILL]) * 32


@pytest.mark.requirement("stats-per-range")
@pytest.mark.parametrize(("mapped", "partial"), [((0, 3), 1), ((0,), 0), ((3,), 0)])
def test_partial_when_a_gap_ends_the_range(
    arena: Arena, mapped: tuple[int, ...], partial: int
) -> None:
    """Partial: some mapped parts were advised, others not. A gap alone is no part."""
    for number in mapped:
        arena.map(number, 1)
    answer = arena.call(pages(0, 4, "NORMAL"), flags=STOP, elements=ELEMENTS)
    assert (answer.result, answer.verdict(0)) == (-ENOMEM, (0, partial))


@pytest.mark.requirement("stats-per-range")
def test_many_elements(arena: Arena) -> None:
    arena.map(0, 2)
    ranges = [pages(0, i % 3, "NORMAL") for i in range(100)]
    answer = arena.call(*ranges, elements=CTL + 2 * PAGE)
    assert [e[8:16] for e in answer.elements] == [
        (i % 3 * PAGE).to_bytes(8, "little") for i in range(100)
    ]
    assert {e[24:] for e in answer.elements} == {b"\1" + bytes(7)}


@pytest.mark.requirement("stats-fault")
def test_stats_that_cannot_be_written(arena: Arena) -> None:
    arena.map(0, 2)
    answer = arena.call(pages(0, 1, "DONTDUMP"), stats=READ_ONLY)
    assert (answer.result, arena.flagged("dd")) == (-EFAULT, [0])


@pytest.mark.requirement("stats-fault")
def test_elements_are_written_up_to_the_fault(arena: Arena) -> None:
    arena.map(0, 2)
    edge = NOWHERE - 48
    arena.write(edge, bytes([FILL]) * 48)
    arena.write(CTL, arena.lay_out([pages(0, 1, "DONTDUMP"), pages(1, 1, "DONTDUMP")]))
    arena.write(STATS + 40, edge.to_bytes(8, "little"))
    assert arena.raw_call(CTL) == -EFAULT
    assert arena.flagged("dd") == [0, 1]
    element = b"".join(v.to_bytes(8, "little") for v in (page(0), PAGE, 16, 1))
    assert arena.read(edge, 48)[:32] == element
    assert arena.read(edge, 48)[32:] == element[:16].replace(
        page(0).to_bytes(8, "little"), page(1).to_bytes(8, "little")
    )
    assert arena.read(STATS, 8) == (2).to_bytes(8, "little")


@pytest.mark.requirement("stats-single-fetch")
def test_structs_inside_the_memory_that_is_advised(arena: Arena) -> None:
    """All of them are lost when the first range is applied, and have been read by then."""
    arena.map(0, 4)
    ctl, stats, array, elements = (page(0) + offset for offset in (0, 0x100, 0x200, 0x800))
    ranges = [pages(0, 4, "DONTNEED"), pages(1, 1, "DONTDUMP")]
    arena.write(stats + 40, elements.to_bytes(8, "little"))
    raw = arena.lay_out(ranges, stats=stats, array=array)
    arena.write(ctl, raw)
    assert arena.raw_call(ctl) == 0
    assert arena.flagged("dd") == [1]
    assert arena.read(ctl, 48) == bytes(48)
    assert arena.read(array, 48) == bytes(48)
    expected = [2, 0, 5, 0, 0, elements, 0, 0, 0]
    assert arena.read(stats, 72) == b"".join(v.to_bytes(8, "little") for v in expected)
    assert arena.read(elements + 32, 16) == b"".join(
        v.to_bytes(8, "little") for v in (page(1), PAGE)
    )


@pytest.mark.requirement("stats-single-fetch")
def test_structs_over_each_other(arena: Arena) -> None:
    arena.map(0, 2)
    ranges = [pages(0, 1, "DONTDUMP"), pages(1, 1, "DONTDUMP")]
    arena.write(STATS + 40, ARRAY.to_bytes(8, "little"))
    raw = arena.lay_out(ranges)
    arena.write(STATS + 40, ARRAY.to_bytes(8, "little"))  # elements over the array itself
    arena.write(CTL, raw)
    assert arena.raw_call(CTL) == 0
    assert arena.flagged("dd") == [0, 1]
    assert arena.read(ARRAY + 32, 8) == page(1).to_bytes(8, "little")
