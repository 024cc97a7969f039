"""Every variant that the suite speaks of is made often enough to be tested."""

from __future__ import annotations

from itertools import product

import pytest

from conformance.abi.advice import ADVICES
from conformance.program.call import SURFACES
from conformance.program.mapping import Backing, Kind, Lock, Prot, Uffd
from conformance.program.places import (
    FD_NOT_PIDFD,
    FD_PIDFD_DEAD,
    FD_PIDFD_KTHREAD,
    FD_PIDFD_REMOTE,
    FD_PIDFD_SELF,
    FD_PIDFD_ZOMBIE,
    PIDFD_BAD,
    PIDFD_SELF_GROUP,
    PIDFD_SELF_THREAD,
)
from fuzz.generate.boundaries import INVALID_ADVICES, REGISTER_ADVICES
from fuzz.generate.census import Census, census, count_form, place_form, range_form, render
from fuzz.generate.programs import ProgramSource

PROGRAMS = 30_000
# A campaign makes a million programs: what is seen ten times here is tried 300 times there.
OFTEN = 10
RARELY = 1
Rows = dict[str, tuple[str, ...]]

PIDFDS = (
    FD_PIDFD_SELF, FD_PIDFD_REMOTE, FD_PIDFD_DEAD, FD_PIDFD_ZOMBIE, FD_NOT_PIDFD,
    FD_PIDFD_KTHREAD, PIDFD_BAD, PIDFD_SELF_THREAD, PIDFD_SELF_GROUP,
)  # fmt: skip
NAMES = tuple(row.name for row in ADVICES)
INVALID = tuple(str(value) for value in INVALID_ADVICES)
RANGES = (
    "arena", "empty", "odd length", "unaligned", "wraps", "kernel space", "before the arena",
    "around the arena",
)  # fmt: skip
PLACES = (
    "usual", "zone", "zone, misaligned", "end of a zone", "read-only zone", "arena",
    "arena, misaligned", "unmapped", "kernel space",
)  # fmt: skip
OPTIONS = ("is_remote", "ignore_errors", "single_mapping_only", "stop_on_gap")
COMBINATIONS = tuple(
    " ".join(name for name, on in zip(OPTIONS, bits, strict=True) if on) or "none"
    for bits in product((False, True), repeat=4)
)
COUNTS = ("zero", "fewer", "more", "beyond 1024")

EXPECTED: Rows = {
    "program": (
        "whole", "isolated", "remote", "no-sys-nice", "no-sys-admin", "other-user",
    ),
    "mappings": ("1", "2", "3", "4", "5", "6", "8", "16"),
    "steps": ("1", "2", "3", "4", "5", "6", "7", "8"),
    "kind": tuple(kind.value for kind in Kind),
    "file": (*(backing.value for backing in Backing), "sealed_write"),
    "layout": (
        "touching, alike", "touching", "gap", "sealed", "soft-dirty cleared", "touched",
        "past the end of the file", "file mapped twice", "room for huge pages",
    ),
    "lock": (Lock.LOCKED.value, Lock.ONFAULT.value),
    "uffd": (Uffd.MISSING.value, Uffd.WP.value),
    "mark": (
        *(row.name for row in ADVICES if row.family.value != "poison"),
        Prot.NONE.value, Prot.R.value, Prot.RW.value,
    ),
    "step": (
        *(call.__name__ for call in SURFACES.values()),
        "Mmap", "Munmap", "Mprotect", "Mremap", "TouchPages", "Fork", "ForkExec", "as ILP32",
    ),
    "mremap": tuple(
        f"{how}, {change}"
        for how in ("in place", "moved")
        for change in ("same", "grows", "shrinks")
    ),
    "madvise advice": (*NAMES, *INVALID, *(str(value) for value in REGISTER_ADVICES)),
    "madvise range": RANGES,
    "process_madvise advice": (*NAMES, *INVALID),
    "process_madvise range": RANGES,
    "process_madvise pidfd": tuple(str(pidfd) for pidfd in PIDFDS),
    "process_madvise vector": (
        *(str(size) for size in range(6)), "8", "9", "10", "empty, invalid advice",
    ),
    "process_madvise count": COUNTS,
    "process_madvise flags": ("0x0", "0x1", "0x2", "0x4", "0x8", "0x10", "0xffffffff"),
    "process_madvise place": (*PLACES, "NULL"),
    "ranges advice": (*NAMES, *INVALID),
    "ranges range": RANGES,
    "ranges control": ("Single", "Multi", "All", "bytes"),
    "ranges options": COMBINATIONS,
    "ranges pidfd": tuple(str(pidfd) for pidfd in PIDFDS),
    "ranges flaw": ("version", "type", "flag byte", "tail", "padding", "ignored pidfd", "overlap"),
    "ranges array": ("0", "1", "2", "3", "4", "5", "7", "9"),
    "ranges count": COUNTS,
    "ranges set_default": ("0", "1", "2", "255"),
    "ranges bytes": ("48", "49 and more"),
    "ranges ctl place": PLACES,
    "ranges stats place": (*PLACES, "NULL"),
    "ranges per_range place": (*PLACES, "NULL"),
    "ranges array place": ("usual", "zone", "arena", "end of a zone", "read-only zone"),
}  # fmt: skip
# Dear to run, or one of many: a few will do.
SELDOM: Rows = {
    "process_madvise vector": ("1024", "1025"),
    "ranges array": ("1024", "1025"),
    "ranges array place": ("unmapped", "kernel space", "NULL"),
    "ranges ctl place": ("NULL",),
    "ranges all": tuple(row.name for row in ADVICES if row.whole),
    "mremap": ("moved, same, kept", "moved, grows, kept", "moved, shrinks, kept"),
}


@pytest.fixture(scope="module")
def counts() -> Census:
    source = ProgramSource(1)
    return census(source.program(index) for index in range(PROGRAMS))


@pytest.mark.parametrize("chapter", sorted(EXPECTED))
def test_every_variant_is_made_often(chapter: str, counts: Census) -> None:
    missing = {v: counts[chapter, v] for v in EXPECTED[chapter] if counts[chapter, v] < OFTEN}
    assert not missing


@pytest.mark.parametrize("chapter", sorted(SELDOM))
def test_dear_variants_are_made_sometimes(chapter: str, counts: Census) -> None:
    missing = {v: counts[chapter, v] for v in SELDOM[chapter] if counts[chapter, v] < RARELY}
    assert not missing


@pytest.mark.parametrize("surface", ["madvise", "process_madvise", "ranges"])
def test_advices_are_weighted_evenly(surface: str, counts: Census) -> None:
    made = [counts[f"{surface} advice", name] for name in NAMES]
    assert max(made) < 3 * min(made)


def test_dear_programs_are_rare(counts: Census) -> None:
    assert counts["program", "whole"] < PROGRAMS * 0.02
    assert counts["program", "isolated"] < PROGRAMS * 0.06
    assert counts["program", "remote"] < PROGRAMS * 0.06
    long = counts["process_madvise vector", "1024"] + counts["process_madvise vector", "1025"]
    assert long < PROGRAMS * 0.002


def test_ranges_are_told_apart() -> None:
    page, arena = 4096, 0x1000_0000
    assert range_form(arena, page) == "arena"
    assert range_form(arena, page - 1) == "odd length"
    assert range_form(arena + 8, page) == "unaligned"
    assert range_form(arena, (1 << 64) - 1) == "wraps"
    assert range_form(0, page) == "before the arena"
    assert range_form(0, 0x2000_0000) == "around the arena"
    assert range_form(0xFFFF_8880_0000_0000, page) == "kernel space"


def test_places_and_counts_are_told_apart() -> None:
    assert place_form(0x2000_0100, 0x100) == "usual"
    assert place_form(0x2000_0101, 0x100) == "zone, misaligned"
    assert place_form(0x2002_7FF0, 0x100) == "end of a zone"
    assert place_form(0x2010_0100, 0x100) == "read-only zone"
    assert place_form(0x1000_0000, 0x100) == "arena"
    assert place_form(0x3000_0000, 0x100) == "unmapped"
    assert place_form(0, 0x100) == "NULL"
    assert [count_form(n, 3) for n in (0, 2, 3, 4, 1025)] == [
        "zero", "fewer", "right", "more", "beyond 1024",
    ]  # fmt: skip


def test_the_table_can_be_read() -> None:
    text = render(census([ProgramSource(1).program(0)]))
    assert "program\n        1  all\n" in text
