"""Struct values <-> bytes, for any layout of this package and either data model."""

from __future__ import annotations

from collections.abc import Mapping

from conformance.abi.layout import StructLayout
from conformance.abi.scalars import DataModel


def pack_struct(
    layout: StructLayout,
    values: Mapping[str, int],
    model: DataModel = DataModel.LP64,
    fill: int = 0,
) -> bytes:
    """The bytes of a struct. Members that `values` (dotted paths) does not name, and holes,
    hold the byte `fill`. Values are truncated to the member's width, as C would.

    Raises KeyError for a path that the struct does not have.
    """
    unknown = set(values) - {placed.path for placed in layout.placed(model)}
    if unknown:
        raise KeyError(f"struct {layout.tag} has no member {', '.join(sorted(unknown))}")
    out = bytearray([fill]) * layout.size(model)
    for placed in layout.placed(model):
        if placed.path not in values:
            continue
        value = values[placed.path]
        if placed.bit is not None:
            out[placed.offset] &= ~(1 << placed.bit) & 0xFF
            out[placed.offset] |= (value & 1) << placed.bit
        else:
            mask = (1 << 8 * placed.size) - 1
            end = placed.offset + placed.size
            out[placed.offset : end] = (value & mask).to_bytes(placed.size, "little")
    return bytes(out)


def unpack_struct(
    layout: StructLayout, data: bytes, model: DataModel = DataModel.LP64
) -> dict[str, int]:
    """Every scalar of a struct, by dotted path. Raises ValueError if `data` is too short."""
    if len(data) < layout.size(model):
        raise ValueError(f"struct {layout.tag} needs {layout.size(model)} bytes, got {len(data)}")
    out: dict[str, int] = {}
    for placed in layout.placed(model):
        raw = data[placed.offset : placed.offset + placed.size]
        value = int.from_bytes(raw, "little", signed=placed.signed)
        out[placed.path] = value if placed.bit is None else value >> placed.bit & 1
    return out
