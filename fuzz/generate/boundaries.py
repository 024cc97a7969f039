"""Values at which range arithmetic and argument checks change their answer."""

from __future__ import annotations

from typing import Final

from conformance.abi.advice import ADVICES, Family
from conformance.program.places import (
    ARENA_BASE,
    ARENA_END_MAX,
    KERNEL,
    NONCANONICAL,
    PAGE,
    TASK_SIZE,
    UNMAPPED,
    ZONE_BASE,
)
from fuzz.generate.chooser import table

WORD: Final = 1 << 64
POISON: Final = frozenset(row.value for row in ADVICES if row.family is Family.POISON)
VALID_ADVICES: Final = tuple(row.value for row in ADVICES)
REMOTE_ADVICES: Final = tuple(row.value for row in ADVICES if row.remote)
WHOLE_ADVICES: Final = tuple(row.value for row in ADVICES if row.whole)
DEFAULT_ADVICES: Final = tuple(row.value for row in ADVICES if row.default)
# Must be refused for a whole process. REMOVE is not among them: a kernel that failed to refuse
# it would punch holes in memory that the executor shares with its children.
NOT_WHOLE_ADVICES: Final = tuple(
    row.value
    for row in ADVICES
    if not row.whole and row.family not in (Family.POISON, Family.REMOVE)
)
MARK_ADVICES: Final = tuple(row.value for row in ADVICES if row.family is not Family.POISON)

# Neighbours of the valid values, and the ends of a C int.
INVALID_ADVICES: Final = (26, -1, 5, 6, 7, 99, 104, -(1 << 31), (1 << 31) - 1)
# The kernel takes an int: what a register holds above its 32 bits must not matter.
REGISTER_ADVICES: Final = (0x1_0000_0004, 0x1_0000_0000, 0xFFFF_FFFF_0000_0001, 0x7_0000_001A)

# (start, length) with nothing mapped inside: no advice can do harm there.
VOID_RANGES: Final = table(
    (2, (0, PAGE)),
    (1, (0, ARENA_BASE)),
    (1, (ARENA_BASE - PAGE, PAGE)),
    (2, (UNMAPPED, PAGE)),
    (1, (TASK_SIZE, PAGE)),
    (1, (TASK_SIZE, 2 * PAGE)),
    (2, (NONCANONICAL, PAGE)),
    (1, (NONCANONICAL, 1 << 40)),
    (2, (KERNEL, PAGE)),
    (1, (KERNEL, 1 << 40)),
    (1, (WORD - 2 * PAGE, PAGE)),
)
# (start, length) where nothing is ever mapped in the executor's half of the address space.
# Memory poisoning is tried here only: a faulty kernel could take other addresses for pages.
POISON_RANGES: Final = (
    (0, PAGE),
    (0, ARENA_BASE),
    (ARENA_BASE - PAGE, PAGE),
    (ARENA_END_MAX, PAGE),
    (UNMAPPED, PAGE),
    (UNMAPPED, 5 * PAGE - 1),
)
# (start, length) refused before any mapping is looked at: they wrap, or their length does.
WRAPPING_RANGES: Final = (
    (ARENA_BASE, WORD - 1),
    (ARENA_BASE, WORD - PAGE + 1),
    (ARENA_BASE, WORD - PAGE),
    (ARENA_BASE, WORD - ARENA_BASE),
    (ARENA_BASE + PAGE, WORD - PAGE),
    (KERNEL, WORD - PAGE),
    (KERNEL, 1 << 63),
    (WORD - PAGE, PAGE),
    (WORD - PAGE, 2 * PAGE),
    (0, WORD - 1),
)
# For ILP32 callers, whose registers are cut to 32 bits, in place of those that wrap: nothing is
# ever mapped between 3 GiB and far above 4 GiB. As iovecs some lengths are negative.
FAR_RANGES: Final = (
    (3 << 30, 1 << 31),
    (3 << 30, (1 << 32) - 1),
    ((1 << 32) - PAGE, PAGE),
    ((1 << 32) - PAGE, 2 * PAGE),
    ((1 << 32) - 1, PAGE),
)
# Half a register each that a kernel must not look at.
CUT_RANGES: Final = (
    (ARENA_BASE + (1 << 32), PAGE),
    (ARENA_BASE, (1 << 32) + PAGE),
    (ARENA_BASE + PAGE + (7 << 40), (1 << 63) + 2 * PAGE),
    (ARENA_BASE, 1 << 32),
)
# (start, length) over everything that a program may own, and a long gap with it.
BROAD_RANGES: Final = (
    (ARENA_BASE, ARENA_END_MAX - ARENA_BASE),
    (0, ARENA_END_MAX),
    (0, ZONE_BASE),
    (ARENA_BASE - PAGE, ZONE_BASE - ARENA_BASE + PAGE),
)
# Added to a page-aligned start, or taken from a whole number of pages.
ODD_BYTES: Final = (1, 8, 0x800, PAGE - 1)
# (pages added to the start, pages added to the end) of a range between two edges.
EDGE_SHIFTS: Final = (
    (0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1),
)  # fmt: skip

# Element counts that a kernel must refuse, or not believe.
COUNTS: Final = (0, 1, 8, 9, 1023, 1024, 1025, 1 << 31, 1 << 32, (1 << 32) + 1, WORD - 1)
