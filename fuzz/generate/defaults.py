"""Two defaults in a row: the second takes the first back, or must leave it: another, or refused."""

from __future__ import annotations

from typing import Final

from conformance.abi.advice import BY_NAME
from conformance.program.call import MadviseRanges, Mmap, Step
from conformance.program.control_struct import All, ControlFields
from conformance.program.mapping import Kind, Mapping
from conformance.program.places import ARENA_PAGES_MAX
from fuzz.generate.chooser import Chooser, table
from fuzz.generate.layouts import Layout

STEPS: Final = 3  # at most
_DUMP: Final = ("DONTDUMP", "DODUMP")
PAIRS: Final = table(
    (2, _DUMP), (1, ("RANDOM", "NORMAL")), (1, ("SEQUENTIAL", "NORMAL")),
    (1, ("NOHUGEPAGE", "HUGEPAGE")), (1, ("RANDOM", "SEQUENTIAL")),
    (2, ("DONTDUMP", "RANDOM")), (2, ("SEQUENTIAL", "DONTDUMP")),
)  # fmt: skip


def two_defaults(chooser: Chooser, layout: Layout) -> list[Step]:
    """Calls with ALL and set_default, for programs that may be hurt. DODUMP is refused where
    something is mapped that the kernel may drop at any time; nothing refuses the others."""
    pair = chooser.pick(PAIRS)
    steps: list[Step] = [_set_default(name) for name in pair]
    behind = max(mapping.at + mapping.pages for mapping in layout.mappings)
    if pair == _DUMP and behind < ARENA_PAGES_MAX and not chooser.chance(1, 3):
        steps.insert(0, Mmap(Mapping(Kind.DROPPABLE, behind, 1)))
    return steps


def _set_default(name: str) -> MadviseRanges:
    return MadviseRanges(ControlFields(All(BY_NAME[name].value, 1)))
