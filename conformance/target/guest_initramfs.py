"""The initial file system of a guest: /init, the executor, and blocks for a disk.

A cpio archive in the "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst in
the kernel's source), compressed with gzip, which every kernel that is built for guests unpacks.
"""

from __future__ import annotations

import gzip
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

DISK_BYTES: Final = 32 << 20  # the size of the RAM disk that guests are built with
BLOCK: Final = 4096
MKE2FS_SECONDS_MAX: Final = 60.0  # takes 0.05 s
_TRAILER: Final = "TRAILER!!!"
_EXECUTABLE: Final = 0o100755
_GZIP_LEVEL: Final = 1  # 2 MB in 0.03 s; level 9 takes 0.3 s and saves a tenth
_FIELDS: Final = 13  # of a header, eight hexadecimal digits each


def make_initramfs(files: Mapping[str, bytes]) -> bytes:
    """A compressed archive of these files (by path without a leading slash), all executable."""
    out = bytearray()
    for number, name in enumerate(sorted(files), start=1):
        out += _entry(name, files[name], number, _EXECUTABLE)
    out += _entry(_TRAILER, b"", 0, 0)
    return gzip.compress(bytes(out), _GZIP_LEVEL, mtime=0)


def _entry(name: str, data: bytes, number: int, mode: int) -> bytes:
    encoded = name.encode() + b"\0"
    # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    assert len(fields) == _FIELDS
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def make_disk_blocks(size: int = DISK_BYTES) -> bytes:
    """An empty ext4 as records of a block number and a block, without blocks of zeros; b"" where
    mke2fs is missing or fails (guests then have no disk, and say so).

    A guest writes them to its RAM disk; whole images would have to be unpacked at every boot.
    """
    mke2fs = shutil.which("mke2fs", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if mke2fs is None:
        return b""
    with tempfile.TemporaryDirectory(prefix="madvet-disk-") as folder:
        path = Path(folder) / "disk"
        with path.open("wb") as file:
            file.truncate(size)
        # No journal: a disk of memory that nobody will ever look at again.
        command = [
            mke2fs,
            "-q",
            "-F",
            "-t",
            "ext4",
            "-b",
            str(BLOCK),
            "-O",
            "^has_journal",
            str(path),
        ]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=MKE2FS_SECONDS_MAX,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return b""
        return _blocks(path.read_bytes()) if done.returncode == 0 else b""


def _blocks(image: bytes) -> bytes:
    zeros = bytes(BLOCK)
    out = bytearray()
    for number in range(len(image) // BLOCK):
        block = image[number * BLOCK : (number + 1) * BLOCK]
        if block != zeros:
            out += struct.pack("<Q", number) + block
    return bytes(out)
