"""Speaks the executor's protocol with nothing of conformance.target in between.

Programs are Programs, or lists of raw ops for what no Program can say.
"""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from conformance.program.outcome import Outcome
from conformance.program.program import Program
from conformance.program.wire import MAGIC_PROGRAM, Observe, encode
from conformance.program.wire_outcome import decode

RING_BYTES: Final = 16 << 20
WORDS: Final = struct.Struct("<QQQ")
BELL_QUICK: Final = 1 << 32
Op = tuple[int, ...]  # opcode, then its words


def raw_program(ops: Sequence[Op], arena_pages: int = 0, observe: Observe = Observe(0)) -> bytes:
    """A program of raw ops: (opcode, word, ...), words modulo 2**64."""
    words: list[int] = []
    for op in ops:
        words.append(op[0] | len(op) << 8)
        words += [word & (1 << 64) - 1 for word in op[1:]]
    head = [MAGIC_PROGRAM << 32 | (len(words) + 4), 0, int(observe) | arena_pages << 32, len(ops)]
    return struct.pack(f"<{len(words) + 4}Q", *head, *words)


class Executor:
    """A running executor. flags, version: of its hello."""

    def __init__(
        self, binary: Path, tmp: Path, *arguments: str, ring_bytes: int = RING_BYTES, user: int = 0
    ) -> None:
        self.ring_bytes = ring_bytes
        ring = os.memfd_create("ring")
        os.ftruncate(ring, ring_bytes)
        self._memory = mmap.mmap(ring, ring_bytes)
        with (tmp / "stderr").open("wb") as errors:
            self.process = subprocess.Popen(
                [str(binary), "--ring", str(ring), "--ring-bytes", str(ring_bytes),
                 "--tmp", str(tmp), *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                pass_fds=(ring,), bufsize=0, user=user or None, group=user or None,
                extra_groups=[] if user else None,
            )  # fmt: skip
        os.close(ring)
        self._errors = tmp / "stderr"
        self.version, self.flags, _ = self._read()

    def run(
        self, programs: Sequence[Program | bytes], observe: Observe = Observe(0), part: int = 0
    ) -> list[Outcome]:
        """One batch."""
        self.submit(programs, observe, part)
        return self.collect(len(programs), part)

    def submit(
        self, programs: Sequence[Program | bytes], observe: Observe = Observe(0), part: int = 0
    ) -> None:
        """Ring the bell."""
        data = b"".join(
            p if isinstance(p, bytes) else encode(p, i, observe) for i, p in enumerate(programs)
        )
        start = part * (self.ring_bytes // 4)
        self._memory[start : start + len(data)] = data
        bell = part | (BELL_QUICK if Observe.NO_LEAKS in observe else 0)
        self._stdin.write(WORDS.pack(bell, len(data), len(programs)))

    def collect(self, count: int, part: int = 0) -> list[Outcome]:
        """The outcomes of a batch submitted."""
        answered, used, programs = self._read()
        assert (answered, programs) == (part, count)
        start = (2 + part) * (self.ring_bytes // 4)
        data = self._memory[start : start + used]
        outcomes, offset = [], 0
        for _ in range(count):
            _, outcome, offset = decode(data, offset)
            outcomes.append(outcome)
        assert offset == used
        return outcomes

    def one(self, program: Program | bytes, observe: Observe = Observe(0)) -> Outcome:
        """A batch of one program."""
        return self.run([program], observe)[0]

    def said(self) -> str:
        """Its standard error so far."""
        return self._errors.read_text(encoding="utf-8")

    def close_input(self) -> None:
        """As when the parent dies."""
        self._stdin.close()

    def close(self) -> int:
        """End it; its exit status."""
        self._stdin.close()
        status = self.process.wait(10)
        self._stdout.close()
        self._memory.close()
        return status

    @property
    def _stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def _stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def _read(self) -> tuple[int, int, int]:
        data = self._stdout.read(WORDS.size) or b""
        if len(data) != WORDS.size:
            status = self.close()
            raise EOFError(f"the executor ended with status {status}: {self.said()}")
        first, second, third = WORDS.unpack(data)
        return first, second, third

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
