"""Every pair of mistakes in one call's arguments: which of the two is told?

A mistake is the set of members that it changes; two that change the same member cannot be made
together. Mistakes inside an array are made in both orders: this one in the first element and that
one in the second, and the other way round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, permutations
from typing import Any, Final, NamedTuple

from conformance.program.call import (
    PER_RANGE_USUAL,
    IoRange,
    Madvise,
    MadviseRanges,
    ProcessMadvise,
)
from conformance.program.control_struct import All, ControlFields, Multi, Range, Single
from conformance.program.places import (
    FD_NOT_PIDFD,
    FD_PIDFD_DEAD,
    FD_PIDFD_KTHREAD,
    FD_PIDFD_REMOTE,
    FD_PIDFD_ZOMBIE,
    KERNEL,
    PAGE,
    UNMAPPED,
    ZONE_END,
    ZONE_RO_BASE,
    page_address,
)
from conformance.program.program import Program, Rights
from conformance.sweep.cells import INVALID_VALUE
from conformance.sweep.swept import Swept, advice, good, locked
from conformance.sweep.vma_order import vma_order_programs

WORD: Final = 1 << 64
DONTNEED: Final = advice("DONTNEED")
# Two good mappings that two elements name, and places that no advice succeeds on.
FIRST, SECOND, LOCKED, GAP_AT = 0, 6, 12, 18
LAYOUT: Final = (good(FIRST), good(SECOND), locked(LOCKED))

Changes = Mapping[str, Any]


class Mistake(NamedTuple):
    """sets: what is different because of it, by member."""

    name: str
    sets: Changes


class Place(NamedTuple):
    """A mistake in one element: its start, length and advice."""

    name: str
    start: int
    length: int = PAGE
    advice: int = DONTNEED


USUAL: Final = Place("usual", page_address(FIRST), 2 * PAGE)
UNALIGNED: Final = Place("unaligned", page_address(SECOND) + 1)
ROUNDS: Final = Place("rounds-to-zero", page_address(SECOND), WORD - 1)
WRAPS: Final = Place("wraps", page_address(SECOND), WORD - 2 * PAGE)
UNKNOWN: Final = Place("advice", page_address(SECOND), PAGE, INVALID_VALUE)
REFUSED: Final = Place("refused", page_address(LOCKED))
GAP: Final = Place("gap", page_address(GAP_AT))
TWO: Final = Place("two-mappings", page_address(FIRST), (SECOND - FIRST + 2) * PAGE)
NEGATIVE: Final = Place("negative-length", page_address(SECOND), 1 << 63)
BEYOND: Final = Place("kernel-address", KERNEL)


def error_order_programs() -> Iterator[Swept]:
    """All of them; the order is stable."""
    yield from _madvise()
    yield from _process_madvise()
    yield from _madvise_ranges()
    yield from vma_order_programs()


def _pairs(mistakes: tuple[Mistake, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mistake alone, and every two that can be made together."""
    for one in mistakes:
        yield one.name, dict(one.sets)
    for one, other in combinations(mistakes, 2):
        if not one.sets.keys() & other.sets.keys():
            yield f"{one.name}+{other.name}", {**one.sets, **other.sets}


# --- of madvise(2)

_MADVISE: Final = (
    Mistake("advice", {"advice": INVALID_VALUE}),
    Mistake("unaligned", {"start": page_address(FIRST) + 1}),
    Mistake("rounds-to-zero", {"length": WORD - 1}),
    Mistake("wraps", {"length": WORD - 2 * PAGE}),
    Mistake("no-length", {"length": 0}),
    Mistake("gap", {"start": page_address(GAP_AT)}),
    Mistake("refused", {"start": page_address(LOCKED)}),
    Mistake("kernel-address", {"start": KERNEL}),
)


def _madvise() -> Iterator[Swept]:
    for name, sets in _pairs(_MADVISE):
        start = sets.get("start", page_address(FIRST))
        call = Madvise(start, sets.get("length", PAGE), sets.get("advice", DONTNEED))
        yield Swept(f"error-order/madvise/{name}", Program(LAYOUT, (call,)))


# --- of process_madvise(2)

_VECTOR: Final = (
    Mistake("flags", {"flags": 1}),
    Mistake("count", {"count": 1025}),
    Mistake("vec-unreadable", {"vec_at": UNMAPPED}),
    Mistake("negative-length", {"vec": (USUAL, NEGATIVE)}),
    Mistake("kernel-address", {"vec": (USUAL, BEYOND)}),
    Mistake("no-elements", {"vec": ()}),
    Mistake("first-unaligned", {"vec": (UNALIGNED, USUAL)}),
    Mistake("last-refused", {"vec": (USUAL, REFUSED)}),
    Mistake("pidfd-none", {"pidfd": -1}),
    Mistake("pidfd-no-pidfd", {"pidfd": FD_NOT_PIDFD}),
    Mistake("pidfd-dead", {"pidfd": FD_PIDFD_DEAD}),
    Mistake("pidfd-zombie", {"pidfd": FD_PIDFD_ZOMBIE}),
    Mistake("pidfd-kernel-thread", {"pidfd": FD_PIDFD_KTHREAD}),
    Mistake("pidfd-not-to-be-read", {"pidfd": FD_PIDFD_REMOTE, "rights": Rights.OTHER_USER}),
    Mistake("no-right", {"pidfd": FD_PIDFD_REMOTE, "rights": Rights.NO_SYS_NICE}),
    Mistake("remote-advice", {"pidfd": FD_PIDFD_REMOTE, "advice": DONTNEED}),
    Mistake("advice", {"advice": INVALID_VALUE}),
)
_ELEMENTS: Final = (UNALIGNED, ROUNDS, WRAPS, REFUSED, GAP, TWO, NEGATIVE, BEYOND)


def _process_madvise() -> Iterator[Swept]:
    for name, sets in _pairs(_VECTOR):
        yield Swept(f"error-order/process_madvise/{name}", _vector(sets))
    for one, other in permutations(_ELEMENTS, 2):
        for lead, elements in (("", (one, other)), ("usual,", (USUAL, one, other))):
            name = f"error-order/process_madvise/{lead}{one.name},{other.name}"
            yield Swept(name, _vector({"vec": elements, "advice": DONTNEED}))


def _vector(sets: Changes) -> Program:
    call = ProcessMadvise(
        sets.get("advice", advice("COLD")),
        tuple(IoRange(p.start, p.length) for p in sets.get("vec", (USUAL,))),
        **{key: sets[key] for key in ("pidfd", "flags", "count", "vec_at") if key in sets},
    )
    return Program(LAYOUT, (call,), rights=sets.get("rights", Rights.ALL))


# --- of madvise_ranges()

_OF_ALL_ARMS: Final = (
    Mistake("version", {"version": 2}),
    Mistake("struct-cut", {"ctl_at": ZONE_END - 24}),
    Mistake("struct-unreadable", {"ctl_at": UNMAPPED}),
    Mistake("reserved-bit", {"flag_byte_extra": 0x10}),
    Mistake("reserved-byte", {"tail": 1 << 16}),
    Mistake("type", {"type_value": 3}),
    Mistake("stats-unreadable", {"stats_at": UNMAPPED}),
    Mistake("stats-read-only", {"stats_at": ZONE_RO_BASE + 0x400}),
    Mistake("pidfd-none", {"is_remote": True, "pidfd": -1}),
    Mistake("pidfd-no-pidfd", {"is_remote": True, "pidfd": FD_NOT_PIDFD}),
    Mistake("pidfd-dead", {"is_remote": True, "pidfd": FD_PIDFD_DEAD}),
    Mistake("pidfd-kernel-thread", {"is_remote": True, "pidfd": FD_PIDFD_KTHREAD}),
    Mistake("pidfd-refuses-advice", {"is_remote": True, "pidfd": FD_PIDFD_REMOTE}),
)
_OF_ALL: Final = (
    Mistake("set-default", {"set_default": 2}),
    Mistake("stops-at-gaps", {"stop_on_gap": True}),
    Mistake("single-mapping", {"single_mapping_only": True}),
    Mistake("per-range", {"per_range_at": PER_RANGE_USUAL}),
    Mistake("advice", {"advice": INVALID_VALUE}),
    Mistake("advice-not-for-all", {"advice": DONTNEED}),
    Mistake("advice-no-default", {"advice": advice("DOFORK"), "set_default": 1}),
)
_OF_MULTI: Final = (
    Mistake("count", {"count": 1025}),
    Mistake("array-unreadable", {"array_at": UNMAPPED}),
    Mistake("no-ranges", {"count": 0}),
    Mistake("per-range-read-only", {"per_range_at": ZONE_RO_BASE + 0x9000}),
    *(Mistake(f"last-{p.name}", {"ranges": (USUAL, p)}) for p in (UNKNOWN, UNALIGNED, REFUSED)),
    Mistake("last-gap", {"ranges": (USUAL, GAP), "stop_on_gap": True}),
    Mistake("last-two-mappings", {"ranges": (USUAL, TWO), "single_mapping_only": True}),
)
_RANGES: Final = (UNKNOWN, UNALIGNED, ROUNDS, WRAPS, REFUSED, GAP, TWO)
_OPTIONS: Final = {
    "none": "", "ignore-errors": "ignore_errors", "stop-on-gap": "stop_on_gap",
    "single-mapping": "single_mapping_only",
}  # fmt: skip


def _madvise_ranges() -> Iterator[Swept]:
    for arm, mistakes in (("single", ()), ("multi", _OF_MULTI), ("all", _OF_ALL)):
        for name, sets in _pairs((*_OF_ALL_ARMS, *mistakes)):
            yield Swept(f"error-order/madvise_ranges/{arm}/{name}", _ranges(arm, sets))
    for one, other in permutations(_RANGES, 2):
        for word, option in _OPTIONS.items():
            sets = {"ranges": (USUAL, one, other), "per_range_at": PER_RANGE_USUAL}
            if option:
                sets[option] = True
            ident = f"error-order/madvise_ranges/{one.name},{other.name}/{word}"
            yield Swept(ident, _ranges("multi", sets))


_CALL: Final = ("ctl_at", "array_at", "stats_at", "per_range_at")
_OWN: Final = (*_CALL, "ranges", "count", "advice", "set_default")


def _ranges(arm: str, sets: Changes) -> Program:
    of: Single | Multi | All
    if arm == "all":
        of = All(sets.get("advice", advice("DONTDUMP")), sets.get("set_default", 0))
    else:
        places = sets.get("ranges", (USUAL,))
        ranges = tuple(Range(p.start, p.length, p.advice) for p in places)
        of = Multi(ranges, sets.get("count")) if arm == "multi" else Single(ranges[0])
    control = ControlFields(of, **{k: v for k, v in sets.items() if k not in _OWN})
    where = {key: sets[key] for key in _CALL if key in sets}
    call = MadviseRanges(control, stats_fill=0x5A, **where)
    return Program(LAYOUT, (call,), whole=arm == "all")
