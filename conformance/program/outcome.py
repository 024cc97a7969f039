"""Outcome: what a target saw when it ran one program."""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

# A page as a snapshot reports it: content tag in the low 32 bits, state above.
PAGE_PRESENT: Final = 1 << 32
PAGE_SWAP: Final = 1 << 33
PAGE_GUARD: Final = 1 << 34
PAGE_UNREADABLE: Final = 1 << 35  # reading it faulted (full-read snapshots only)
PAGE_READ: Final = 1 << 36  # its content was looked at
CONTENT_MASK: Final = 0xFFFF_FFFF

# Results that are no return value of a call.
MEMORY_ERROR: Final = 1 << 40  # taken from the result of a call that SIGBUS came with
NOT_PLACED: Final = 0x4E4F_504C  # a struct could not be written where the program wants it


# The second line of a log of which parts are missing.
CUT_SHORT: Final = "(cut short: what follows is not the whole report)"


class Status(Enum):
    """How the run of one program ended."""

    DONE = 0
    KILLED = 1  # the process died of a signal inside a step
    HUNG = 2  # the deadline passed inside a step
    NOT_RUN = 3  # the target lacks something the program needs
    CRASHED = 4  # the kernel itself went down, or was given up, while it ran the program


class Snapshot(msgspec.Struct, frozen=True):
    """The arena as it stood: flat, for comparison in one go.

    step: index into setup + steps after which it was taken (the last one: the final state).
    child: it is a forked child's, or the remote process's.
    vmas: (start, end, flags, pgoff) of each VMA, flat; addresses in bytes, flags of
    abi.vm_flags, pgoff in pages with bit 63 set for a VMA that has a file.
    pages: one word for each arena page from page 0.
    """

    step: int
    child: bool
    vmas: tuple[int, ...]
    pages: tuple[int, ...]


class Coverage(msgspec.Struct, frozen=True):
    """Which paths of the kernel were taken, where it has KCOV. See wire.Observe for what is asked.

    edges: numbers of 16 bits, in the order in which they were taken first, each once. An edge is
    two blocks of code that ran one after the other; its number follows from their addresses, so
    it is the same in every guest of a kernel, and now and then two edges share one. places: flat
    (address, how often it was reached), addresses as KCOV gives them: behind the call that a
    block of code begins with.
    """

    edges: tuple[int, ...]
    places: tuple[int, ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """What was observed.

    results: one for each step of setup() + steps, in order: the return value, or -errno.
    A run that was killed or hung, or crashed the kernel, has results up to `step`.
    peeks: bytes read back after each call that has structs, in step order: for
    madvise_ranges the control struct, the array, the stats and the per-range stats (those
    that exist), each as (readable bytes, value), and then 8 bytes that are zero when no byte
    of the zone outside the structs changed, else the address of the first changed one; after a
    fork_exec the flags of call.HEIRS.
    outside: for programs with `whole`, the VMAs outside the arena before the first step,
    flat as in Snapshot.vmas.
    log: what a guest's kernel said of itself while this program ran: the title of the report on
    the first line, then the report. "" when it said nothing, and always on this machine's own
    kernel, whose log belongs to others as well. A kernel may say something and go on: then the
    status is not CRASHED.
    coverage: if it was asked for, and the target's kernel can tell.
    """

    status: Status
    results: tuple[int, ...]
    peeks: tuple[bytes, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    outside: tuple[int, ...] = ()
    signal: int = 0
    step: int = 0
    reason: str = ""
    log: str = ""
    coverage: Coverage | None = None
