"""The wire: what the executor reads and writes. Program -> words here, words -> Outcome in
wire_outcome.

Everything is little-endian 64-bit words, so that the C side stays a loop over a switch. The
executor knows no kinds and no structs: it makes system calls, stores and reads back bytes,
touches pages, takes snapshots. `wire_c` writes these constants as a C header.

Program:  [MAGIC_PROGRAM << 32 | words] [id] [flags | arena pages << 32] [ops] op...
Op:       [opcode | words << 8 | argument << 32] words...
Outcome:  [MAGIC_OUTCOME << 32 | words] [id]
          [status | signal << 8 | step << 16 | results << 32 | snapshots << 48]
          [peeks | outside VMAs << 32] results... peeks... snapshots... outside... sections...
Peek:     [readable bytes << 32 | bytes] data...
Snapshot: [step | child << 16 | VMAs << 32 | pages << 48] (start end flags pgoff)... page words...
Section:  [which | words << 32] words...: what only some ask for; none in the usual case
"""

from __future__ import annotations

from array import array
from enum import IntEnum, IntFlag
from struct import unpack
from typing import Final

from conformance.abi.syscalls import I386, X86_64
from conformance.program import call as c
from conformance.program.control_memory import Poke, pokes_of
from conformance.program.mapping import FILE_KINDS, PROT_BITS, Backing, Kind, Mapping, Sharing
from conformance.program.mmap_flags import (
    F_ADD_SEALS,
    F_SEAL_FUTURE_WRITE,
    MLOCK_ONFAULT,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    mmap_flags,
)
from conformance.program.places import (
    ARENA_BASE,
    ARENA_END_MAX,
    FD_FILES,
    FD_FILES_RO,
    FD_ZERO,
    PAGE,
    page_address,
)
from conformance.program.plan import plan_of
from conformance.program.program import Program, Rights
from conformance.program.race import ACTORS_MAX, RESULTS_MAX, placed, serial_of

MAGIC_PROGRAM: Final = 0x4D56_5047
MAGIC_OUTCOME: Final = 0x4D56_4F55
MASK64: Final = (1 << 64) - 1
TOUCH_WRITES: Final = 1
TOUCH_LAYOUT: Final = 2  # nobody asks how the pages come into being


class Op(IntEnum):
    """What the executor can do. A result is one signed word; see each line."""

    SYSCALL = 1  # nr, six arguments; result: the return value or -errno
    RANGES = 2  # address of the control struct; result as SYSCALL
    POKE = 3  # address, bytes, data...; no result; a fault makes the next call NOT_PLACED
    PEEK = 4  # address, bytes; a peek
    TOUCH = 5  # first page | pages << 32, TOUCH_*, serial; result of call.TouchPages
    FORK = 6  # result 0, and a child's snapshot
    FILE = 7  # slot, backing, pages; no result: makes a pristine file
    SNAPSHOT = 8  # a snapshot
    UFFD = 9  # start, length, write-protect; result 0 or -errno
    CLEAR_SOFT_DIRTY = 10  # result 0 or -errno
    MOVE_VVAR = 11  # address; result: the address or -errno
    MAP_SECRET = 12  # address, length, prot, shared; result: the address or -errno
    REMOTE = 13  # no result: starts the second process, a fork of this one
    ZONE_CHECK = 14  # a peek of 8 bytes: 0, or the first changed zone address outside PEEKs
    SYSCALL32 = 15  # i386 number, five arguments, through int $0x80; result as SYSCALL
    FORK_EXEC = 16  # result 0 or -errno, and a peek of call.HEIRS
    RIGHTS = 17  # RIGHTS_NUMBER; no result
    MAP_PERF = 18  # address, length, prot; result: the address or -errno
    RECLAIM = 19  # result 0 or -errno
    FAIL_NTH = 20  # count; no result: in the next call that allocation fails
    FAULT_LEFT = 21  # a peek of 8 bytes: what was left of the count
    RACE = 22  # see _encode_race(); result 0, and a peek of the results of all its actors
    STORE = 23  # only in a RACE: address, value; result of call.Store
    EXIT = 24  # only in a RACE, of the second process; result 0
    SIGNAL = 25  # SIGNAL_NUMBER, address, bytes; no result: see call.Signal, during the next call
    SIGNAL_SEEN = 26  # a peek of 8 bytes: call.SIGNAL_*


class Observe(IntFlag):
    """How a program is run and looked at."""

    READ_ALL = 1  # the last snapshot reads every readable page, present or not
    EACH_STEP = 2  # a snapshot after every step, not only after the last
    SMAPS = 4  # VmFlags from smaps, even where the BPF iterator works
    ISOLATED = 8  # in a child of its own
    WHOLE = 16  # in a sacrificial process under ptrace
    REMOTE = 32  # a second process stands by
    COVER_NEW = 64  # Outcome.coverage: edges that this executor has not told before
    COVER_EDGES = 128  # the same: all edges of the program
    COVER_PLACES = 256  # and the places that all programs reached since it was asked last
    NO_LEAKS = 512  # what they leave behind is not looked at: 40 ms, for a batch that is not full


class Section(IntEnum):
    """What may follow the rest of an outcome."""

    EDGES = 1  # how many, then four to a word
    PLACES = 2  # address, how often it was reached...


# A program of eight calls takes some 500 edges. What is beyond the limits is not told, but of new
# edges the next program that takes them tells.
COVER_EDGES_MAX: Final = 16384
COVER_NEW_MAX: Final = 1024
COVER_PLACES_MAX: Final = 8192
COVERAGE: Final = Observe.COVER_NEW | Observe.COVER_EDGES | Observe.COVER_PLACES


# A race, as the executor counts it.
RACE_ACTORS_MAX: Final = ACTORS_MAX
RACE_RESULTS_MAX: Final = RESULTS_MAX
RACE_THREAD, RACE_PROCESS, RACE_REMOTE = 0, 1, 2
_PLACE: Final = {
    c.ActorPlace.THREAD: RACE_THREAD, c.ActorPlace.PROCESS: RACE_PROCESS,
    c.ActorPlace.REMOTE: RACE_REMOTE,
}  # fmt: skip

RIGHTS_NUMBER: Final = {right: number for number, right in enumerate(Rights)}
SIGNAL_NUMBER: Final = {how: number for number, how in enumerate(c.SignalHow, 1)}
BACKING_NUMBER: Final = {Backing.MEMFD: 0, Backing.TMPFS: 1, Backing.DISK: 2}


# Bound once: looking a member up in its Enum costs as much as encoding a whole step.
_SECRETMEM: Final = Kind.SECRETMEM
_PERF: Final = Kind.PERF
_VVAR: Final = Kind.VVAR
_ZERO: Final = Kind.ZERO
_SHARED: Final = Sharing.SHARED
_ALL_RIGHTS: Final = Rights.ALL

# The first word of each op of fixed length: opcode and number of words.
_FILE: Final[int] = Op.FILE | 4 << 8
_SYSCALL: Final[int] = Op.SYSCALL | 8 << 8
_SYSCALL32: Final[int] = Op.SYSCALL32 | 7 << 8
_TOUCH: Final[int] = Op.TOUCH | 4 << 8
_SNAPSHOT: Final[int] = Op.SNAPSHOT | 1 << 8
_REMOTE: Final[int] = Op.REMOTE | 1 << 8
_ZONE_CHECK: Final[int] = Op.ZONE_CHECK | 1 << 8
_PEEK: Final[int] = Op.PEEK | 3 << 8
_FAIL_NTH: Final[int] = Op.FAIL_NTH | 2 << 8
_FAULT_LEFT: Final[int] = Op.FAULT_LEFT | 1 << 8
_SIGNAL: Final[int] = Op.SIGNAL | 4 << 8
_SIGNAL_SEEN: Final[int] = Op.SIGNAL_SEEN | 1 << 8
_POKE: Final[int] = int(Op.POKE)

_NR_MMAP: Final = X86_64["mmap"]
_NR_MADVISE: Final = X86_64["madvise"]
_EACH_STEP: Final[int] = int(Observe.EACH_STEP)
_ISOLATED: Final[int] = int(Observe.ISOLATED)
_WHOLE: Final[int] = int(Observe.WHOLE)
_REMOTE_STANDS_BY: Final[int] = int(Observe.REMOTE)


def encode(program: Program, ident: int, observe: Observe = Observe(0)) -> bytes:
    """The executor's form of a program. Raises nothing for a program that validate() accepts."""
    plan = plan_of(program)
    flags = int(observe)
    each = flags & _EACH_STEP
    words: list[int] = [0, ident, 0, 0]  # what is not known yet is filled in at the end
    ops = 1  # the last snapshot, or a step's
    for slot, spec in enumerate(program.files):
        words.extend((_FILE, slot, BACKING_NUMBER[spec.backing], spec.pages))
        ops += 1
    serial = 0
    for prepared in plan.setup:
        serial += 1
        if type(prepared) is c.TouchPages:
            how = int(prepared.write) | TOUCH_LAYOUT
            words.extend((_TOUCH, prepared.page | prepared.pages << 32, how, serial))
            ops += 1
        else:
            ops += _encode_step(prepared, serial, words)
    if program.rights is not _ALL_RIGHTS:
        words.extend((Op.RIGHTS | 2 << 8, RIGHTS_NUMBER[program.rights]))
        ops += 1
    if plan.remote:
        flags |= _REMOTE_STANDS_BY
        words.append(_REMOTE)
        ops += 1
    for step in program.steps:
        serial += 1
        ops += _encode_step(step, serial, words)
        if each:
            words.append(_SNAPSHOT)
            ops += 1
    if each:
        ops -= 1
    else:
        words.append(_SNAPSHOT)
    if plan.isolated:
        flags |= _ISOLATED
    if program.whole:
        flags |= _WHOLE
    words[0] = MAGIC_PROGRAM << 32 | len(words)
    words[2] = flags | plan.arena_pages << 32
    words[3] = ops
    return array("Q", words).tobytes()


def _encode_step(step: c.AnyStep, serial: int, words: list[int]) -> int:
    """Append the ops of one step; how many they are. The usual steps come first."""
    if type(step) is c.Mmap:
        _encode_mmap(step.mapping, words)
    elif type(step) is c.TouchPages:
        words.extend((_TOUCH, step.page | step.pages << 32, int(step.write), serial))
    elif type(step) is c.Madvise:
        faults = _begin(step, words)
        if step.ilp32:
            _syscall32(words, "madvise", step.start, step.length, step.advice)
        else:
            _syscall(words, _NR_MADVISE, step.start, step.length, step.advice)
        return 1 + faults + _end(step, words)
    elif type(step) is c.MadviseRanges:
        return _encode_ranges(step, words)
    elif type(step) is c.ProcessMadvise:
        return _encode_process_madvise(step, words)
    elif type(step) is c.Race:
        return _encode_race(step, serial, words)
    else:
        _encode_rare(step, words)
    return 1


def _encode_rare(step: c.AnyStep, words: list[int]) -> None:
    if isinstance(step, c.Munmap):
        _syscall(words, X86_64["munmap"], step.start, step.length)
    elif isinstance(step, c.Mprotect):
        _syscall(words, X86_64["mprotect"], step.start, step.length, step.prot.bits)
    elif isinstance(step, c.Mremap):
        flags = 0 if step.target is None else MREMAP_MAYMOVE | MREMAP_FIXED
        flags |= MREMAP_DONTUNMAP if step.dont_unmap else 0
        target = step.target or 0
        nr = X86_64["mremap"]
        _syscall(words, nr, step.start, step.old_length, step.new_length, flags, target)
    elif isinstance(step, c.Fork):
        words.append(Op.FORK | 1 << 8)
    elif isinstance(step, c.ForkExec):
        words.append(Op.FORK_EXEC | 1 << 8)
    elif isinstance(step, c.Reclaim):
        words.append(Op.RECLAIM | 1 << 8)
    elif isinstance(step, c.Mlock):
        onfault = MLOCK_ONFAULT if step.onfault else 0
        _syscall(words, X86_64["mlock2"], step.start, step.length, onfault)
    elif isinstance(step, c.Mseal):
        _syscall(words, X86_64["mseal"], step.start, step.length)
    elif isinstance(step, c.SealFile):
        file = FD_FILES + step.file
        _syscall(words, X86_64["fcntl"], file, F_ADD_SEALS, F_SEAL_FUTURE_WRITE)
    elif isinstance(step, c.UffdRegister):
        words.extend((Op.UFFD | 4 << 8, step.start, step.length, int(step.wp)))
    else:
        words.append(Op.CLEAR_SOFT_DIRTY | 1 << 8)


def _syscall(
    words: list[int], nr: int, a: int, b: int, c: int = 0, d: int = 0, e: int = 0, f: int = 0
) -> None:
    if a < 0 or b < 0 or c < 0 or d < 0 or e < 0:  # as the register holds them; f never is
        a, b, c, d, e = a & MASK64, b & MASK64, c & MASK64, d & MASK64, e & MASK64
    words.extend((_SYSCALL, nr, a, b, c, d, e, f))


def _syscall32(
    words: list[int], name: str, a: int, b: int = 0, c: int = 0, d: int = 0, e: int = 0
) -> None:
    """Registers are given whole: that the kernel takes their low halves is its business."""
    nr = I386[name]
    words.extend((_SYSCALL32, nr, a & MASK64, b & MASK64, c & MASK64, d & MASK64, e & MASK64))


def _encode_mmap(m: Mapping, words: list[int]) -> None:
    kind = m.kind
    start, length = page_address(m.at), m.pages * PAGE
    prot = PROT_BITS[m.prot]
    if kind is _VVAR:
        words.extend((Op.MOVE_VVAR | 2 << 8, start))
    elif kind is _PERF:
        words.extend((Op.MAP_PERF | 4 << 8, start, length, prot))
    elif kind is _SECRETMEM:
        words.extend((Op.MAP_SECRET | 5 << 8, start, length, prot, int(m.sharing is _SHARED)))
    else:
        fd = -1
        if kind in FILE_KINDS:
            fd = (FD_FILES_RO if m.read_only_fd else FD_FILES) + m.file
        elif kind is _ZERO:
            fd = FD_ZERO
        _syscall(words, _NR_MMAP, start, length, prot, mmap_flags(m), fd, m.offset * PAGE)


def _encode_pokes(pokes: tuple[Poke, ...], words: list[int]) -> int:
    for poke in pokes:
        size = len(poke.data)
        full = (size + 7) // 8
        words.extend((_POKE | (3 + full) << 8, poke.at, size))
        words.extend(unpack(f"<{full}Q", poke.data.ljust(full * 8, b"\0")))
    return len(pokes)


def _encode_ranges(step: c.MadviseRanges, words: list[int]) -> int:
    pokes = pokes_of(step)
    ops = _encode_pokes(pokes, words) + _begin(step, words)
    _call_ranges(step, words)
    for poke in pokes:
        if poke.output or ARENA_BASE <= poke.at < ARENA_END_MAX:
            words.extend((_PEEK, poke.at, len(poke.data)))
            ops += 1
    words.append(_ZONE_CHECK)
    return ops + 2 + _end(step, words)


def _begin(step: c.Madvise | c.ProcessMadvise | c.MadviseRanges, words: list[int]) -> int:
    """What goes before a call that is disturbed, in ops."""
    if step.fail_nth:
        words.extend((_FAIL_NTH, step.fail_nth))
    signal = step.signal
    if signal is not None:
        at = page_address(signal.page)
        words.extend((_SIGNAL, SIGNAL_NUMBER[signal.how], at, signal.pages * PAGE))
    return (step.fail_nth > 0) + (signal is not None)


def _end(step: c.Madvise | c.ProcessMadvise | c.MadviseRanges, words: list[int]) -> int:
    """What goes behind it."""
    if step.fail_nth:
        words.append(_FAULT_LEFT)
    if step.signal is not None:
        words.append(_SIGNAL_SEEN)
    return (step.fail_nth > 0) + (step.signal is not None)


def _call_ranges(step: c.MadviseRanges, words: list[int]) -> None:
    if step.ilp32:
        _syscall32(words, "madvise_ranges", step.ctl_at)
    else:
        words.extend((Op.RANGES | 2 << 8, step.ctl_at))


def _encode_process_madvise(step: c.ProcessMadvise, words: list[int]) -> int:
    ops = _encode_pokes(pokes_of(step), words) + _begin(step, words)
    _call_process_madvise(step, words)
    words.append(_ZONE_CHECK)  # the next call finds the zones poisoned again
    return ops + 2 + _end(step, words)


def _call_process_madvise(step: c.ProcessMadvise, words: list[int]) -> None:
    count = len(step.vec) if step.count is None else step.count
    if step.ilp32:
        name = "process_madvise"
        _syscall32(words, name, step.pidfd, step.vec_at, count, step.advice, step.flags)
    else:
        nr = X86_64["process_madvise"]
        _syscall(words, nr, step.pidfd, step.vec_at, count, step.advice, step.flags)


def _encode_race(race: c.Race, serial: int, words: list[int]) -> int:
    """All structs, then [RACE] [actors] and for each [place | repeats << 8 | ops << 24 |
    words << 32] [delay] op..., then what is read back."""
    structs = placed(race)
    ops = _encode_pokes(tuple(one.poke for one in structs), words)
    head = len(words)
    words += (0, len(race.actors))
    for number, actor in enumerate(race.actors):
        start = len(words)
        words += (0, actor.delay)
        for index, step in enumerate(actor.steps):
            _encode_call(step, serial_of(serial, number, index), words)
        steps = len(actor.steps) << 24 | (len(words) - start) << 32
        words[start] = _PLACE[actor.place] | actor.repeat << 8 | steps
    words[head] = Op.RACE | (len(words) - head) << 8
    for one in structs:
        if one.peeked:
            words.extend((_PEEK, one.poke.at, len(one.poke.data)))
            ops += 1
    words.append(_ZONE_CHECK)
    return ops + 2


def _encode_call(step: c.ActorStep, serial: int, words: list[int]) -> None:
    """One op of an actor: a call whose structs are in place, or what is no call."""
    if isinstance(step, c.Store):
        words.extend((Op.STORE | 3 << 8, step.at, step.value))
    elif isinstance(step, c.Exit):
        words.append(Op.EXIT | 1 << 8)
    elif isinstance(step, c.MadviseRanges):
        _call_ranges(step, words)
    elif isinstance(step, c.ProcessMadvise):
        _call_process_madvise(step, words)
    else:
        _encode_step(step, serial, words)
