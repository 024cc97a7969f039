"""The model's fast forms of the structs that a call writes, beside the codec's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.abi import control_v1 as v1
from conformance.abi.codec import pack_struct
from conformance.abi.scalars import DataModel
from conformance.model import control_input
from conformance.model.statistics import Statistics, pack_per_range
from conformance.program.struct_shapes import ILP32_SHAPE, LP64_SHAPE, Shape

SHAPES = st.sampled_from([LP64_SHAPE, ILP32_SHAPE])
WORD = st.integers(0, (1 << 64) - 1)
INT = st.integers(-(1 << 31), (1 << 31) - 1)


@given(st.lists(WORD, min_size=9, max_size=9), st.integers(0, 4095), SHAPES)
def test_stats(words: list[int], err: int, shape: Shape) -> None:
    stats = Statistics()
    stats.mappings_advised, stats.mappings_skipped, stats.pages_advised = words[:3]
    stats.pages_skipped, stats.gaps, stats.failed_address, stats.offset = words[3:7]
    stats.err = err
    pointer = words[7] & shape.mask
    members = {
        "nr_mappings_advised": words[0],
        "nr_mappings_skipped": words[1],
        "nr_pages_advised": words[2],
        "nr_pages_skipped": words[3],
        "nr_gaps": words[4],
        "failed_address": words[5],
        "offset": words[6],
        "err": err,
        "per_range_stats": pointer,
    }
    members = {name: min(value, shape.mask) for name, value in members.items()}
    assert stats.pack(pointer, shape) == pack_struct(v1.STATS, members, shape.model)


@given(WORD, WORD, INT, st.booleans(), st.booleans(), SHAPES)
def test_element(
    start: int, length: int, advice: int, success: bool, partial: bool, shape: Shape
) -> None:
    start, length = start & shape.mask, length & shape.mask
    members = {
        "range.addr": start,
        "range.size": length,
        "range.advice": advice,
        "success": success,
        "partial": partial,
    }
    element = pack_per_range(start, length, advice, success, partial, shape)
    assert element == pack_struct(v1.RANGE_STATS, members, shape.model)


@pytest.mark.parametrize("model", DataModel)
def test_what_the_model_takes_from_the_control_struct_by_number(model: DataModel) -> None:
    assert v1.CONTROL.offset("range.addr", model) == control_input._UNION
    assert v1.CONTROL.offset("all.set_default", model) == control_input._SET_DEFAULT
