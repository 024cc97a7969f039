"""Ordinary mm calls between the advices: what is mapped changes under the model's eyes."""

from __future__ import annotations

from typing import Final

from conformance.program.call import (
    Fork,
    ForkExec,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Reclaim,
    Step,
    TouchPages,
)
from conformance.program.mapping import FILE_KINDS, Kind, Mapping, Prot
from conformance.program.places import ARENA_PAGES_MAX, PAGE, page_address
from fuzz.generate.chooser import Chooser, table
from fuzz.generate.layouts import Layout
from fuzz.generate.ranges import arena_range
from fuzz.generate.swarm import Swarm
from fuzz.generate.tables import (
    PLAIN_TEMPLATES,
    STEP_FORK,
    STEP_MMAP,
    STEP_MPROTECT,
    STEP_MREMAP,
    STEP_MUNMAP,
    STEP_TOUCH,
)

FORK: Final = Fork()
FORK_EXEC: Final = ForkExec()
# Executing a program costs as much as five whole programs, and few things change its outcome.
FORK_EXEC_ONE_IN: Final = 40
RECLAIM: Final = Reclaim()
RECLAIM_ONE_IN: Final = 10
PROTS: Final = table((3, Prot.R), (3, Prot.NONE), (4, Prot.RW), (1, Prot.RX))
MMAP_PAGES_MAX: Final = 64
# A process has one [vvar]; huge pages are few, and want their own alignment; perf its own size.
SINGULAR_KINDS: Final = (Kind.VVAR, Kind.HUGETLB, Kind.PERF)
_NEW_PAGES: Final = (0, 1, 2, 3, 5, 8)
_LENGTH_FLAWS: Final = table((20, 0), (1, 1), (1, PAGE - 1))  # bytes short of whole pages


def draw_mm_step(chooser: Chooser, layout: Layout, swarm: Swarm, kind: int) -> Step:
    """One step of the kind that a step table gave."""
    if kind == STEP_FORK:
        if swarm.reclaim and chooser.chance(1, RECLAIM_ONE_IN):
            return RECLAIM
        return FORK_EXEC if chooser.chance(1, FORK_EXEC_ONE_IN) else FORK
    page, pages = arena_range(chooser, layout)
    if kind == STEP_TOUCH:
        return TouchPages(page, pages, not chooser.chance(1, 3))
    if kind == STEP_MMAP:
        return Mmap(_draw_over(chooser, layout, swarm, page, min(pages, MMAP_PAGES_MAX)))
    length = pages * PAGE - chooser.pick(_LENGTH_FLAWS)
    if kind == STEP_MUNMAP:
        return Munmap(page_address(page), length)
    if kind == STEP_MPROTECT:
        return Mprotect(page_address(page), length, chooser.pick(PROTS))
    if kind == STEP_MREMAP:
        return _draw_mremap(chooser, layout, page, pages)
    raise ValueError(f"step kind {kind} is no mm step")


def _draw_over(chooser: Chooser, layout: Layout, swarm: Swarm, page: int, pages: int) -> Mapping:
    """A fresh mapping over a part of the layout, half of the time like one that is there."""
    if chooser.chance(1, 2):
        like = chooser.pick(tuple(layout.mappings))
        if like.kind in FILE_KINDS:
            offset = max(0, like.offset + page - like.at)
            return Mapping(
                like.kind, page, pages, like.prot, like.sharing, like.file, offset,
                like.read_only_fd,
            )  # fmt: skip
        if like.kind not in SINGULAR_KINDS:
            return Mapping(like.kind, page, pages, like.prot, like.sharing)
    template = chooser.pick(PLAIN_TEMPLATES)
    return Mapping(template.kind, page, pages, template.prot, template.sharing)


def _draw_mremap(chooser: Chooser, layout: Layout, page: int, pages: int) -> Mremap:
    """In place, or to another place of the arena, over what is there or behind it."""
    start = page_address(page)
    new = pages if chooser.chance(1, 2) else chooser.pick(_NEW_PAGES)
    if chooser.chance(1, 2):
        new = min(new, ARENA_PAGES_MAX - page)
        return Mremap(start, pages * PAGE, new * PAGE)
    behind = layout.end + chooser.integer(0, 2)
    target = chooser.pick((behind, behind, chooser.pick(layout.edges)))
    new = min(new, ARENA_PAGES_MAX - target)
    dont_unmap = chooser.chance(1, 3)
    if dont_unmap and chooser.chance(3, 4):  # the kernel wants equal lengths
        new = min(pages, ARENA_PAGES_MAX - target)
    return Mremap(start, pages * PAGE, new * PAGE, page_address(target), dont_unmap)
