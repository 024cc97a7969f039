"""Version 1 of the madvise_ranges structs: the RFC's members, in the RFC's order (SPEC 1.1)."""

from __future__ import annotations

from typing import Final

from conformance.abi.layout import Bitfield, Field, StructLayout, Union
from conformance.abi.scalars import Scalar as S

VERSION: Final = 1
TYPE_SINGLE, TYPE_MULTI, TYPE_ALL = 0, 1, 2
TYPE_NAMES: Final = ("MADVISE_RANGE_SINGLE", "MADVISE_RANGE_MULTI", "MADVISE_RANGE_ALL")
COUNT_MAX: Final = 1024  # UIO_MAXIOV

FLAG_IS_REMOTE, FLAG_IGNORE_ERRORS = 1, 2
FLAG_SINGLE_MAPPING_ONLY, FLAG_STOP_ON_GAP = 4, 8
FLAGS_KNOWN: Final = 15

RANGE: Final = StructLayout(
    "madvise_range",
    (Field("addr", S.POINTER, "const void *addr"), Field("size", S.SIZE_T), Field("advice", S.INT)),
)
RANGES: Final = StructLayout(
    "madvise_ranges",
    (Field("arr", S.POINTER, "const struct madvise_range *arr"), Field("count", S.SIZE_T)),
)
RANGE_STATS: Final = StructLayout(
    "madvise_range_stats",
    (Field("range", RANGE), Field("success", S.BOOL), Field("partial", S.BOOL)),
)
STATS: Final = StructLayout(
    "madvise_ranges_stats",
    (
        Field("nr_mappings_advised", S.ULONG),
        Field("nr_mappings_skipped", S.ULONG),
        Field("nr_pages_advised", S.ULONG),
        Field("nr_pages_skipped", S.ULONG),
        Field("nr_gaps", S.ULONG),
        Field("per_range_stats", S.POINTER, "struct madvise_range_stats *per_range_stats"),
        Field("err", S.INT),
        Field("failed_address", S.ULONG),
        Field("offset", S.SIZE_T),
    ),
)
ALL: Final = StructLayout(
    "madvise_ranges_all", (Field("advice", S.INT), Field("set_default", S.BOOL))
)
CONTROL: Final = StructLayout(
    "madvise_ranges_control",
    (
        Field("version", S.INT),
        Field("type", S.ENUM),
        Union((Field("range", RANGE), Field("ranges", RANGES), Field("all", ALL))),
        Field("stats", S.POINTER, "struct madvise_ranges_stats *stats"),
        Field("pidfd", S.INT),
        Bitfield("is_remote"),
        Bitfield("ignore_errors"),
        Bitfield("single_mapping_only"),
        Bitfield("stop_on_gap"),
    ),
)
STRUCTS: Final = (RANGE, RANGES, RANGE_STATS, STATS, ALL, CONTROL)
