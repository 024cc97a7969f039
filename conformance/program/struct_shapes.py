"""The structs of a call as bytes, fast, for either data model of the caller.

Every form here is one that abi.layout describes; a test compares each with the codec.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from conformance.abi import control_v1 as v1
from conformance.abi.scalars import DataModel


class Shape:
    """Sizes in bytes, and packers, of the structs that a caller of one data model uses.

    word: of a pointer, a size_t and an unsigned long; mask: the largest of these. pointer_at:
    where per_range_stats lies in the stats. range_out packs (addr, size, advice, padding) and
    range_in reads the first three.
    """

    __slots__ = (
        "model", "word", "mask", "control_size", "stats_size", "range_size", "per_range_size",
        "iovec_size", "pointer_at", "flags_at", "iovec", "range_out", "range_in", "stats",
        "per_range",
    )  # fmt: skip

    def __init__(
        self, model: DataModel, iovec: str, range_out: str, range_in: str, stats: str, element: str
    ) -> None:
        self.model = model
        self.control_size = v1.CONTROL.size(model)
        self.stats_size = v1.STATS.size(model)
        self.range_size = v1.RANGE.size(model)
        self.per_range_size = v1.RANGE_STATS.size(model)
        self.pointer_at = v1.STATS.offset("per_range_stats", model)
        self.flags_at = v1.CONTROL.offset("is_remote", model)
        self.iovec = Struct(iovec)
        self.iovec_size = self.iovec.size
        self.word = self.iovec_size // 2
        self.mask = (1 << 8 * self.word) - 1
        self.range_out = Struct(range_out)
        self.range_in = Struct(range_in)
        self.stats = Struct(stats)
        self.per_range = Struct(element)


# The per-range element is (addr, size, advice, padding, success, partial, padding...); where
# ILP32 has no padding after advice, the format has none.
LP64_SHAPE: Final = Shape(DataModel.LP64, "<QQ", "<QQII", "<QQi4x", "<QQQQQQi4xQQ", "<QQi4xBB6x")
ILP32_SHAPE: Final = Shape(DataModel.ILP32, "<II", "<III", "<IIi", "<IIIIIIiII", "<IIiBB2x")


def shape_of(ilp32: bool) -> Shape:
    """The shape that a step's calls have."""
    return ILP32_SHAPE if ilp32 else LP64_SHAPE
