"""Every struct of a call, at every place that copying it in or out may stumble over."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final

from msgspec.structs import replace

from conformance.program.call import PER_RANGE_USUAL, IoRange, MadviseRanges, ProcessMadvise
from conformance.program.control_struct import ControlFields, Multi, Single
from conformance.program.mapping import Kind, Mapping, Mark, Prot, Sharing, Touch
from conformance.program.places import (
    ARENA_END_MAX,
    ARRAY_OFFSET,
    CTL_OFFSET,
    KERNEL,
    NONCANONICAL,
    PAGE,
    STATS_OFFSET,
    UNMAPPED,
    ZONE_BASE,
    ZONE_END,
    ZONE_RO_BASE,
    ZONE_RO_END,
    page_address,
)
from conformance.program.program import Program
from conformance.program.struct_shapes import shape_of
from conformance.sweep.swept import Swept, advice, span

USUAL: Final[dict[str, int]] = {
    "ctl_at": ZONE_BASE + CTL_OFFSET,
    "array_at": ZONE_BASE + ARRAY_OFFSET,
    "stats_at": ZONE_BASE + STATS_OFFSET,
    "per_range_at": PER_RANGE_USUAL,
}
WORDS: Final = {"ctl_at": "ctl", "array_at": "array", "stats_at": "stats",
                "per_range_at": "per-range"}  # fmt: skip
# From the start of the struct that stays to that of the one that is moved onto it, in bytes.
DELTAS: Final = (-16, -8, 0, 8, 16, 24, 40)
ARRAY_DELTAS: Final = (-16, 8, 40)
MODELS: Final = {"lp64": False, "ilp32": True}

# The arena of these programs, in pages: what is advised, then homes for structs.
ADVISED, PLAIN, SHARED, READ_ONLY, NO_ACCESS, GUARDED, BEFORE_GAP = 1, 6, 9, 12, 14, 16, 19
LAYOUT: Final = (
    Mapping(Kind.ANON, ADVISED, 4, touches=(Touch(0, 4),)),
    Mapping(Kind.ANON, PLAIN, 3, touches=(Touch(0),)),
    Mapping(Kind.ANON, SHARED, 2, sharing=Sharing.SHARED),
    Mapping(Kind.ANON, READ_ONLY, 1, Prot.R),
    Mapping(Kind.ANON, NO_ACCESS, 1, Prot.NONE),
    Mapping(Kind.ANON, GUARDED, 2, touches=(Touch(0),), marks=(Mark(1, 1, advice("NOHUGEPAGE")),)),
    Mapping(Kind.ANON, BEFORE_GAP, 1, touches=(Touch(0),)),
)


def placement_programs() -> Iterator[Swept]:
    """All of them; the order is stable. Where the advice throws away what holds a struct, its
    name says "thrown-away"."""
    for model, arm in product(MODELS, ("single", "multi")):
        program = Program(LAYOUT, (_call(arm, MODELS[model]),))
        yield Swept(f"placement/{model}/{arm}/all/usual", program)
    for model, key in product(MODELS, USUAL):
        for arm in ("single", "multi"):
            if key == "array_at" and arm == "single":
                continue  # nothing lies there
            usual = _call(arm, MODELS[model])
            for place, at in places(key, _size(usual, key)):
                ident = f"placement/{model}/{arm}/{WORDS[key]}/{place}"
                yield Swept(ident, Program(LAYOUT, (replace(usual, **{key: at}),)))
    for model, arm in product(MODELS, ("single", "multi")):
        yield from _overlaps(model, arm)
    for model in MODELS:
        vec = tuple(IoRange(page_address(ADVISED + i), PAGE) for i in (0, 2))
        call = ProcessMadvise(advice("DONTNEED"), vec, ilp32=MODELS[model])
        yield Swept(f"placement/{model}/process_madvise/vec/usual", Program(LAYOUT, (call,)))
        for place, at in places("array_at", 2 * shape_of(MODELS[model]).iovec_size):
            ident = f"placement/{model}/process_madvise/vec/{place}"
            yield Swept(ident, Program(LAYOUT, (replace(call, vec_at=at),)))


def places(key: str, size: int) -> Iterator[tuple[str, int]]:
    """Name and address of every place for a struct of `size` bytes but the usual one."""
    usual = USUAL[key]
    for shift in (1, 2, 4, 8, 12):
        yield f"misaligned-by-{shift}", usual + shift
    yield "ends-with-the-zone", ZONE_END - size
    for missing in sorted({1, 4, 8, size // 2, size - 8, size - 4, size - 1}):
        yield f"last-{missing}-bytes-missing", ZONE_END - size + missing
    yield "behind-the-zone", ZONE_END
    yield "across-pages", ZONE_BASE + 30 * PAGE - size // 2
    read_only = ZONE_RO_BASE + usual - ZONE_BASE
    yield "read-only", read_only
    yield "read-only-ends-with-the-zone", ZONE_RO_END - size
    yield "read-only-last-byte-missing", ZONE_RO_END - size + 1
    yield "null", 0
    yield "one", 1
    yield "unmapped", UNMAPPED
    yield "kernel", KERNEL
    yield "noncanonical", NONCANONICAL
    yield "top-of-addresses", (1 << 64) - 8
    yield "behind-the-arena", ARENA_END_MAX
    yield "memory", page_address(PLAIN) + 0x100
    yield "memory-across-pages", page_address(PLAIN + 1) - 8
    yield "memory-across-mappings", page_address(GUARDED + 1) - 8
    yield "memory-shared", page_address(SHARED) + 0x100
    yield "memory-read-only", page_address(READ_ONLY) + 0x100
    yield "memory-without-access", page_address(NO_ACCESS) + 0x100
    yield "memory-ends-in-a-gap", page_address(BEFORE_GAP + 1) - size + 8
    yield "memory-ends-before-a-gap", page_address(BEFORE_GAP + 1) - size
    yield "thrown-away", page_address(ADVISED) + 0x100
    yield "thrown-away-later", page_address(ADVISED + 2) + 0x100
    yield "thrown-away-in-part", page_address(ADVISED) - size + size // 2


def _size(call: MadviseRanges, key: str) -> int:
    shape = shape_of(call.ilp32)
    control = call.control
    assert isinstance(control, ControlFields)
    count = len(control.arm.ranges) if isinstance(control.arm, Multi) else 1
    return {
        "ctl_at": shape.control_size,
        "array_at": count * shape.range_size,
        "stats_at": shape.stats_size,
        "per_range_at": count * shape.per_range_size,
    }[key]


def _call(arm: str, ilp32: bool) -> MadviseRanges:
    """A call that succeeds, and throws pages away that hold something. Of the four pages of the
    advised mapping SINGLE takes the first three, MULTI the first and the third."""
    of = Single(span(ADVISED, 3, "DONTNEED"))
    many = Multi((span(ADVISED, 1, "DONTNEED"), span(ADVISED + 2, 1, "DONTNEED")))
    return MadviseRanges(
        ControlFields(of if arm == "single" else many),
        per_range_at=PER_RANGE_USUAL,
        stats_fill=0x5A,
        ilp32=ilp32,
    )


def _overlaps(model: str, arm: str) -> Iterator[Swept]:
    """Two structs that share bytes."""
    usual = _call(arm, MODELS[model])
    pairs = [("ctl_at", "stats_at"), ("stats_at", "per_range_at"), ("ctl_at", "per_range_at")]
    if arm == "multi":
        pairs += [("array_at", "stats_at"), ("array_at", "per_range_at"), ("ctl_at", "array_at")]
    for stays, moves in pairs:
        for delta in DELTAS:
            if moves == "array_at" and delta not in ARRAY_DELTAS:
                continue  # what would be read as a range reaches the executor's own memory
            call = replace(usual, **{moves: getattr(usual, stays) + delta})
            where = f"{WORDS[moves]}-on-{WORDS[stays]}/at{delta:+d}"
            yield Swept(f"placement/{model}/{arm}/{where}", Program(LAYOUT, (call,)))
