"""The model's fast forms of the structs that a call writes, beside the codec's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conformance.abi import control_v1 as v1
from conformance.abi.codec import pack_struct
from conformance.abi.scalars import DataModel
from conformance.model import control_input
from conformance.model.statistics import Statistics, pack_per_range

WORD = st.integers(0, (1 << 64) - 1)
INT = st.integers(-(1 << 31), (1 << 31) - 1)


@given(st.lists(WORD, min_size=9, max_size=9), INT)
def test_stats(words: list[int], err: int) -> None:
    stats = Statistics()
    stats.mappings_advised, stats.mappings_skipped, stats.pages_advised = words[:3]
    stats.pages_skipped, stats.gaps, stats.failed_address, stats.offset = words[3:7]
    stats.err = err
    members = {
        "nr_mappings_advised": words[0],
        "nr_mappings_skipped": words[1],
        "nr_pages_advised": words[2],
        "nr_pages_skipped": words[3],
        "nr_gaps": words[4],
        "failed_address": words[5],
        "offset": words[6],
        "err": err,
        "per_range_stats": words[7],
    }
    assert stats.pack(words[7]) == pack_struct(v1.STATS, members)


@given(WORD, WORD, INT, st.booleans(), st.booleans())
def test_element(start: int, length: int, advice: int, success: bool, partial: bool) -> None:
    members = {
        "range.addr": start,
        "range.size": length,
        "range.advice": advice,
        "success": success,
        "partial": partial,
    }
    element = pack_per_range(start, length, advice, success, partial)
    assert element == pack_struct(v1.RANGE_STATS, members)


def test_offset_of_the_pointer() -> None:
    assert v1.STATS.offset("per_range_stats", DataModel.LP64) == control_input._POINTER
