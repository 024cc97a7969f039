"""Program: an address-space layout, and the steps taken in it."""

from __future__ import annotations

from typing import Final

import msgspec

from conformance.program.call import (
    AnyStep,
    ClearSoftDirty,
    Madvise,
    Mlock,
    MadviseRanges,
    Mmap,
    Mprotect,
    Mremap,
    Mseal,
    ProcessMadvise,
    SealFile,
    Step,
    TouchPages,
    UffdRegister,
)
from conformance.program.control_struct import ControlFields
from conformance.program.mapping import FileSlot, Kind, Lock, Mapping, Uffd
from conformance.program.places import (
    ARENA_BASE,
    ARENA_PAGES_MAX,
    FD_PIDFD_REMOTE,
    PAGE,
    page_address,
)

MAPPINGS_MAX: Final = 16
STEPS_MAX: Final = 8


class Program(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The one value that is generated, written, run, judged and shrunk.

    whole: runs in a sacrificial process under ptrace, so that its calls may name addresses
    outside the arena. Equality and hash are of the whole value.
    """

    layout: tuple[Mapping, ...]
    steps: tuple[Step, ...]
    files: tuple[FileSlot, ...] = ()
    whole: bool = False

    def setup(self) -> tuple[AnyStep, ...]:
        """The layout as steps: every mmap in order, then each mapping's lock, touches, marks
        and registrations, then file seals, soft-dirty, and mseal last, since it forbids more."""
        out: list[AnyStep] = [Mmap(mapping) for mapping in self.layout]
        for mapping in self.layout:
            out.extend(_prepare(mapping))
        out.extend(SealFile(i) for i, slot in enumerate(self.files) if slot.sealed_write)
        if any(mapping.soft_dirty_cleared for mapping in self.layout):
            out.append(ClearSoftDirty())
        out.extend(
            Mseal(page_address(mapping.at), mapping.pages * PAGE)
            for mapping in self.layout
            if mapping.sealed
        )
        return tuple(out)

    def arena_pages(self) -> int:
        """How many pages of the arena a snapshot must cover, from its base."""
        end = max((mapping.at + mapping.pages for mapping in self.layout), default=0)
        for step in self.steps:
            if isinstance(step, Mmap):
                end = max(end, step.mapping.at + step.mapping.pages)
            elif isinstance(step, Mremap):
                start = step.start if step.target is None else step.target
                end = max(end, arena_page_after(start, step.new_length))
        return end

    def remote(self) -> bool:
        """Does any call name the second process?"""
        return any(_pidfd(step) == FD_PIDFD_REMOTE for step in self.steps)

    def isolated(self) -> bool:
        """Must it run in a child of its own, which cannot be reset for the next program?"""
        mappings = [*self.layout, *(s.mapping for s in self.steps if isinstance(s, Mmap))]
        return any(m.sealed or m.kind in (Kind.VVAR, Kind.HUGETLB) for m in mappings)


def _prepare(mapping: Mapping) -> list[AnyStep]:
    """The steps that bring a fresh mapping into its initial state."""
    start, length = page_address(mapping.at), mapping.pages * PAGE
    out: list[AnyStep] = []
    if mapping.lock is not Lock.NO:
        out.append(Mlock(start, length, onfault=mapping.lock is Lock.ONFAULT))
    out.extend(TouchPages(mapping.at + t.page, t.pages, t.write) for t in mapping.touches)
    for mark in mapping.marks:
        at, size = start + mark.page * PAGE, mark.pages * PAGE
        if mark.advice is not None:
            out.append(Madvise(at, size, mark.advice))
        if mark.prot is not None:
            out.append(Mprotect(at, size, mark.prot))
    if mapping.uffd is not Uffd.NO:
        out.append(UffdRegister(start, length, wp=mapping.uffd is Uffd.WP))
    return out


def arena_page_after(start: int, length: int) -> int:
    """The first arena page after [start, start + length), clamped to the arena; 0 if outside."""
    page = (start - ARENA_BASE + length + PAGE - 1) // PAGE
    return page if start >= ARENA_BASE and page <= ARENA_PAGES_MAX else 0


def _pidfd(step: Step) -> int | None:
    """The pidfd that a step hands to the kernel and that the kernel looks at."""
    if isinstance(step, ProcessMadvise):
        return step.pidfd
    if isinstance(step, MadviseRanges) and isinstance(step.control, ControlFields):
        return step.control.pidfd if step.control.is_remote else None
    return None
