"""Where in a kernel's image KCOV is told that a block of code runs, and of which lines that is.

Every block of a traced file begins with a call of one function. In an image with plain calls
(x86-64, and user mode Linux as ci/kernels builds it) they can be read off without a disassembler:
five bytes, of which the last four lead there. That other bytes do so by chance has probability
2^-32 for each byte E8, of which a kernel has some hundred thousand.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

CALLBACK: Final = b"__sanitizer_cov_trace_pc"
CALL: Final = b"\xe8"
CALL_BYTES: Final = 5
ELF_64_LITTLE: Final = b"\x7fELF\x02\x01"
SECTION: Final = struct.Struct("<IIQQQQIIQQ")
SYMBOL: Final = struct.Struct("<IBBHQQ")
EXECUTABLE: Final = 0x4  # flag of a section
SYMBOLS: Final = 2  # type of a section
SECONDS_MAX: Final = 120  # takes 0.2 s
BUILD: Final = "`madvet kernels build uml` makes one"


class CoverageError(Exception):
    """What was reached cannot be told by line. The message says why, and what to do."""


class Frame(NamedTuple):
    """A place in the sources. Of code that was put in line there are several, innermost first."""

    function: str
    path: str
    line: int


class Site(NamedTuple):
    """A block of code. address: as KCOV gives it, behind the call."""

    address: int
    frames: tuple[Frame, ...]


class _Section(NamedTuple):
    kind: int
    flags: int
    address: int
    data: bytes
    link: int


def read_sites(image: Path) -> list[Site]:
    """Every block of code that tells KCOV of itself, by address. Raises CoverageError."""
    try:
        data = image.read_bytes()
    except OSError as error:
        raise CoverageError(f"cannot read {image}: {error.strerror}") from error
    if not data.startswith(ELF_64_LITTLE):
        raise CoverageError(
            f"{image} is no ELF file, so that its lines are not known; {BUILD} that is"
        )
    sections = _sections(data)
    callback = _address_of(CALLBACK, sections)
    addresses = [
        address
        for section in sections
        if section.flags & EXECUTABLE
        for address in _calls(section, callback)
    ]
    if not addresses:
        raise CoverageError(f"nothing in {image} is traced by KCOV; {BUILD} in which it is")
    return _symbolised(image, sorted(addresses))


def _sections(data: bytes) -> list[_Section]:
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<2H", data, 0x3A)
    out = []
    for i in range(count):
        _, kind, flags, address, offset, length, link, _, _, _ = SECTION.unpack_from(
            data, table + i * size
        )
        out.append(_Section(kind, flags, address, data[offset : offset + length], link))
    return out


def _address_of(name: bytes, sections: list[_Section]) -> int:
    for section in sections:
        if section.kind != SYMBOLS:
            continue
        names = sections[section.link].data
        for at in range(0, len(section.data), SYMBOL.size):
            start, _, _, _, address, _ = SYMBOL.unpack_from(section.data, at)
            if names.startswith(name + b"\0", start) and address:
                return int(address)
    raise CoverageError(f"the kernel has no KCOV; {BUILD} that has it")


def _calls(section: _Section, callback: int) -> Iterator[int]:
    """The addresses behind the calls of the callback."""
    data = section.data
    at = data.find(CALL)
    while 0 <= at <= len(data) - CALL_BYTES:
        behind = section.address + at + CALL_BYTES
        (distance,) = struct.unpack_from("<i", data, at + 1)
        if behind + distance == callback:
            yield behind
        at = data.find(CALL, at + 1)


def _symbolised(image: Path, addresses: list[int]) -> list[Site]:
    """The lines are those of the call itself, which lies in front of the address."""
    if shutil.which("addr2line") is None:
        raise CoverageError("addr2line is missing: apt-get install binutils")
    asked = "".join(f"{address - 1:#x}\n" for address in addresses)
    try:
        done = subprocess.run(
            ["addr2line", "-a", "-f", "-i", "-e", str(image)],
            input=asked, capture_output=True, text=True, check=True, timeout=SECONDS_MAX,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise CoverageError(f"addr2line cannot read {image}: {error}") from error
    sites: list[Site] = []
    frames: list[Frame] = []
    lines = done.stdout.splitlines()
    at = 0
    while at < len(lines):
        if lines[at].startswith("0x"):
            frames = []
            sites.append(Site(int(lines[at], 16) + 1, ()))
            at += 1
            continue
        frames.append(_frame(lines[at], lines[at + 1]))
        sites[-1] = Site(sites[-1].address, tuple(frames))
        at += 2
    if not any(frame.line for site in sites for frame in site.frames):
        raise CoverageError(f"{image} does not say which line its code is of; {BUILD} that does")
    return sites


def _frame(function: str, place: str) -> Frame:
    path, _, line = place.partition(" ")[0].rpartition(":")
    return Frame(function, path, int(line) if line.isdecimal() else 0)
