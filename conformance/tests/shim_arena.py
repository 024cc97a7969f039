"""What the tests of the shim stand on: the shim as a library, a piece of address space at a
fixed place, and calls whose structs lie in it."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from conformance.abi import control_v1 as v1
from conformance.abi.advice import BY_NAME
from conformance.abi.codec import pack_struct, unpack_struct
from conformance.abi.vm_flags import BIT
from conformance.program.places import PAGE
from conformance.target.executor_build import SOURCES

BASE: Final = 0x1000_0000
ARENA_PAGES: Final = 64
CTL: Final = BASE + 64 * PAGE  # where each struct lies, unless a test says otherwise
STATS: Final = CTL + 0x100
ARRAY: Final = CTL + 0x200
ELEMENTS: Final = CTL + 0x800
STRUCT_PAGES: Final = 16  # room for 1025 ranges or elements, then nothing
NOWHERE: Final = CTL + STRUCT_PAGES * PAGE
READ_ONLY: Final = NOWHERE + PAGE
END: Final = READ_ONLY + PAGE
FILL: Final = 0xEE  # what structs hold before the call writes them

PROT_NONE, PROT_READ, PROT_RW = 0, 1, 3
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS = 1, 2, 0x10, 0x20
REMOTE, IGNORE, SINGLE_ONLY, STOP = 1, 2, 4, 8
SINGLE, MULTI, ALL = 0, 1, 2

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = (
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
)  # fmt: skip
_LIBC.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_LIBC.mlock.argtypes = (ctypes.c_void_p, ctypes.c_size_t)


def advice(name: str) -> int:
    """An advice's value."""
    return BY_NAME[name].value


def page(number: int) -> int:
    """The address of an arena page."""
    return BASE + number * PAGE


class Range(NamedTuple):
    """One struct madvise_range."""

    addr: int
    size: int
    advice: int


def pages(first: int, count: int, name: str) -> Range:
    """The range of whole arena pages, and an advice by name."""
    return Range(page(first), count * PAGE, advice(name))


class Answer(NamedTuple):
    """What a call returned and wrote. stats: by member, empty if untouched; elements: bytes."""

    result: int
    stats: dict[str, int]
    raw: bytes
    elements: tuple[bytes, ...]

    def counts(self) -> tuple[int, int, int, int, int]:
        """Mappings advised and skipped, pages advised and skipped, gaps."""
        s = self.stats
        return (
            s["nr_mappings_advised"], s["nr_mappings_skipped"],
            s["nr_pages_advised"], s["nr_pages_skipped"], s["nr_gaps"],
        )  # fmt: skip

    def error(self) -> tuple[int, int, int]:
        """err, failed_address, offset."""
        return self.stats["err"], self.stats["failed_address"], self.stats["offset"]

    def verdict(self, index: int) -> tuple[int, int]:
        """success and partial of a range."""
        return self.elements[index][24], self.elements[index][25]


class Arena:
    """The address space of a test: mapped by it, and gone after it."""

    def __init__(self, library: str) -> None:
        self._shim = ctypes.CDLL(library)
        self._shim.shim_madvise_ranges.argtypes = (ctypes.c_void_p,)
        with open("/proc/self/maps", encoding="ascii", errors="replace") as maps:
            for line in maps:
                low, high = (int(word, 16) for word in line.split()[0].split("-"))
                assert high <= BASE or low >= END, f"the arena's place is taken: {line}"
        self.map_at(CTL, STRUCT_PAGES)
        self.map_at(READ_ONLY, 1, PROT_READ)

    def close(self) -> None:
        """Unmap everything."""
        _LIBC.munmap(BASE, END - BASE)

    def map(self, first: int, count: int, prot: int = PROT_RW, flags: int = MAP_PRIVATE) -> None:
        """Map anonymous memory at arena pages."""
        self.map_at(page(first), count, prot, flags)

    def map_at(
        self, at: int, count: int, prot: int = PROT_RW, flags: int = MAP_PRIVATE, fd: int = -1
    ) -> None:
        """Map memory, of a file if one is given."""
        flags |= MAP_FIXED | (MAP_ANONYMOUS if fd < 0 else 0)
        assert _LIBC.mmap(at, count * PAGE, prot, flags, fd, 0) == at

    def unmap(self, first: int, count: int) -> None:
        """Make a hole."""
        assert _LIBC.munmap(page(first), count * PAGE) == 0

    def protect(self, at: int, count: int, prot: int) -> None:
        """mprotect()."""
        assert _LIBC.mprotect(at, count * PAGE, prot) == 0

    def lock(self, first: int, count: int) -> None:
        """mlock(): what then refuses DONTNEED, FREE and COLD."""
        assert _LIBC.mlock(page(first), count * PAGE) == 0

    def write(self, at: int, data: bytes) -> None:
        """Store bytes."""
        ctypes.memmove(at, data, len(data))

    def read(self, at: int, size: int) -> bytes:
        """Load bytes."""
        return ctypes.string_at(at, size)

    def vmas(self, low: int = BASE, high: int = CTL) -> list[tuple[int, int, frozenset[str]]]:
        """Mappings of this process: start, end, VmFlags."""
        out = []
        start = end = 0
        with open("/proc/self/smaps", encoding="ascii", errors="replace") as smaps:
            for line in smaps:
                first = line.split(None, 1)[0]
                if "-" in first and not first.endswith(":"):
                    start, end = (int(word, 16) for word in first.split("-"))
                elif first == "VmFlags:" and low <= start < high:
                    out.append((start, end, frozenset(line.split()[1:]) & BIT.keys()))
        return out

    def flagged(self, flag: str) -> list[int]:
        """The arena pages whose mapping has a VmFlag."""
        return [
            number
            for start, end, flags in self.vmas()
            if flag in flags
            for number in range((start - BASE) // PAGE, (end - BASE) // PAGE)
        ]

    def raw_call(self, ctl: int) -> int:
        """The call itself: 0 or -errno."""
        return int(self._shim.shim_madvise_ranges(ctl))

    def lay_out(
        self, ranges: Sequence[Range] = (), flags: int = 0, *, kind: int | None = None,
        stats: int = STATS, elements: int = 0, array: int = ARRAY, count: int | None = None,
        pidfd: int = -1, set_default: int = 0, members: Mapping[str, int] | None = None,
    ) -> bytes:  # fmt: skip
        """Fill stats, elements and array, as far as they are where memory is; the bytes of the
        control struct. kind None: SINGLE for one range, else MULTI. members: set afterwards."""
        kind = (SINGLE if len(ranges) == 1 else MULTI) if kind is None else kind
        if CTL <= elements < NOWHERE:
            self.write(elements, bytes([FILL]) * 32 * max(1, len(ranges)))
        if CTL <= stats < NOWHERE - 72:
            self.write(stats, pack_struct(v1.STATS, {"per_range_stats": elements}, fill=FILL))
        if kind == MULTI and BASE <= array < NOWHERE:
            self.write(array, b"".join(_pack(each) for each in ranges)[: NOWHERE - array])
        control = {"version": 1, "type": kind, "stats": stats, "pidfd": pidfd}
        if kind == SINGLE:
            control |= {f"range.{name}": value for name, value in ranges[0]._asdict().items()}
        elif kind == MULTI:
            count = len(ranges) if count is None else count
            control |= {"ranges.arr": array, "ranges.count": count}
        else:
            control |= {"all.advice": ranges[0].advice, "all.set_default": set_default}
        raw = bytearray(pack_struct(v1.CONTROL, {**control, **(members or {})}))
        raw[44] |= flags
        return bytes(raw)

    def call(
        self, *ranges: Range, flags: int = 0, ctl: int = CTL, stats: int = STATS,
        elements: int = 0, kind: int | None = None, array: int = ARRAY,
        count: int | None = None, pidfd: int = -1, set_default: int = 0,
        members: Mapping[str, int] | None = None,
    ) -> Answer:  # fmt: skip
        """Lay out a call's structs, make it, and read back what it wrote."""
        raw = self.lay_out(
            ranges, flags, kind=kind, stats=stats, elements=elements, array=array,
            count=count, pidfd=pidfd, set_default=set_default, members=members,
        )  # fmt: skip
        self.write(ctl, raw)
        return self.answer(self.raw_call(ctl), stats, elements, len(ranges))

    def answer(self, result: int, stats: int, elements: int, count: int) -> Answer:
        """What lies at stats and elements now."""
        raw = self.read(stats, 72) if CTL <= stats < NOWHERE - 72 else b""
        untouched = pack_struct(v1.STATS, {"per_range_stats": elements}, fill=FILL)
        read = unpack_struct(v1.STATS, raw) if raw and raw != untouched else {}
        parts = [self.read(elements + 32 * i, 32) for i in range(count)] if elements else []
        return Answer(result, read, raw, tuple(parts))


def _pack(each: Range) -> bytes:
    """A range whose padding is not zero: nobody may look at it, nobody may echo it."""
    return pack_struct(v1.RANGE, each._asdict(), fill=0x5A)


def build_library(folder: Path, *flags: str) -> Path:
    """The shim as a shared library that a test can call."""
    out = folder / "shim.so"
    sources = [str(path) for path in sorted(SOURCES.glob("shim*.c"))]
    subprocess.run(
        ["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra",
         "-Werror", "-fno-strict-aliasing", *flags, "-o", str(out), *sources],
        check=True,
    )  # fmt: skip
    return out
