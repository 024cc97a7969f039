"""C scalar types: size and alignment on the two data models of Linux, in bytes.

ILP32 here is i386, where 64-bit integers align to 4.
"""

from __future__ import annotations

from enum import Enum


class DataModel(Enum):
    """Who the caller is: a 64-bit process, or a 32-bit one on a 64-bit kernel."""

    LP64 = "lp64"
    ILP32 = "ilp32"


class Scalar(Enum):
    """A C type: (C spelling, LP64 size, ILP32 size, signed). Alignment equals size here."""

    INT = ("int", 4, 4, True)
    ENUM = ("enum madvise_range_type", 4, 4, False)
    BOOL = ("bool", 1, 1, False)
    ULONG = ("unsigned long", 8, 4, False)
    SIZE_T = ("size_t", 8, 4, False)
    POINTER = ("void *", 8, 4, False)

    def __init__(self, spelling: str, lp64: int, ilp32: int, signed: bool) -> None:
        self.spelling = spelling
        self.lp64 = lp64
        self.ilp32 = ilp32
        self.signed = signed

    def size(self, model: DataModel) -> int:
        """Bytes; also the alignment."""
        return self.lp64 if model is DataModel.LP64 else self.ilp32
