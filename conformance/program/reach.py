"""What a call could reach: the safety rules that keep a program inside its arena.

Struct bytes are read as the kernel would read them, whatever the program calls them: a MULTI
struct whose type says SINGLE is judged as the single range that the kernel sees. Calls that
are refused before any effect may name anything but what would be lethal if a faulty kernel
let it pass: memory poisoning on a host, and holes punched in memory shared with the executor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from conformance.abi import control_v1 as v1
from conformance.abi.advice import BY_NAME, BY_VALUE, Family
from conformance.abi.codec import unpack_struct
from conformance.program import places as p
from conformance.program.call import MadviseRanges, ProcessMadvise
from conformance.program.control_memory import (
    MASK32,
    Poke,
    pokes_of,
)
from conformance.program.struct_shapes import Shape, shape_of
from conformance.program.text_places import PIDFDS, address_text, length_text

PAGE: Final = p.PAGE
MASK64: Final = (1 << 64) - 1
ZONE_RO_WRITE_END: Final = p.ZONE_RO_WRITE_BASE + p.ZONE_RO_PAGES * PAGE
ARENA: Final = (p.ARENA_BASE, p.ARENA_END_MAX)
ZONES: Final = ((p.ZONE_BASE, p.ZONE_END), (p.ZONE_RO_BASE, p.ZONE_RO_END))
READABLE: Final = (ARENA, *ZONES)
# Program text and heap lie below LOW_END (it starts at most 1 GiB after the text, and is small),
# stack and mmap area above HIGH_BASE (TASK_SIZE / 3 even with the legacy layout); in user mode
# Linux they follow the heap. What four bytes of poison say as an address is in neither.
LOW_END: Final = 9 << 28
HIGH_BASE: Final = 1 << 40
EXECUTOR: Final = (
    (p.ZONE_RO_WRITE_BASE, ZONE_RO_WRITE_END),
    (p.EXECUTOR_BASE, LOW_END),
    (HIGH_BASE, p.TASK_SIZE),
)
NEEDED: Final = (*ZONES, *EXECUTOR)
STACK_ROOM: Final = ((p.ARENA_BASE - (8 << 20), p.ARENA_BASE),)  # the usual RLIMIT_STACK
NEVER_MAPPED: Final = (
    (0, p.ARENA_BASE),
    (p.ARENA_END_MAX, p.ZONE_BASE),
    (ZONE_RO_WRITE_END, p.EXECUTOR_BASE),
    (LOW_END, HIGH_BASE),
)
POISON_ADVICES: Final = frozenset(
    row.value for row in BY_VALUE.values() if row.family is Family.POISON
)
REMOVE: Final = BY_NAME["REMOVE"].value
LIVE_PIDFDS: Final = frozenset(
    PIDFDS[name] for name in ("self", "remote", "PIDFD_SELF", "PIDFD_SELF_THREAD_GROUP")
)
FDS_FIXED: Final = p.FD_PIDFD_SELF  # below are descriptors of the executor's own


class Danger(NamedTuple):
    """What is wrong with a step, and which key of its text says so."""

    key: str
    what: str


class Seen(NamedTuple):
    """Bytes as the kernel would read them. known: the program alone decides all of them."""

    data: bytes
    known: bool


class CallMemory:
    """The caller's memory just before a call, as far as the program alone decides it."""

    def __init__(self, pokes: Iterable[Poke]) -> None:
        self._pokes = tuple(pokes)

    def read(self, at: int, size: int) -> Seen | None:
        """The bytes at an address, or None where reading faults (EFAULT)."""
        if not _inside(at, at + size, READABLE):
            return None
        # The zones hold poison between structs; what the arena holds, earlier steps decide.
        in_arena = ARENA[0] <= at < ARENA[1]
        data = bytearray([0 if in_arena else p.ZONE_POISON]) * size
        known = bytearray([not in_arena]) * size
        for poke in self._pokes:
            first = max(at, poke.at)
            after = min(at + size, poke.at + len(poke.data))
            if first < after:
                data[first - at : after - at] = poke.data[first - poke.at : after - poke.at]
                known[first - at : after - at] = b"\1" * (after - first)
        return Seen(bytes(data), all(known))


def pidfd_danger(pidfd: int) -> Iterator[Danger]:
    """Only descriptors whose meaning is fixed: another may be a pidfd of the executor's own."""
    if 0 <= pidfd < FDS_FIXED:
        names = ", ".join(PIDFDS)
        yield Danger(
            "pidfd", f"is {pidfd}, allowed: {names}, a negative number, or {FDS_FIXED} and up"
        )


def range_danger(
    key: str, start: int, length: int, advice: int, whole: bool, guest: bool
) -> Iterator[Danger]:
    """One range with one advice. What fails with EINVAL, or is empty, reaches nothing."""
    span = spanned(start, length)
    if span is None:
        return
    first, after = span
    number = advice & 0xFFFF_FFFF
    if number in POISON_ADVICES and not guest and not _inside(first, after, NEVER_MAPPED):
        words = _span_words(first, after)
        yield Danger(
            key,
            f"{BY_VALUE[number].name} of {words} could poison memory of this machine; outside a "
            "guest it may name only addresses below the arena, or around unmapped, or no length",
        )
    if _overlaps(first, after, NEEDED):
        words = _span_words(first, after)
        if number == REMOVE:
            yield Danger(key, f"REMOVE of {words} reaches memory that the executor shares")
        elif not whole:
            yield Danger(
                key,
                f"{words} reaches the zones or the executor's own memory; a program that means "
                "it says whole = true",
            )


def _span_words(first: int, after: int) -> str:
    return f"{address_text(first)} .. {address_text(after)}"


def spanned(start: int, length: int) -> tuple[int, int] | None:
    """[first, after) of the pages that a range covers, or None if the kernel refuses it before
    any effect, or it is empty. Source: check_input_range()."""
    start &= MASK64
    rounded = (length + PAGE - 1) // PAGE * PAGE & MASK64
    after = start + rounded
    if start % PAGE or not rounded or after > MASK64:
        return None
    return start, after


def process_madvise_danger(step: ProcessMadvise, whole: bool, guest: bool) -> Iterator[Danger]:
    """A process_madvise() call: its pidfd, where its vector lies, and each range in it."""
    yield from pidfd_danger(step.pidfd)
    count = len(step.vec) if step.count is None else step.count
    count &= MASK32  # import_iovec() takes an unsigned int
    if count > v1.COUNT_MAX:
        return  # EINVAL, and the vector is not read
    shape = shape_of(step.ilp32)
    size = count * shape.iovec_size
    at = step.vec_at & shape.mask
    yield from _struct_danger("vec_at", at, size)
    seen = CallMemory(pokes_of(step)).read(at, size)
    if seen is None:
        return
    if not seen.known:
        yield Danger(
            "count", f"is {count}: in the arena, nobody knows what follows the vector's elements"
        )
    elements = dict.fromkeys(shape.iovec.iter_unpack(seen.data))  # long ones repeat themselves
    if any(length > shape.mask >> 1 for _, length in elements):
        return  # negative as a ssize_t: EINVAL for the whole call
    for start, length in elements:
        yield from range_danger("vec", start, length, step.advice, whole, guest)


def madvise_ranges_danger(step: MadviseRanges, whole: bool, guest: bool) -> Iterator[Danger]:
    """A madvise_ranges() call: where its structs lie, and what their bytes say."""
    shape = shape_of(step.ilp32)
    for key in ("ctl_at", "array_at", "stats_at", "per_range_at"):
        yield from _struct_danger(key, getattr(step, key), 1)
    ctl_at, size = step.ctl_at & shape.mask, shape.control_size
    yield from _struct_danger("ctl_at", ctl_at, size)
    memory = CallMemory(pokes_of(step))
    seen = memory.read(ctl_at, size)
    if seen is None:
        return  # EFAULT
    version = memory.read(ctl_at, 4)
    if not seen.known:
        if version is None or not version.known or _is_version(version.data):
            yield Danger("raw", f"must be {size} bytes in the arena: what follows it is not known")
        return
    yield from _control_danger(seen, memory, shape, whole, guest)


def _control_danger(
    seen: Seen, memory: CallMemory, shape: Shape, whole: bool, guest: bool
) -> Iterator[Danger]:
    control = unpack_struct(v1.CONTROL, seen.data, shape.model)
    refused = _refused(control, seen.data, shape)
    count = 1
    if control["is_remote"]:
        yield from pidfd_danger(control["pidfd"])
    if control["type"] == v1.TYPE_SINGLE:
        yield from range_danger(
            "range", control["range.addr"], control["range.size"], control["range.advice"],
            whole or refused, guest,
        )  # fmt: skip
    elif control["type"] == v1.TYPE_MULTI:
        count = control["ranges.count"]
        array = control["ranges.arr"]
        yield from _array_danger(array, count, memory, shape, whole, refused, guest)
    elif control["type"] == v1.TYPE_ALL:
        yield from _all_danger(control, whole, refused, guest)
    if control["stats"] and not refused:
        yield from _output_danger(control["stats"], count, memory, shape)
    elif control["stats"] and not _refused_at_once(control, seen.data, shape):
        # Whether it can be read is asked before how many ranges there are.
        yield from _struct_danger("stats_at", control["stats"], shape.stats_size)


def _refused(control: dict[str, int], data: bytes, shape: Shape) -> bool:
    """Does validation refuse this control struct, before it looks at ranges? (SPEC 1.2, 1.3)"""
    if _refused_at_once(control, data, shape):
        return True
    return control["type"] == v1.TYPE_MULTI and control["ranges.count"] > v1.COUNT_MAX


def _refused_at_once(control: dict[str, int], data: bytes, shape: Shape) -> bool:
    """By what the struct alone says, before anything else is read."""
    last = shape.flags_at
    return (
        control["version"] != v1.VERSION
        or control["type"] not in (v1.TYPE_SINGLE, v1.TYPE_MULTI, v1.TYPE_ALL)
        or bool(data[last] & ~v1.FLAGS_KNOWN)
        or any(data[last + 1 :])
    )


def _array_danger(
    array: int,
    count: int,
    memory: CallMemory,
    shape: Shape,
    whole: bool,
    refused: bool,
    guest: bool,
) -> Iterator[Danger]:
    if count > v1.COUNT_MAX:
        return
    size = count * shape.range_size
    if not refused:
        yield from _struct_danger("array_at", array, size)
    seen = memory.read(array, size)
    if seen is None:
        return
    if not seen.known and not refused:
        yield Danger(
            "count", f"is {count}: in the arena, nobody knows what follows the array's elements"
        )
    for start, length, advice in dict.fromkeys(shape.range_in.iter_unpack(seen.data)):
        yield from range_danger("ranges", start, length, advice, whole or refused, guest)


def _all_danger(
    control: dict[str, int], whole: bool, refused: bool, guest: bool
) -> Iterator[Danger]:
    """ALL reaches every mapping of the process, the executor's among them."""
    row = BY_VALUE.get(control["all.advice"])
    if row is not None and row.value in POISON_ADVICES and not guest:
        yield Danger("advice", f"{row.name} of a whole process is for guests only")
    if row is not None and row.value == REMOVE:
        yield Danger("advice", "REMOVE of a whole process reaches memory the executor shares")
    refused = (
        refused
        or row is None
        or not row.whole
        or control["all.set_default"] > 1
        or bool(control["all.set_default"] and (not row.default or control["is_remote"]))
        or bool(control["single_mapping_only"] or control["stop_on_gap"])
        or bool(control["is_remote"] and control["pidfd"] not in LIVE_PIDFDS)
    )
    if not refused and not whole:
        yield Danger(
            "type", "all acts on the whole process; a program that means it says whole = true"
        )


def _output_danger(stats: int, count: int, memory: CallMemory, shape: Shape) -> Iterator[Danger]:
    yield from _struct_danger("stats_at", stats, shape.stats_size)
    if memory.read(stats, shape.stats_size) is None:
        return
    pointer = memory.read(stats + shape.pointer_at, shape.word)
    if pointer is None or not pointer.known:
        yield Danger("raw", "its stats pointer leads to arena bytes that are not known")
        return
    at = int.from_bytes(pointer.data, "little")
    if at:
        yield from _struct_danger("per_range_at", at, max(1, count) * shape.per_range_size)


def _struct_danger(key: str, at: int, size: int) -> Iterator[Danger]:
    if size and _overlaps(at, at + size, STACK_ROOM):
        yield Danger(
            key,
            f"{address_text(at)} is where a growsdown mapping at the arena's start may grow to: "
            "what a struct would hold there is not known",
        )
    if size and _overlaps(at, at + size, EXECUTOR):
        yield Danger(key, f"{address_text(at)} + {length_text(size)} is the executor's own memory")


def _is_version(data: bytes) -> bool:
    return int.from_bytes(data, "little") == v1.VERSION


def _overlaps(first: int, after: int, areas: tuple[tuple[int, int], ...]) -> bool:
    for start, end in areas:  # any() takes three times as long, and this is asked all the time
        if first < end and start < after:
            return True
    return False


def _inside(first: int, after: int, areas: tuple[tuple[int, int], ...]) -> bool:
    for start, end in areas:
        if start <= first and after <= end:
            return True
    return False
