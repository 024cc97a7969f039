"""The counters and error details of madvise_ranges(), and the bytes they become (SPEC 1.5)."""

from __future__ import annotations

from conformance.program.struct_shapes import LP64_SHAPE, Shape
from conformance.spec.cite import cite, met


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
        met("stats-first-error")
        if not self.err:
            self.err = err
            self.failed_address = address
            self.offset = offset

    def pack(self, per_range_at: int, shape: Shape = LP64_SHAPE) -> bytes:
        """The bytes, padding zero; the pointer member comes back as it was. What an ILP32
        caller's 32 bits do not hold is told as the largest number that they do."""
        values: tuple[int, ...] = (
            self.mappings_advised,
            self.mappings_skipped,
            self.pages_advised,
            self.pages_skipped,
            self.gaps,
            per_range_at,
            self.err,
            self.failed_address,
            self.offset,
        )
        if shape is not LP64_SHAPE:
            cite("abi-compat")
            mask = shape.mask
            values = tuple([min(value, mask) for value in values])
        packed: bytes = shape.stats.pack(*values)
        return packed


def pack_per_range(
    start: int, length: int, advice: int, success: bool, partial: bool, shape: Shape = LP64_SHAPE
) -> bytes:
    """struct madvise_range_stats: the input range echoed, and the two verdicts."""
    packed: bytes = shape.per_range.pack(start, length, advice, success, partial)
    return packed
