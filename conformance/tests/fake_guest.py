"""A guest that only speaks the protocol, and misbehaves where a program or its command line
tells it to: no kernel takes part, so every mishap happens where and when it should.

Its /init and its executor are one process. A program tells by an advice of its steps.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Final

from conformance.tests.fake_executor import outcome

PANICS: Final = 0x7002_0001  # every time
PANICS_ONCE: Final = 0x7002_0002  # only the first time in the life of a temporary folder
SPLATS: Final = 0x7002_0003  # a report, and life goes on
TAINTS: Final = 0x7002_0004  # and says nothing
STANDS_STILL: Final = 0x7002_0005
TALKS_NONSENSE: Final = 0x7002_0006
CUTS_ANSWER: Final = 0x7002_0007  # half an answer, then nothing
REBOOTS: Final = 0x7002_0008  # /init says again that it is ready
LOSES_EXECUTOR: Final = 0x7002_0009
KILLED_ONCE: Final = 0x7002_000A  # by somebody else
FIRST_OF_TWO: Final = 0x7002_000B
SECOND_OF_TWO: Final = 0x7002_000C  # panics if the first ran before it in the same batch
THINKS: Final = 0x7002_000D  # for longer than a silence may last, with signs of life
CHATTERS: Final = 0x7002_000E  # prints what is no report

WORDS: Final = struct.Struct("<QQQ")
READY = int.from_bytes(b"READY", "little")
RUN = int.from_bytes(b"RUN", "little")
ENDED = int.from_bytes(b"ENDED", "little")
ALIVE = int.from_bytes(b"ALIVE", "little")
TAINT_WARN = 1 << 9

OOPS = """BUG: kernel NULL pointer dereference, address: 0000000000000008
#PF: supervisor read access in kernel mode
Oops: Oops: 0000 [#1] SMP
CPU: 0 UID: 0 PID: 42 Comm: executor Not tainted 7.3.4 #1
RIP: 0010:madvise_fake_walk+0x12/0x40
Call Trace:
 <TASK>
 do_madvise_fake+0x31/0x50
 </TASK>
Kernel panic - not syncing: Fatal exception
"""
OOPS_TITLE = "BUG: unable to handle kernel NULL pointer dereference in madvise_fake_walk"
SPLAT = """
============================================
WARNING: possible recursive locking detected
7.3.4 #1 Not tainted
--------------------------------------------
executor/42 is trying to acquire lock:
ffff888000000000 (&mm->mmap_lock){++++}-{4:4}, at: madvise_fake_lock+0x12/0x40

but task is already holding lock:
ffff888000000000 (&mm->mmap_lock){++++}-{4:4}, at: madvise_fake_walk+0x12/0x40

stack backtrace:
Call Trace:
 <TASK>
 madvise_fake_lock+0x12/0x40
 </TASK>
"""
SPLAT_TITLE = "possible deadlock in madvise_fake_lock"


class FakeGuest:
    """bell: descriptor. folder: outlives this guest; boots are counted in it."""

    def __init__(self, bell: int, ring_fd: int, ring_bytes: int, folder: Path) -> None:
        self._bell = bell
        self._ring = mmap.mmap(ring_fd, ring_bytes)
        self._quarter = ring_bytes // 4
        self._folder = folder
        self._taint = 0
        with (folder / "boots").open("a", encoding="ascii") as boots:
            boots.write(".")

    def say(self, *words: int) -> None:
        """On the bell."""
        os.write(self._bell, WORDS.pack(*words))

    def serve(self, facts: str) -> None:
        """As /init does, until the other end goes."""
        self.say(READY, 1, 0)
        while True:
            what, size, serve = WORDS.unpack(self._hear(WORDS.size))
            assert what == RUN
            self._hear(size)
            if serve:
                self.say(2, 0, self._taint << 32)
                self._execute()
                self.say(ENDED, signal.SIGSEGV, 0)
            else:
                self.say(ENDED, 0, len(facts))
                os.write(self._bell, facts.encode())

    def _hear(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = os.read(self._bell, size - len(data))
            if not part:
                sys.exit(0)
            data += part
        return data

    def _execute(self) -> None:
        """Run batches, until the executor is lost."""
        while True:
            pair, size, _ = WORDS.unpack(self._hear(WORDS.size))
            pair &= 0xFFFFFFFF  # above are wishes
            start = pair * self._quarter
            answer, count = b"", 0
            before: set[int] = set()
            for words in programs(self._ring[start : start + size]):
                if self._misbehave(set(words), before):
                    return
                before |= set(words)
                answer += outcome(words)
                count += 1
            start = (2 + pair) * self._quarter
            self._ring[start : start + len(answer)] = answer
            data = WORDS.pack(pair, len(answer), count | self._taint << 32)
            if CUTS_ANSWER in before:
                os.write(self._bell, data[:11])
                time.sleep(3600)
            os.write(self._bell, data)

    def _misbehave(self, words: set[int], before: set[int]) -> bool:
        """True when the executor is lost by it."""
        if PANICS in words or (SECOND_OF_TWO in words and FIRST_OF_TWO in before):
            panic()
        if PANICS_ONCE in words and self._first_time():
            panic()
        if KILLED_ONCE in words and self._first_time():
            os.kill(os.getpid(), signal.SIGKILL)
        if SPLATS in words:
            say_on_console(SPLAT)
        if CHATTERS in words:
            say_on_console("executor: nothing to see here\n")
        if TAINTS in words:
            self._taint |= TAINT_WARN
        if STANDS_STILL in words:
            time.sleep(3600)
        if TALKS_NONSENSE in words:
            os.write(self._bell, b"\xff" * WORDS.size)
        if REBOOTS in words:
            self.say(READY, 1, 0)
            time.sleep(3600)
        if THINKS in words:
            for _ in range(10):
                time.sleep(0.1)
                self.say(ALIVE, 0, 0)
        return LOSES_EXECUTOR in words

    def _first_time(self) -> bool:
        mark = self._folder / "happened"
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def programs(data: bytes) -> list[tuple[int, ...]]:
    """The words of each program."""
    out = []
    at = 0
    while at < len(data):
        (head,) = struct.unpack_from("<Q", data, at)
        out.append(struct.unpack_from(f"<{head & 0xFFFFFFFF}Q", data, at))
        at += 8 * len(out[-1])
    return out


def say_on_console(text: str) -> None:
    """At once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def panic() -> None:
    """Say so and end, as user mode Linux does."""
    say_on_console(OOPS)
    os.abort()


def main(arguments: list[str]) -> None:
    """BELL RING_FD RING_BYTES FOLDER FACTS [how to boot]"""
    bell, ring_fd, ring_bytes, folder, facts, *how = arguments
    say_on_console("Linux version fake\n")
    if "boot=silent" in how:
        time.sleep(3600)
    if "boot=panic" in how:
        panic()
    guest = FakeGuest(int(bell), int(ring_fd), int(ring_bytes), Path(folder))
    if "boot=panics-once" in how and (Path(folder) / "boots").read_text("ascii") == ".":
        panic()
    if "boot=nonsense" in how:
        guest.say(1, 2, 3)
        time.sleep(3600)
    guest.serve(Path(facts).read_text("utf-8"))


if __name__ == "__main__":
    main(sys.argv[1:])
