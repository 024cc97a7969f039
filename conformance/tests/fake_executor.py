"""An executor that only speaks the protocol, and misbehaves where a program tells it to.

A program tells by an advice of its steps, see MISHAPS. Run as a script by the tests of
conformance.target: no kernel takes part, so every mishap happens where and when it should.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
import time
from pathlib import Path

from conformance.program.wire import MAGIC_OUTCOME, MAGIC_PROGRAM

DIES = 0x7001_0001  # takes the executor with it, every time
DIES_ONCE = 0x7001_0002  # only the first time in the life of a temporary folder
EXITS = 0x7001_0003
HANGS = 0x7001_0004
GARBLES = 0x7001_0005  # what should be an outcome is none
MISCOUNTS = 0x7001_0006  # the answer names one program too many
NOT_RUN = 0x7001_0007
LEAVES_BYTES = 0x7001_0008  # there is something after the last outcome
WRONG_ID = 0x7001_0009

WORDS = struct.Struct("<QQQ")


def option(name: str, default: str = "") -> str:
    """The value after an option of the command line."""
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def misbehave(words: set[int]) -> None:
    """What a program wants done to the executor itself."""
    if DIES_ONCE in words:
        mark = Path(option("--tmp"), "died-once")
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    if DIES in words:
        os.kill(os.getpid(), signal.SIGSEGV)
    if EXITS in words:
        sys.exit(7)
    if HANGS in words:
        time.sleep(3600)


def outcome(words: tuple[int, ...]) -> bytes:
    """One result: how many words the program has."""
    status = 3 if NOT_RUN in words else 0
    ident = words[1] + 1 if WRONG_ID in words else words[1]
    magic = 0xBAD if GARBLES in words else MAGIC_OUTCOME
    head = (magic << 32 | 5, ident, status | 1 << 32, 0)
    return struct.pack("<4Qq", *head, len(words))


def run(programs: bytes) -> tuple[bytes, int]:
    """The outcomes, and how many they claim to be."""
    out = []
    at = claimed = 0
    while at < len(programs):
        (head,) = struct.unpack_from("<Q", programs, at)
        assert head >> 32 == MAGIC_PROGRAM
        words = struct.unpack_from(f"<{head & 0xFFFFFFFF}Q", programs, at)
        at += 8 * len(words)
        misbehave(set(words))
        out.append(outcome(words))
        claimed += 2 if MISCOUNTS in words else 1
        if LEAVES_BYTES in words:
            out.append(bytes(8))
    return b"".join(out), claimed


def main() -> None:
    """Hello, then answers until the input ends."""
    if "--facts" in sys.argv:
        sys.stdout.write(Path(option("--fake-facts")).read_text("utf-8"))
        sys.exit(int(option("--fake-facts-status", "0")))
    if "--fake-silent-start" in sys.argv:
        time.sleep(3600)
    if "--fake-no-start" in sys.argv:
        sys.stderr.write("executor: no coffee\n")
        sys.exit(3)
    ring_bytes = int(option("--ring-bytes"))
    ring = mmap.mmap(int(option("--ring")), ring_bytes)
    quarter = ring_bytes // 4
    os.write(1, WORDS.pack(int(option("--fake-version", "2")), 1, 0))
    while bell := os.read(0, WORDS.size):
        pair, size, _ = WORDS.unpack(bell)
        answer, count = run(ring[pair * quarter : pair * quarter + size])
        start = (2 + pair) * quarter
        ring[start : start + len(answer)] = answer
        os.write(1, WORDS.pack(pair, len(answer), count))


if __name__ == "__main__":
    main()
