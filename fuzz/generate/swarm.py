"""Swarm testing: each program gets its own weights, most of them with some variants off.

A generator that may do anything at every point seldom does one thing long enough for it to
matter. A program that draws from a palette of two kinds and two advices splits and merges the
same VMAs again and again; one without hostile arguments reaches its last step with its
mappings alive. Every palette is drawn from the full table, so the long-run frequency of a
variant is its weight there.
"""

from __future__ import annotations

from typing import Final, TypeVar

from conformance.program.program import Rights
from fuzz.generate.chooser import Chooser, table
from fuzz.generate.options import GenerateOptions
from fuzz.generate.tables import (
    EXTRAS_MANY,
    EXTRAS_NONE,
    EXTRAS_SOME,
    PIDFDS_ANY,
    PIDFDS_SELF,
    RANGES_ANY,
    RANGES_CLEAN,
    RANGES_HOSTILE,
    RANGES_ILP32,
    TEMPLATES,
    Extra,
    Template,
    advice_table,
    clean_advice_table,
    step_table,
)

T = TypeVar("T")

_SIZES: Final = table((3, 0), (1, 1), (2, 2), (1, 3))  # of a palette; 0: the full table
CLEAN, MIXED, HOSTILE = 0, 1, 2
_HOSTILITY: Final = table((4, CLEAN), (4, MIXED), (2, HOSTILE))
_EXTRAS: Final = table((6, EXTRAS_NONE), (3, EXTRAS_SOME), (1, EXTRAS_MANY))
_PIDFDS: Final = table((5, PIDFDS_SELF), (1, PIDFDS_ANY))
_RANGES: Final = (RANGES_CLEAN, RANGES_ANY, RANGES_HOSTILE)
_RIGHTS: Final = table((30, Rights.ALL), (1, Rights.NO_SYS_NICE), (1, Rights.OTHER_USER))
# Of programs that know no other process.
_RIGHTS_ALONE: Final = table((299, Rights.ALL), (1, Rights.NO_SYS_ADMIN))
# Few: what they prove beyond other programs lies in how arguments and structs are read.
ILP32_ONE_IN: Final = 24
_TWINS: Final = (2, 4, 6, 1)  # of 8 mappings, how many repeat the one before


class Swarm:
    """The tables that one program draws from.

    hostility: CLEAN programs make few mistakes in their arguments, HOSTILE ones many.
    twins: of 8 mappings, how many are like the one before them. ilp32: calls are made as a 32-bit
    process makes them. rights: Program.rights, of a program that is not whole.
    poison: memory may be poisoned. reclaim: the kernel may be told to reclaim memory.
    """

    __slots__ = (
        "templates", "extras", "advices", "steps", "ranges", "pidfds", "hostility", "twins",
        "ilp32", "rights", "poison", "reclaim",
    )  # fmt: skip

    def __init__(self, chooser: Chooser, options: GenerateOptions) -> None:
        pick = chooser.pick
        self.hostility: int = pick(_HOSTILITY)
        self.twins: int = pick(_TWINS)
        self.templates: tuple[Template, ...] = palette(chooser, TEMPLATES)
        self.extras: tuple[Extra, ...] = pick(_EXTRAS)
        advices = clean_advice_table if self.hostility == CLEAN else advice_table
        self.advices: tuple[int, ...] = palette(chooser, advices(options.advices))
        self.steps: tuple[int, ...] = palette(chooser, step_table(options.surfaces))
        self.pidfds: tuple[int, ...] = pick(_PIDFDS)
        self.rights: Rights = pick(_RIGHTS if len(self.pidfds) > 1 else _RIGHTS_ALONE)
        self.poison = options.poison
        self.reclaim = options.reclaim
        self.ilp32: bool = chooser.chance(1, ILP32_ONE_IN)
        self.ranges: tuple[int, ...] = RANGES_ILP32 if self.ilp32 else _RANGES[self.hostility]


def palette(chooser: Chooser, full: tuple[T, ...]) -> tuple[T, ...]:
    """The full table, or one to three draws from it."""
    size = chooser.pick(_SIZES)
    if size == 0:
        return full
    return tuple([chooser.pick(full) for _ in range(size)])
