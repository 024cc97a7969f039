"""The link to an executor: started, spoken to, killed, wherever it runs.

Protocol: a doorbell of three words (pair, bytes, programs) to the executor; from it, one hello
(version, flags, 0) first, then for each doorbell an answer of three words (pair, bytes, programs
and above them the kernel's taint). Programs and outcomes lie in the ring.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, Protocol

PROTOCOL_VERSION: Final = 2
HELLO_BPF: Final = 1  # flag: VM flags come from a BPF iterator
WORDS: Final = struct.Struct("<QQQ")
TAINT_SHIFT: Final = 32


class ExecutorLost(Exception):
    """The executor can answer no more. signal: what it died of, 0 if it exited or is silent.

    silent: it lives, and has not answered before its deadline.
    """

    def __init__(self, what: str, signal_number: int = 0, silent: bool = False) -> None:
        super().__init__(what)
        self.signal = signal_number
        self.silent = silent


class Answer(NamedTuple):
    """What the executor says when a batch is done. size: of the outcomes, in bytes. taint:
    /proc/sys/kernel/tainted at that time."""

    pair: int
    size: int
    programs: int
    taint: int

    @classmethod
    def of(cls, pair: int, size: int, last: int) -> Answer:
        """From the three words."""
        return cls(pair, size, last & ((1 << TAINT_SHIFT) - 1), last >> TAINT_SHIFT)


class Hello(NamedTuple):
    """The first thing that an executor says."""

    version: int
    flags: int
    last: int

    @property
    def has_bpf(self) -> bool:
        """Do VM flags come from a BPF iterator?"""
        return bool(self.flags & HELLO_BPF)


def check_hello(hello: Hello) -> str:
    """Why an executor that says this cannot be spoken to, or ""."""
    if hello.version == PROTOCOL_VERSION:
        return ""
    return (
        f"speaks protocol {hello.version}, not {PROTOCOL_VERSION}: "
        "remove it, it is built again from the sources"
    )


class ExecutorLink(Protocol):
    """One executor, as executor_target uses it."""

    has_bpf: bool
    starts: int

    @property
    def pid(self) -> int | None:
        """The process on this machine that it is, or that its guest is, while that runs."""
        ...

    def start(self) -> None:
        """Start it, ending one that runs, and wait for its hello. Raises TargetError."""
        ...

    def ring_bell(self, pair: int, size: int, count: int, quick: bool = False) -> None:
        """Hand over a batch. quick: what it leaves behind is not looked at, which takes 40 ms
        where it is. Whether the executor lives is found out by answer()."""
        ...

    def answer(self, deadline_s: float) -> Answer:
        """The next answer. Raises ExecutorLost when there will be none."""
        ...

    def kill(self) -> None:
        """End it and all that it started, at once. May be repeated."""
        ...

    def stop(self) -> None:
        """End it politely, if it can be. May be repeated."""
        ...

    def log_tail(self) -> str:
        """What it last said, as an ending for a message; "" if nothing."""
        ...
