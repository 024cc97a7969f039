"""struct madvise_ranges_control as a program writes it: fields, or raw hostile bytes."""

from __future__ import annotations

import msgspec


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """struct madvise_range: absolute address, size in bytes, advice (C int)."""

    start: int
    length: int
    advice: int


class Single(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="single"):
    """MADVISE_RANGE_SINGLE."""

    range: Range


class Multi(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="multi"
):
    """MADVISE_RANGE_MULTI; count is what the struct says, None for len(ranges)."""

    ranges: tuple[Range, ...] = ()
    count: int | None = None


class All(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="all"):
    """MADVISE_RANGE_ALL; set_default is the byte, 0..255."""

    advice: int
    set_default: int = 0


Arm = Single | Multi | All


class ControlFields(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="fields"
):
    """The members. type_value None: as the arm says. flag_byte_extra is or-ed into the byte of the
    options, tail is the three bytes after it, padding fills what the arm leaves of the union
    and the padding inside struct madvise_range."""

    arm: Arm
    version: int = 1
    type_value: int | None = None
    pidfd: int = -1
    is_remote: bool = False
    ignore_errors: bool = False
    single_mapping_only: bool = False
    stop_on_gap: bool = False
    flag_byte_extra: int = 0
    tail: int = 0
    padding: int = 0


class ControlBytes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="bytes"):
    """The bytes at ctl_at, in hexadecimal, any length up to a page; ranges are still laid out
    at array_at, and stats at stats_at, for the bytes to point to."""

    raw: str
    ranges: tuple[Range, ...] = ()


Control = ControlFields | ControlBytes
