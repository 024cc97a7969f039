"""The counters and error details of madvise_ranges(), and the bytes they become (SPEC 1.5)."""

from __future__ import annotations

from struct import Struct
from typing import Final

_STATS: Final = Struct("<QQQQQQiIQQ")  # a test compares it with abi.control_v1.STATS
_PER_RANGE: Final = Struct("<QQiIBBHI")  # a test compares it with abi.control_v1.RANGE_STATS


class Statistics:
    """struct madvise_ranges_stats while a call runs; err is a positive errno."""

    __slots__ = ("mappings_advised", "mappings_skipped", "pages_advised", "pages_skipped", "gaps",
                 "err", "failed_address", "offset")  # fmt: skip

    def __init__(self) -> None:
        self.mappings_advised = 0
        self.mappings_skipped = 0
        self.pages_advised = 0
        self.pages_skipped = 0
        self.gaps = 0
        self.err = 0
        self.failed_address = 0
        self.offset = 0

    def advised(self, pages: int) -> None:
        """A part on which the advice succeeded."""
        self.mappings_advised += 1
        self.pages_advised += pages

    def skipped(self, pages: int) -> None:
        """A part on which it failed and was ignored, or that ALL leaves out."""
        self.mappings_skipped += 1
        self.pages_skipped += pages

    def fail(self, err: int, address: int, offset: int) -> None:
        """An error, ignored or not: only the first is kept."""
        if not self.err:
            self.err = err
            self.failed_address = address
            self.offset = offset

    def pack(self, per_range_at: int) -> bytes:
        """The 72 bytes, padding zero; the pointer member comes back as it was."""
        return _STATS.pack(
            self.mappings_advised,
            self.mappings_skipped,
            self.pages_advised,
            self.pages_skipped,
            self.gaps,
            per_range_at,
            self.err,
            0,
            self.failed_address,
            self.offset,
        )


def pack_per_range(start: int, length: int, advice: int, success: bool, partial: bool) -> bytes:
    """struct madvise_range_stats: the input range echoed, and the two verdicts."""
    return _PER_RANGE.pack(start, length, advice, 0, success, partial, 0, 0)
