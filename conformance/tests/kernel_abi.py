"""kernel/madvise_ranges_abi.c as a library: the kernel's own code, on memory that a test made."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from conformance.program.places import ZONE_BASE, ZONE_END, ZONE_POISON

ROOT: Final = Path(__file__).parents[2]
HARNESS: Final = ROOT / "kernel/tests/abi_harness.c"
_WORD: Final = ctypes.c_uint64
_INT: Final = ctypes.c_int


class _View(ctypes.Structure):
    _fields_ = (
        ("array", _WORD), ("stats", _WORD), ("per_range", _WORD), ("nr_ranges", _WORD),
        ("type", ctypes.c_uint32), ("flags", ctypes.c_uint32), ("set_default", ctypes.c_uint32),
        ("pidfd", ctypes.c_int32),
    )  # fmt: skip


class Fetched(NamedTuple):
    """struct mr_request up to the stats."""

    array: int
    stats: int
    per_range: int
    nr_ranges: int
    type: int
    flags: int
    set_default: int
    pidfd: int


class KernelAbi:
    """One call at a time. memory: the bytes from ZONE_BASE to ZONE_END; reads: of each byte."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.abi_world.argtypes = (
            _WORD, _WORD, ctypes.c_void_p, ctypes.c_void_p, _INT, _INT,
        )  # fmt: skip
        self._library.abi_fetch_request.argtypes = (_WORD, ctypes.POINTER(_View))
        self._library.abi_range.argtypes = (_WORD, *[ctypes.c_void_p] * 3)
        self._library.abi_range_good.argtypes = (_WORD, _INT, _INT)
        self._library.abi_verdict.argtypes = (_WORD, _INT, _INT)
        self._library.abi_report.argtypes = (ctypes.POINTER(_WORD), _INT, _WORD, _INT)
        self._library.abi_end.restype = ctypes.c_long
        self._size = ZONE_END - ZONE_BASE
        self._bytes = ctypes.create_string_buffer(self._size)
        self._reads = ctypes.create_string_buffer(self._size)
        self.reset()

    def reset(self, compat: bool = False, writable: bool = True) -> None:
        """Fresh memory, and the kind of the next caller."""
        ctypes.memset(self._bytes, ZONE_POISON, self._size)
        ctypes.memset(self._reads, 0, self._size)
        self._library.abi_world(
            ZONE_BASE, self._size, ctypes.addressof(self._bytes), ctypes.addressof(self._reads),
            writable, compat,
        )  # fmt: skip
        self._library.abi_no_memory(0)

    def no_memory(self) -> None:
        """From here on allocations fail."""
        self._library.abi_no_memory(1)

    def place(self, at: int, data: bytes) -> None:
        """Store bytes, as far as they lie in the memory."""
        first = at - ZONE_BASE
        room = data[: self._size - first]
        ctypes.memmove(ctypes.byref(self._bytes, first), room, len(room))

    def memory(self) -> bytes:
        """All of it."""
        return bytes(self._bytes.raw)

    def read(self, at: int, size: int) -> bytes:
        """Load bytes."""
        return self.memory()[at - ZONE_BASE : at - ZONE_BASE + size]

    def reads(self) -> bytes:
        """How often each byte was fetched."""
        return bytes(self._reads.raw)

    def fetch_request(self, ctl: int) -> Fetched | int:
        """The request, or -errno."""
        view = _View()
        error = int(self._library.abi_fetch_request(ctl, ctypes.byref(view)))
        return error or Fetched(*(getattr(view, name) for name in Fetched._fields))

    def fetch_ranges(self) -> int:
        """0 or -errno."""
        return int(self._library.abi_fetch_ranges())

    def range(self, index: int) -> tuple[int, int, int]:
        """addr, size, advice of a range that was fetched."""
        addr, size, advice = _WORD(), _WORD(), ctypes.c_int32()
        self._library.abi_range(index, ctypes.byref(addr), ctypes.byref(size), ctypes.byref(advice))
        return addr.value, size.value, advice.value

    def range_good(self, index: int, valid: bool, other_process: bool = False) -> bool:
        """Whether a range may be advised. valid: does the kernel know its advice?"""
        return bool(self._library.abi_range_good(index, valid, other_process))

    def verdict(self, index: int, success: bool, partial: bool) -> None:
        """What came of a range."""
        self._library.abi_verdict(index, success, partial)

    def report(self, counters: list[int], err: int, reached: int, result: int) -> int:
        """counters: advised and skipped mappings, advised and skipped pages, gaps, failed_address,
        offset. The result of the call."""
        return int(self._library.abi_report((_WORD * 7)(*counters), err, reached, result))

    def end(self) -> int:
        """Free what the call allocated: what is still allocated then."""
        return int(self._library.abi_end())


def build(folder: Path, *flags: str) -> Path:
    """The library, with every warning an error."""
    out = folder / "kernel_abi.so"
    subprocess.run(
        ["cc", "-std=gnu11", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror",
         f"-I{ROOT / 'kernel'}", f"-I{ROOT / 'conformance/abi/generated'}", *flags,
         "-o", str(out), str(HARNESS)],
        check=True,
    )  # fmt: skip
    return out
