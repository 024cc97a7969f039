"""The initial file system of a guest: /init, the executor, and blocks for a disk.

A cpio archive in the "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst in
the kernel's source), compressed with gzip, which every kernel that is built for guests unpacks.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from conformance.target.executor_build import ExecutorUnavailable, build_executor, build_guest_init
from conformance.target.target import TargetError

DISK_BYTES: Final = 32 << 20  # the size of the RAM disk that guests are built with
BLOCK: Final = 4096
TOOL_SECONDS_MAX: Final = 60.0  # takes 0.05 s
FORMAT: Final = 1  # of what is inside: changes with this file
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


def guest_initramfs() -> Path:
    """The archive that guests boot with, made now if there is none of these contents in the cache
    beside the executor. Raises TargetError."""
    try:
        init, executor = build_guest_init(), build_executor()
    except ExecutorUnavailable as error:
        raise TargetError(str(error)) from error
    mke2fs = shutil.which("mke2fs", path="/usr/sbin:/sbin:/usr/bin:/bin") or ""
    contents = f"{FORMAT} {init.name} {executor.name} {mke2fs}"
    target = executor.parent / f"initramfs-{hashlib.sha256(contents.encode()).hexdigest()[:24]}"
    if target.is_file():
        return target
    files = {
        "init": _stripped(init),
        "executor": _stripped(executor),
        "disk.blocks": _disk_blocks(mke2fs) if mke2fs else b"",
    }
    try:
        handle, unfinished = tempfile.mkstemp(dir=target.parent, prefix=".building-")
        with os.fdopen(handle, "wb") as file:
            file.write(make_initramfs(files))
        Path(unfinished).rename(target)
    except OSError as error:
        raise TargetError(
            f"cannot write a guest's file system to {target}: {error.strerror}"
        ) from error
    return target


def _stripped(binary: Path) -> bytes:
    """Without what only debuggers read, where binutils can take it out: half of it."""
    strip = shutil.which("strip")
    if strip is not None:
        with tempfile.TemporaryDirectory(prefix="madvet-strip-") as folder:
            out = Path(folder) / "stripped"
            if _run([strip, "-o", str(out), str(binary)]):
                return out.read_bytes()
    return binary.read_bytes()


def _disk_blocks(mke2fs: str) -> bytes:
    """An empty ext4 as records of a block number and a block, without blocks of zeros; b"" where
    mke2fs fails (guests then have no disk, and say so).

    A guest writes them to its RAM disk; whole images would have to be unpacked at every boot.
    """
    with tempfile.TemporaryDirectory(prefix="madvet-disk-") as folder:
        path = Path(folder) / "disk"
        with path.open("wb") as file:
            file.truncate(DISK_BYTES)
        # No journal: a disk of memory that nobody will ever look at again. Always the same.
        identity = "00000000-0000-4000-8000-000000000001"
        command = [
            mke2fs, "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-O", "^has_journal",
            "-U", identity, "-E", f"hash_seed={identity}", str(path),
        ]  # fmt: skip
        return _blocks(path.read_bytes()) if _run(command) else b""


def _run(command: list[str]) -> bool:
    """Did it succeed?"""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TOOL_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _blocks(image: bytes) -> bytes:
    zeros = bytes(BLOCK)
    out = bytearray()
    for number in range(len(image) // BLOCK):
        block = image[number * BLOCK : (number + 1) * BLOCK]
        if block != zeros:
            out += struct.pack("<Q", number) + block
    return bytes(out)
