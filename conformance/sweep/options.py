"""Every combination of the control struct's options, for each type, on twelve layouts.

The advice is one that shows on every page or VMA that it was given to, and each layout's bad
mapping is one that refuses just this advice: DONTNEED and memory that is locked; for another
process, which takes no such advice and inherits no locks, COLD and memory of the kernel's; for
ALL, which may not discard, DODUMP and droppable memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final, NamedTuple

from conformance.program.call import PER_RANGE_USUAL, MadviseRanges
from conformance.program.control_struct import All, Arm, ControlFields, Multi, Single
from conformance.program.mapping import Kind, Mapping
from conformance.program.places import FD_PIDFD_REMOTE, FD_PIDFD_SELF, STATS_OFFSET, ZONE_BASE
from conformance.program.program import Program
from conformance.sweep.swept import Swept, advice, droppable, good, locked, span, vvar

STATS_USUAL: Final = ZONE_BASE + STATS_OFFSET
ARMS: Final = ("single", "multi", "all", "all-default")
REMOTES: Final[dict[str, int | None]] = {
    "local": None, "self": FD_PIDFD_SELF, "other": FD_PIDFD_REMOTE,
}  # fmt: skip
REPORTS: Final = ("no-stats", "stats", "per-range")
FILL: Final = 0xA5  # of stats before the call: what stays of it was not written


class Layout(NamedTuple):
    """parts: G a mapping of four pages that takes the advice, B one that refuses it, O one of
    one page, - a gap of two pages. All of it is advised, gaps at the ends included."""

    name: str
    parts: str


LAYOUTS: Final = (
    Layout("one", "G"),
    Layout("two", "GO"),
    Layout("gap-inside", "G-G"),
    Layout("two-gaps", "G-O-G"),
    Layout("gap-first", "-G"),
    Layout("gap-last", "G-"),
    Layout("only-a-gap", "-"),
    Layout("bad", "B"),
    Layout("bad-first", "BG"),
    Layout("bad-between", "GBG"),
    Layout("bad-then-gap", "GB-G"),
    Layout("gap-then-bad", "G-BG"),
)


def option_programs() -> Iterator[Swept]:
    """All of them; the order is stable."""
    for arm, layout, remote, report in product(ARMS, LAYOUTS, REMOTES, REPORTS):
        for ignore, single, stop in product((False, True), repeat=3):
            words = [remote, report]
            words += [
                word
                for word, on in (("ignore", ignore), ("single-mapping", single), ("stop", stop))
                if on
            ]
            ident = f"options/{arm}/{layout.name}/{'+'.join(words)}"
            yield Swept(ident, _program(arm, layout, remote, report, (ignore, single, stop)))


def _program(
    arm: str, layout: Layout, remote: str, report: str, options: tuple[bool, bool, bool]
) -> Program:
    pidfd = REMOTES[remote]
    whole = arm.startswith("all")
    name = "COLD" if pidfd == FD_PIDFD_REMOTE else "DODUMP" if whole else "DONTNEED"
    mappings, end = _mappings(layout.parts, name)
    ignore, single, stop = options
    control = ControlFields(
        _arm(arm, name, end),
        pidfd=-1 if pidfd is None else pidfd,
        is_remote=pidfd is not None,
        ignore_errors=ignore,
        single_mapping_only=single,
        stop_on_gap=stop,
    )
    call = MadviseRanges(
        control,
        stats_at=0 if report == "no-stats" else STATS_USUAL,
        per_range_at=PER_RANGE_USUAL if report == "per-range" else 0,
        stats_fill=FILL,
    )
    return Program(mappings, (call,), whole=whole)


def _arm(arm: str, name: str, end: int) -> Arm:
    """What is advised: all pages before `end`, in one range, or in three of which the last is
    the very last page once more."""
    if arm == "single":
        return Single(span(0, end, name))
    if arm == "multi":
        half = end // 2
        return Multi((span(0, half, name), span(half, end - half, name), span(end - 1, 1, name)))
    return All(advice(name), int(arm == "all-default"))


def _mappings(parts: str, name: str) -> tuple[tuple[Mapping, ...], int]:
    """The mappings of a layout, and the page after all that is advised. Behind it stands one more,
    which a call that goes too far would advise."""
    out: list[Mapping] = []
    at = 0
    for part in parts:
        if part == "-":
            at += 2
            continue
        if part == "G":
            out.append(good(at, 4, name == "DODUMP"))
        elif part == "O":
            # Of another kind, so that it stays apart from what it touches.
            out.append(Mapping(Kind.NORESERVE, at, 1))
        else:
            out.append({"COLD": vvar, "DODUMP": droppable}.get(name, locked)(at))
        at += out[-1].pages
    out.append(good(at + 2))
    return tuple(out), at
