"""The ring: one memfd of four equal parts (in0, in1, out0, out1) shared with an executor.

Part 0 or 1 names a pair: programs are put into its in part, the executor answers in its out
part. Nothing else is shared, and a killed executor leaves nothing in it that matters.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Sequence
from typing import Final

from conformance.target.limits import PART_BYTES, RING_PARTS
from conformance.target.target import TargetError

PAIRS: Final = 2


class Ring:
    """The memory and its descriptor. part_bytes: size of each of the four parts."""

    def __init__(self, part_bytes: int = PART_BYTES) -> None:
        """Raises TargetError when the memory cannot be had."""
        self.part_bytes = part_bytes
        self.bytes = part_bytes * RING_PARTS
        try:
            self.fd = os.memfd_create("madvet-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError as error:
            raise TargetError(f"cannot make the shared ring: {error.strerror}") from error
        try:
            os.ftruncate(self.fd, self.bytes)
            # A ring that shrank under either side would kill it with SIGBUS.
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
            self._memory = mmap.mmap(self.fd, self.bytes)
        except OSError as error:
            os.close(self.fd)
            raise TargetError(
                f"cannot map the shared ring of {self.bytes >> 20} MiB: {error.strerror}"
            ) from error
        self._view = memoryview(self._memory)

    def put(self, pair: int, programs: Sequence[bytes]) -> int:
        """Lay encoded programs into an in part, one after the other; how many bytes they are.

        Raises ValueError when they do not fit: the caller cuts batches to size.
        """
        joined = b"".join(programs)
        size = len(joined)
        if size > self.part_bytes:
            raise ValueError(f"{size} bytes do not fit a part of {self.part_bytes}")
        start = pair * self.part_bytes
        self._view[start : start + size] = joined
        return size

    def answer(self, pair: int, size: int) -> memoryview:
        """The first `size` bytes of an out part; ValueError if a part is not that large."""
        if not 0 <= size <= self.part_bytes:
            raise ValueError(f"an answer of {size} bytes in a part of {self.part_bytes}")
        start = (PAIRS + pair) * self.part_bytes
        return self._view[start : start + size]

    def close(self) -> None:
        """Give the memory back. May be repeated."""
        if self.fd >= 0:
            self._view.release()
            self._memory.close()
            os.close(self.fd)
            self.fd = -1
