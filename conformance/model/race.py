"""A race on the model: what each actor does, step by step. In which order they go is not decided
here: see oracle.interleave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from conformance.abi import vm_flags as f
from conformance.model.address_space import AddressSpace, page_of, pages_up
from conformance.model.call_madvise import madvise
from conformance.model.call_madvise_ranges import madvise_ranges
from conformance.model.call_mmap import mmap, munmap
from conformance.model.call_mprotect import mprotect
from conformance.model.call_mremap import mremap
from conformance.model.call_process_madvise import process_madvise
from conformance.model.fork_child import fork
from conformance.model.page_state import SIGSEGV, WORDS, fault, grow_down, page_bytes, touch
from conformance.model.pauses import ASK, DOWNGRADE, DROP, FLUSH, FORGET, PAGE, WORD, WRITE
from conformance.model.policy import Policy
from conformance.model.process import Process
from conformance.model.stale import goes_there, store_there, taken_away
from conformance.program import call as c
from conformance.program.content import write_tag
from conformance.program.kernel_facts import RangesCall
from conformance.program.places import (
    ARENA_BASE,
    ARENA_END_MAX,
    ZONE_BASE,
    ZONE_END,
    page_address,
)
from conformance.program.places import (
    PAGE as PAGE_BYTES,
)
from conformance.program.race import WORD as WORD_BYTES
from conformance.program.race import serial_of
from conformance.spec.cite import cite, met

# Runs what it is given, one call for each actor, in some order of their atomic steps.
Schedule = Callable[[list[Callable[[], None]], Process, list[list[int]]], None]

# Of the shim, which looks each mapping up in /proc before it advises it.
PIECEMEAL: Final = "madvise_ranges() made of other calls is not atomic where the kernel's would be"
_REMOTE: Final = c.ActorPlace.REMOTE


def one_after_the_other(
    actors: list[Callable[[], None]], process: Process, results: list[list[int]]
) -> None:
    """The order in which they are written down, nobody overtaking anybody."""
    for act in actors:
        act()


def race(
    process: Process, step: c.Race, serial: int, policy: Policy, schedule: Schedule
) -> list[list[int]]:
    """The results of each actor; all structs are in place. What is atomic: docs/races.md."""
    cite("race-linear")
    met("race-confined")
    met("race-counters")
    if process.facts.ranges_call is RangesCall.SHIM and _piecemeal(step):
        process.space.unsure = PIECEMEAL
    results: list[list[int]] = [[] for _ in step.actors]
    acts: list[Callable[[], None]] = []
    for number, actor in enumerate(step.actors):
        acts.append(_act(process, actor, number, serial, policy, results[number]))
    schedule(acts, process, results)
    return results


def _piecemeal(step: c.Race) -> bool:
    """Does an actor call madvise_ranges() while another does more than to store words?"""
    callers = others = 0
    for actor in step.actors:
        calls = False
        for call in actor.steps:
            calls = calls or isinstance(call, c.MadviseRanges)
        callers += calls
        for call in actor.steps:
            if not isinstance(call, c.Store):
                others += 1
                break
    return callers > 0 and others > 1


def _act(
    process: Process,
    actor: c.Actor,
    number: int,
    serial: int,
    policy: Policy,
    results: list[int],
) -> Callable[[], None]:
    own = process.second() if actor.place is _REMOTE else process

    def act() -> None:
        for _ in range(actor.repeat):
            for index, step in enumerate(actor.steps):
                if isinstance(step, c.Exit):
                    _pause(own.space, WRITE, 0)
                    process.gone = True
                    results.append(0)
                else:
                    result = _call(own, step, serial_of(serial, number, index), policy)
                    results.append(result)

    return act


def _pause(space: AddressSpace, kind: int, where: int) -> bool:
    return space.pause is not None and space.pause(kind, where, None)


def _call(process: Process, step: c.ActorStep, serial: int, policy: Policy) -> int:
    space = process.space
    if isinstance(step, c.TouchPages):
        return _touch(space, step, serial)
    if isinstance(step, c.Madvise | c.ProcessMadvise | c.MadviseRanges):
        if isinstance(step, c.Madvise):
            result = madvise(space, step)
        elif isinstance(step, c.ProcessMadvise):
            result = process_madvise(process, step)
        else:
            result = madvise_ranges(process, step.ctl_at, policy)
        _pause(space, FLUSH, 0)
        return result
    if isinstance(step, c.Store):
        return _store(process, step)
    _pause(space, WRITE, 0)
    if isinstance(step, c.Mmap):
        return mmap(process, step.mapping)
    if isinstance(step, c.Munmap):
        return _unmap(
            space, step.start, step.length, lambda: munmap(space, step.start, step.length)
        )
    if isinstance(step, c.Mprotect):
        return mprotect(space, step)
    if isinstance(step, c.Mremap):
        kept = pages_up(step.new_length) * PAGE_BYTES
        if step.target is None and kept < step.old_length:
            return _unmap(
                space, step.start + kept, step.old_length - kept, lambda: mremap(process, step)
            )
        return mremap(process, step)
    fork(space)  # the child ends at once
    return 0


def _unmap(space: AddressSpace, start: int, length: int, change: Callable[[], int]) -> int:
    """munmap(), and mremap() that shrinks in place: when the VMAs are gone others may take the lock
    for reading, and only then are pages taken away. Source: vms_complete_munmap_vmas()."""
    first = page_of(start)
    for index in space.arena_span(first, first + pages_up(length)):
        taken_away(space, index + space.base)
    result = change()
    if result < 0:
        return result
    _pause(space, DOWNGRADE, 0)
    _pause(space, FLUSH, 0)
    _pause(space, DROP, 0)
    return result


def _touch(space: AddressSpace, step: c.TouchPages, serial: int) -> int:
    """Page by page: each access faults by itself. A write is three stores."""
    first = page_address(step.page) // PAGE_BYTES
    tag = write_tag(serial, step.page)
    for done in range(step.pages):
        page = first + done
        _pause(space, FORGET, page)
        _pause(space, PAGE, page)
        torn = step.write and page in space.behind_stale  # of private memory nobody can tell
        if not torn and goes_there(space, page, step.write):
            continue  # what it reads or writes is nobody's any more
        if not _pause(space, ASK, page):
            signal = touch(space, page, step.write, tag + done)
        elif step.write:
            signal = _store_words(space, page, tag + done)
        else:
            signal = _fault_in(space, page, False)
        if signal:
            return -(signal << 16 | done)
    return step.pages


def _fault_in(space: AddressSpace, page: int, write: bool) -> int:
    """Until the access goes through: 0, or the signal. What a fault has mapped may be gone again,
    or be forbidden, when the instruction is tried the next time."""
    index = page - space.base
    while True:
        vma = space.at(page) or grow_down(space, page)
        if vma is None or not vma.flags & (f.WR if write else f.RD):
            cite("touch-denied")
            return SIGSEGV
        inside = 0 <= index < space.count
        before = (space.pte[index], space.copy_of[index]) if inside else (0, 0)
        signal = fault(space, vma, page, write)
        if signal:
            return signal
        if not inside or before == (space.pte[index], space.copy_of[index]):
            return 0
        _pause(space, PAGE, page)


def _store_words(space: AddressSpace, page: int, tag: int) -> int:
    """The three words of a touch, while others may take the page away between two: 0, or the
    signal."""
    index = page - space.base
    lazy = stored = False
    for n, offset in enumerate(WORDS):
        address = page * PAGE_BYTES + offset
        if n:
            _pause(space, WORD, address)
            lazy = lazy or (0 <= index < space.count and space.lazy[index])
        if page in space.behind_stale and store_there(space, address, tag):
            continue
        signal = _store_word(space, address, tag)
        if signal:
            return signal
        stored = True
    if stored and 0 <= index < space.count:
        if lazy:  # reclaim may have taken some of the words
            space.unsure = "a page that is freed while it is written"
        space.lazy[index] = False
    return 0


def _store_word(space: AddressSpace, address: int, value: int) -> int:
    page, offset = divmod(address, PAGE_BYTES)
    signal = _fault_in(space, page, True)
    vma = space.at(page)
    if not signal and vma is not None:
        data = value.to_bytes(WORD_BYTES, "little")
        page_bytes(space, vma, page)[offset : offset + WORD_BYTES] = data
    return signal


def _store(process: Process, step: c.Store) -> int:
    _pause(process.space, WORD, step.at)
    if ZONE_BASE <= step.at < ZONE_END:
        process.memory.store(step.at, step.value.to_bytes(WORD_BYTES, "little"))
        return 0
    if ARENA_BASE <= step.at < ARENA_END_MAX:
        if store_there(process.space, step.at, step.value):
            return 0
        return -(_store_word(process.space, step.at, step.value) << 16)
    return -(SIGSEGV << 16)  # the read-only zone
