"""The steps of a program: calls of the three surfaces, and ordinary mm calls between them.

Addresses and lengths are absolute unsigned 64-bit values, as the kernel gets them; the text
form writes them by place ("arena+3p"). See program.places.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from conformance.program.control_struct import Control
from conformance.program.mapping import Mapping, Prot
from conformance.program.places import (
    ARRAY_OFFSET,
    CTL_OFFSET,
    FD_PIDFD_SELF,
    PER_RANGE_OFFSET,
    STATS_OFFSET,
    ZONE_BASE,
)

# ilp32, of each of the three calls: it is made as a 32-bit process makes it, by the i386 number
# through `int $0x80`. The kernel sees the low half of each register, and structs as ILP32 has them.
#
# fail_nth, of each of the three calls: the n-th allocation that the kernel makes in it fails,
# where the kernel can do that (CONFIG_FAULT_INJECTION, in guests); 0: none. One call of a program
# may have it. Behind the other peeks of the step, one of 8 bytes tells how much of the count was
# left: 0 if there were so many allocations.
#
# signal, of each of the three calls: see Signal. The last peek of the step tells what came of it.


class SignalHow(str, Enum):
    """What becomes of a signal, and when it comes."""

    HANDLED = "handled"  # it comes while the call sleeps, and a handler returns from it
    FATAL = "fatal"  # it comes while the call sleeps, and ends the process
    STORM = "storm"  # handled ones come all the time


class Signal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signal that comes during a call. The arena's pages [page, page + pages) are watched by
    userfaultfd meanwhile: a call that makes a page there, or takes pages away, sleeps until it is
    let go on; before that the signal comes, once. A storm watches nothing."""

    how: SignalHow
    page: int = 0
    pages: int = 0


# What is read back of a signal: a word of these bits.
SIGNAL_SLEPT: Final = 1  # the call came to sleep in the watched pages
SIGNAL_WOKEN: Final = 2  # the signal woke it
SIGNAL_HANDLED_ONE: Final = 1 << 8  # the handler ran; more often: so many times as much
FAIL_NTH_MAX: Final = 1 << 20  # more allocations than any call makes: nothing fails, all count


class Madvise(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="madvise"
):
    """madvise(start, length, advice); advice as a signed or unsigned 64-bit register value."""

    start: int
    length: int
    advice: int
    ilp32: bool = False
    fail_nth: int = 0
    signal: Signal | None = None


class IoRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One struct iovec."""

    start: int
    length: int


class ProcessMadvise(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True,
    tag="process_madvise",
):  # fmt: skip
    """process_madvise(pidfd, vec, count, advice, flags).

    The iovec array lies at vec_at; count is the vlen argument, None for len(vec).
    """

    advice: int
    vec: tuple[IoRange, ...] = ()
    pidfd: int = FD_PIDFD_SELF
    flags: int = 0
    count: int | None = None
    vec_at: int = ZONE_BASE + ARRAY_OFFSET
    ilp32: bool = False
    fail_nth: int = 0
    signal: Signal | None = None


class MadviseRanges(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True,
    tag="madvise_ranges",
):  # fmt: skip
    """madvise_ranges(ctl). Where each struct lies is an address; 0 is NULL.

    stats_fill: what every byte of stats and of per_range_stats holds before the call (the
    per_range_stats pointer inside stats is put in place over it).
    """

    control: Control
    ctl_at: int = ZONE_BASE + CTL_OFFSET
    array_at: int = ZONE_BASE + ARRAY_OFFSET
    stats_at: int = ZONE_BASE + STATS_OFFSET
    per_range_at: int = 0
    stats_fill: int = 0
    ilp32: bool = False
    fail_nth: int = 0
    signal: Signal | None = None


class Mmap(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="mmap"):
    """Map over whatever is there (MAP_FIXED). touches, marks, lock, uffd and sealed are not
    applied: write them as steps."""

    mapping: Mapping


class Munmap(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="munmap"):
    """munmap(start, length)."""

    start: int
    length: int


class Mprotect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="mprotect"):
    """mprotect(start, length, prot)."""

    start: int
    length: int
    prot: Prot


class Mremap(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="mremap"
):
    """mremap(start, old_length, new_length, flags, target).

    target None: flags 0, in place. Otherwise MREMAP_MAYMOVE | MREMAP_FIXED to target, with
    MREMAP_DONTUNMAP when dont_unmap.
    """

    start: int
    old_length: int
    new_length: int
    target: int | None = None
    dont_unmap: bool = False


class TouchPages(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="touch"):
    """Access one word in each page of [page, page + pages) of the arena, in order.

    Stops at the first fault; the result is the number of pages accessed, or
    -(signal << 16 | pages accessed before it).
    """

    page: int
    pages: int = 1
    write: bool = True


class Fork(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="fork"):
    """Fork a child, which takes a snapshot of its own arena and exits; the parent waits."""


class ForkExec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="fork_exec"):
    """Grow the heap by a page; fork a child, which maps a page and grows its heap, then executes
    a new program, which does both and looks at its stack.

    The process's heap shrinks again, the child is gone afterwards. Read back are the VmFlags of
    the VMAs that are new (see HEIRS), as bits of abi.vm_flags.
    """


class Reclaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="reclaim"):
    """The kernel takes back what it can of the memory of all programs: memory pressure at a moment
    of one's choice. Their memory cgroup is told to (memory.reclaim); only in a guest.

    The result is 0, however much was found.
    """


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="store"):
    """Only of an actor: store one aligned 64-bit word, into a struct of another actor's call or
    into the arena. The result is 0, or -(signal << 16)."""

    at: int
    value: int


class Exit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="exit"):
    """Only of an actor that is the second process, as its last step: it ends. The result is 0."""


class ActorPlace(str, Enum):
    """Who an actor is."""

    THREAD = "thread"  # of the process that runs the program
    PROCESS = "process"  # another process, in the same memory (CLONE_VM)
    REMOTE = "remote"  # the second process, in its own memory


class Actor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One who takes steps while others take theirs.

    delay: rounds of an empty loop before each of its steps; the first begins when all stand
    ready. repeat: how often all its steps are taken.
    """

    steps: tuple[ActorStep, ...]
    place: ActorPlace = ActorPlace.THREAD
    delay: int = 0
    repeat: int = 1


class Race(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="race"):
    """Actors take their steps at the same time. The structs of all their calls are stored before
    the first begins, and read back when the last has ended.

    The result is 0; each actor's results are read back, see program.race.
    """

    actors: tuple[Actor, ...]


# What ForkExec reads back, a 64-bit word each.
HEIRS: Final = ("own heap", "child's mapping", "child's heap", "new program's mapping",
                "new program's heap", "new program's stack")  # fmt: skip


# Steps that only a layout makes (Program.setup); they have no text form of their own.


class Mlock(msgspec.Struct, frozen=True, tag="mlock"):
    """mlock2(start, length, onfault)."""

    start: int
    length: int
    onfault: bool = False


class Mseal(msgspec.Struct, frozen=True, tag="mseal"):
    """mseal(start, length, 0)."""

    start: int
    length: int


class UffdRegister(msgspec.Struct, frozen=True, tag="uffd"):
    """UFFDIO_REGISTER of [start, start + length) in missing or write-protect mode."""

    start: int
    length: int
    wp: bool = False


class ClearSoftDirty(msgspec.Struct, frozen=True, tag="clear_soft_dirty"):
    """Write 4 to /proc/self/clear_refs."""


class SealFile(msgspec.Struct, frozen=True, tag="seal_file"):
    """F_ADD_SEALS F_SEAL_FUTURE_WRITE on a memfd file slot."""

    file: int


Step = (
    Madvise
    | ProcessMadvise
    | MadviseRanges
    | Mmap
    | Munmap
    | Mprotect
    | Mremap
    | TouchPages
    | Fork
    | ForkExec
    | Reclaim
    | Race
)
ActorStep = (
    Madvise
    | ProcessMadvise
    | MadviseRanges
    | Mmap
    | Munmap
    | Mprotect
    | Mremap
    | TouchPages
    | Fork
    | Store
    | Exit
)
SetupStep = Mlock | Mseal | UffdRegister | ClearSoftDirty | SealFile
AnyStep = Step | SetupStep

SURFACES: Final = {"madvise": Madvise, "process_madvise": ProcessMadvise,
                   "madvise_ranges": MadviseRanges}  # fmt: skip
PER_RANGE_USUAL: Final = ZONE_BASE + PER_RANGE_OFFSET
