"""Plan: what follows from a program alone and is asked for each time it is encoded or predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from conformance.program.call import (
    ActorPlace,
    ActorStep,
    AnyStep,
    ClearSoftDirty,
    Madvise,
    MadviseRanges,
    Mlock,
    Mmap,
    Mprotect,
    Mremap,
    Mseal,
    ProcessMadvise,
    Race,
    SealFile,
    Signal,
    TouchPages,
    UffdRegister,
)
from conformance.program.control_struct import ControlFields
from conformance.program.mapping import Kind, Lock, Mapping, Uffd
from conformance.program.places import (
    ARENA_BASE,
    ARENA_PAGES_MAX,
    FD_PIDFD_REMOTE,
    PAGE,
    page_address,
)
from conformance.program.program import Program, Rights
from conformance.program.race import flat, has_race

# Two generations: a program is asked for again while it is on its way, two batches of 64. More
# would only keep memory out of the cache.
GENERATION: Final = 128

_NOT_LOCKED: Final = Lock.NO
_ONFAULT: Final = Lock.ONFAULT
_NO_UFFD: Final = Uffd.NO
_UFFD_WP: Final = Uffd.WP
_VVAR: Final = Kind.VVAR
_ALL_RIGHTS: Final = Rights.ALL
_HUGETLB: Final = Kind.HUGETLB
_REMOTE: Final = ActorPlace.REMOTE


class Plan:
    """setup: the layout as steps, see Program.setup(). ilp32: does any step call as an ILP32
    process does? fault: the step in which an allocation fails, -1 for none. race: is any step a
    race? The others: see the methods of Program."""

    __slots__ = (
        "program", "setup", "arena_pages", "remote", "isolated", "ilp32", "fault", "race",
    )  # fmt: skip

    def __init__(self, program: Program) -> None:
        self.program = program
        self.race = has_race(program.steps)
        steps = flat(program.steps) if self.race else program.steps
        self.setup = _setup(program)
        self.arena_pages = _arena_pages(program, steps)
        self.remote = _remote(steps) or (self.race and _remote_actor(program))
        self.isolated = _isolated(program, steps)
        self.ilp32 = _ilp32(steps)
        self.fault = _fault(program)


class _Memory:
    """The plans of the last few programs, by identity."""

    __slots__ = ("young", "old")

    def __init__(self) -> None:
        self.young: dict[int, Plan] = {}
        self.old: dict[int, Plan] = {}


_MEMORY: Final = _Memory()


def plan_of(program: Program) -> Plan:
    """The plan of a program; remembered while the same object is likely to be asked for again."""
    key = id(program)
    plan = _MEMORY.young.get(key)
    if plan is not None and plan.program is program:
        return plan
    plan = _MEMORY.old.get(key)
    if plan is not None and plan.program is program:
        return plan
    if len(_MEMORY.young) >= GENERATION:
        _MEMORY.old = _MEMORY.young
        _MEMORY.young = {}
    plan = Plan(program)
    _MEMORY.young[key] = plan
    return plan


def _setup(program: Program) -> list[AnyStep]:
    layout = program.layout
    out: list[AnyStep] = [Mmap(mapping) for mapping in layout]
    soft_dirty = sealed = False
    for mapping in layout:
        _prepare(mapping, out)
        soft_dirty = soft_dirty or mapping.soft_dirty_cleared
        sealed = sealed or mapping.sealed
    for i, slot in enumerate(program.files):
        if slot.sealed_write:
            out.append(SealFile(i))
    if soft_dirty:
        out.append(ClearSoftDirty())
    if sealed:
        for mapping in layout:
            if mapping.sealed:
                out.append(Mseal(page_address(mapping.at), mapping.pages * PAGE))
    return out


def _prepare(mapping: Mapping, out: list[AnyStep]) -> None:
    """The steps that bring a fresh mapping into its initial state."""
    at = mapping.at
    lock = mapping.lock
    if lock is not _NOT_LOCKED:
        out.append(Mlock(page_address(at), mapping.pages * PAGE, lock is _ONFAULT))
    for touch in mapping.touches:
        out.append(TouchPages(at + touch.page, touch.pages, touch.write))
    for mark in mapping.marks:
        start, size = page_address(at + mark.page), mark.pages * PAGE
        advice, prot = mark.advice, mark.prot
        if advice is not None:
            out.append(Madvise(start, size, advice))
        if prot is not None:
            out.append(Mprotect(start, size, prot))
    uffd = mapping.uffd
    if uffd is not _NO_UFFD:
        out.append(UffdRegister(page_address(at), mapping.pages * PAGE, uffd is _UFFD_WP))


def _arena_pages(program: Program, steps: Sequence[ActorStep | AnyStep]) -> int:
    end = 0
    for mapping in program.layout:
        end = max(end, mapping.at + mapping.pages)
    for step in steps:
        if type(step) is Mmap:
            end = max(end, step.mapping.at + step.mapping.pages)
        elif type(step) is Mremap:
            start = step.start if step.target is None else step.target
            end = max(end, arena_page_after(start, step.new_length))
    return end


def arena_page_after(start: int, length: int) -> int:
    """The first arena page after [start, start + length), clamped to the arena; 0 if outside."""
    page = (start - ARENA_BASE + length + PAGE - 1) // PAGE
    return page if start >= ARENA_BASE and page <= ARENA_PAGES_MAX else 0


def _remote(steps: Sequence[ActorStep | AnyStep]) -> bool:
    for step in steps:
        if _pidfd(step) == FD_PIDFD_REMOTE:
            return True
    return False


def _remote_actor(program: Program) -> bool:
    for step in program.steps:
        if type(step) is Race:
            for actor in step.actors:
                if actor.place is _REMOTE:
                    return True
    return False


def _pidfd(step: ActorStep | AnyStep) -> int:
    """The pidfd that a step hands to the kernel and that the kernel looks at; -1 for none."""
    if type(step) is ProcessMadvise:
        return step.pidfd
    if type(step) is MadviseRanges:
        control = step.control
        if type(control) is ControlFields and control.is_remote:
            return control.pidfd
    return -1


def _ilp32(steps: Sequence[ActorStep | AnyStep]) -> bool:
    for step in steps:
        if calls_as_ilp32(step):
            return True
    return False


def calls_as_ilp32(step: ActorStep | AnyStep) -> bool:
    """Is it one of the three calls, made as a 32-bit process makes it?"""
    if type(step) is Madvise or type(step) is ProcessMadvise or type(step) is MadviseRanges:
        return step.ilp32
    return False


def is_surface(step: AnyStep) -> bool:
    """Is it one of the three calls?"""
    return type(step) is ProcessMadvise or type(step) is Madvise or type(step) is MadviseRanges


def fail_nth(step: object) -> int:
    """Which allocation of a call fails, 0 for none."""
    if type(step) is ProcessMadvise or type(step) is Madvise or type(step) is MadviseRanges:
        return step.fail_nth
    return 0


def signal_of(step: object) -> Signal | None:
    """The signal that comes during a call, if any."""
    if type(step) is ProcessMadvise or type(step) is Madvise or type(step) is MadviseRanges:
        return step.signal
    return None


def _fault(program: Program) -> int:
    steps = program.steps
    for i in range(len(steps)):
        if fail_nth(steps[i]):
            return i
    return -1


def _isolated(program: Program, steps: Sequence[ActorStep | AnyStep]) -> bool:
    if program.rights is not _ALL_RIGHTS:
        return True
    for mapping in program.layout:
        if mapping.sealed or _cannot_be_reset(mapping.kind):
            return True
    for step in steps:
        if type(step) is Mmap and _cannot_be_reset(step.mapping.kind):
            return True
    return False


def _cannot_be_reset(kind: Kind) -> bool:
    return kind is _VVAR or kind is _HUGETLB
