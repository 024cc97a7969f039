"""The codec: what is packed comes back, nothing else is written, and the fast forms agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.abi import control_v1 as v1
from conformance.abi.codec import pack_struct, unpack_struct
from conformance.abi.layout import StructLayout
from conformance.abi.scalars import DataModel
from conformance.program.call import MadviseRanges
from conformance.program.control_memory import control_bytes, pack_range, placeable, pokes_of
from conformance.program.control_struct import All, Arm, ControlFields, Multi, Range, Single
from conformance.program.places import (
    ARENA_END_MAX,
    KERNEL,
    NULL,
    UNMAPPED,
    ZONE_BASE,
    ZONE_END,
    ZONE_RO_END,
)
from conformance.program.struct_shapes import ILP32_SHAPE, LP64_SHAPE, Shape, shape_of

SHAPES = st.sampled_from([LP64_SHAPE, ILP32_SHAPE])
WORD = st.integers(0, (1 << 64) - 1)
INT = st.integers(-(1 << 31), (1 << 31) - 1)
BYTE = st.integers(0, 255)
RANGES = st.builds(Range, WORD, WORD, INT)
ARMS: st.SearchStrategy[Arm] = st.one_of(
    st.builds(Single, RANGES),
    st.builds(Multi, st.lists(RANGES, max_size=5).map(tuple), st.none() | WORD),
    st.builds(All, INT, BYTE),
)
FIELDS = st.builds(
    ControlFields,
    ARMS,
    version=INT,
    type_value=st.none() | st.integers(0, (1 << 32) - 1),
    pidfd=INT,
    is_remote=st.booleans(),
    ignore_errors=st.booleans(),
    single_mapping_only=st.booleans(),
    stop_on_gap=st.booleans(),
    flag_byte_extra=st.integers(0, 15).map(lambda bits: bits << 4),
    tail=st.integers(0, 0xFFFFFF),
    padding=BYTE,
)


@st.composite
def layouts_and_values(draw: st.DrawFn) -> tuple[StructLayout, DataModel, dict[str, int]]:
    """A struct, and a value that fits for some of its members; of a union's arms one at most,
    since they share their bytes."""
    layout = draw(st.sampled_from(v1.STRUCTS))
    model = draw(st.sampled_from(DataModel))
    arm = draw(st.sampled_from(("range", "ranges", "all")))
    values = {}
    for placed in layout.placed(model):
        other_arm = layout is v1.CONTROL and placed.path.count(".") == 1
        if other_arm and not placed.path.startswith(arm + "."):
            continue
        bits = 1 if placed.bit is not None else 8 * placed.size
        low = -(1 << bits - 1) if placed.signed else 0
        if draw(st.booleans()):
            values[placed.path] = draw(st.integers(low, low + (1 << bits) - 1))
    return layout, model, values


@given(layouts_and_values(), BYTE)
def test_what_is_packed_comes_back(
    drawn: tuple[StructLayout, DataModel, dict[str, int]], fill: int
) -> None:
    layout, model, values = drawn
    data = pack_struct(layout, values, model, fill)
    assert len(data) == layout.size(model)
    back = unpack_struct(layout, data, model)
    assert {path: back[path] for path in values} == values


@given(layouts_and_values())
def test_bytes_of_no_member_hold_the_fill(
    drawn: tuple[StructLayout, DataModel, dict[str, int]],
) -> None:
    layout, model, values = drawn
    zeros, ones = (pack_struct(layout, values, model, fill) for fill in (0x00, 0xFF))
    named = [0] * layout.size(model)  # which bits of each byte some value decides
    for placed in layout.placed(model):
        if placed.path in values:
            for at in range(placed.offset, placed.offset + placed.size):
                named[at] |= 0xFF if placed.bit is None else 1 << placed.bit
    for at, bits in enumerate(named):
        assert zeros[at] ^ ones[at] == bits ^ 0xFF


@given(layouts_and_values(), st.binary(max_size=8))
def test_bytes_behind_the_struct_are_not_looked_at(
    drawn: tuple[StructLayout, DataModel, dict[str, int]], behind: bytes
) -> None:
    layout, model, values = drawn
    data = pack_struct(layout, values, model)
    assert unpack_struct(layout, data + behind, model) == unpack_struct(layout, data, model)


@pytest.mark.parametrize("layout", v1.STRUCTS, ids=lambda layout: str(layout.tag))
def test_too_few_bytes_are_an_error(layout: StructLayout) -> None:
    size = layout.size(DataModel.LP64)
    with pytest.raises(ValueError, match=f"needs {size} bytes, got {size - 1}"):
        unpack_struct(layout, bytes(size - 1))


def test_a_member_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"no member size\b"):
        pack_struct(v1.CONTROL, {"size": 1})


def test_values_are_cut_to_the_width_of_the_member() -> None:
    data = pack_struct(v1.RANGE, {"advice": 0x1_0000_0004})
    assert unpack_struct(v1.RANGE, data)["advice"] == 4
    assert data[20:] == bytes(4)


@pytest.mark.parametrize("shape", [LP64_SHAPE, ILP32_SHAPE])
def test_shapes_have_the_sizes_of_the_layouts(shape: Shape) -> None:
    for layout, size in (
        (v1.CONTROL, shape.control_size), (v1.STATS, shape.stats.size),
        (v1.RANGE, shape.range_out.size), (v1.RANGE, shape.range_in.size),
        (v1.RANGE_STATS, shape.per_range.size), (v1.RANGES, shape.iovec_size),
    ):  # fmt: skip
        assert layout.size(shape.model) == size


@given(RANGES, BYTE, SHAPES)
def test_the_fast_form_of_a_range_agrees(each: Range, padding: int, shape: Shape) -> None:
    values = {"addr": each.start, "size": each.length, "advice": each.advice}
    fast = pack_range(each, padding, shape)
    assert fast == pack_struct(v1.RANGE, values, shape.model, fill=padding)


@given(FIELDS, st.booleans())
def test_the_fast_form_of_the_control_struct_agrees(control: ControlFields, ilp32: bool) -> None:
    call = MadviseRanges(control, ilp32=ilp32)
    model = shape_of(ilp32).model
    arm = control.arm
    values = {"version": control.version, "stats": call.stats_at, "pidfd": control.pidfd}
    if isinstance(arm, Single):
        kind = v1.TYPE_SINGLE
        values |= {"range.addr": arm.range.start, "range.size": arm.range.length}
        values["range.advice"] = arm.range.advice
    elif isinstance(arm, Multi):
        kind = v1.TYPE_MULTI
        values["ranges.arr"] = call.array_at
        values["ranges.count"] = len(arm.ranges) if arm.count is None else arm.count
    else:
        kind = v1.TYPE_ALL
        values |= {"all.advice": arm.advice, "all.set_default": arm.set_default}
    values["type"] = kind if control.type_value is None else control.type_value
    for name in ("is_remote", "ignore_errors", "single_mapping_only", "stop_on_gap"):
        values[name] = getattr(control, name)
    expected = bytearray(pack_struct(v1.CONTROL, values, model, fill=control.padding))
    # Reserved bits and bytes are the program's own; the fill must not reach them.
    flags = v1.CONTROL.offset("is_remote", model)
    expected[flags] = expected[flags] & v1.FLAGS_KNOWN | control.flag_byte_extra
    expected[flags + 1 :] = control.tail.to_bytes(3, "little")
    assert control_bytes(call) == bytes(expected)


@given(FIELDS, BYTE, st.sampled_from([0, ZONE_BASE + 0x9000]), st.booleans())
def test_the_stats_before_a_call_hold_the_fill_and_the_pointer(
    control: ControlFields, fill: int, per_range_at: int, ilp32: bool
) -> None:
    call = MadviseRanges(control, stats_fill=fill, per_range_at=per_range_at, ilp32=ilp32)
    model = shape_of(ilp32).model
    stats = next(poke for poke in pokes_of(call) if poke.at == call.stats_at)
    assert stats.output
    assert stats.data == pack_struct(v1.STATS, {"per_range_stats": per_range_at}, model, fill)


@given(FIELDS, WORD, WORD, WORD, WORD)
def test_structs_are_stored_only_where_there_is_memory(
    control: ControlFields, ctl: int, array: int, stats: int, per_range: int
) -> None:
    call = MadviseRanges(control, ctl, array, stats, per_range)
    for poke in pokes_of(call):
        assert placeable(poke.at, len(poke.data)) == len(poke.data)


@pytest.mark.parametrize("end", [ARENA_END_MAX, ZONE_END, ZONE_RO_END])
def test_a_struct_is_cut_at_the_end_of_memory(end: int) -> None:
    assert placeable(end - 10, 48) == 10
    assert placeable(end - 48, 48) == 48
    assert placeable(end, 48) == 0


@pytest.mark.parametrize("at", [NULL, UNMAPPED, KERNEL])
def test_nowhere_there_is_no_memory(at: int) -> None:
    assert placeable(at, 1) == 0
