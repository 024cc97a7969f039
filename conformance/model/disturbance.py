"""What disturbs a call: an allocation that fails (allocations), a signal that comes."""

from __future__ import annotations

from typing import Final

from conformance.model.address_space import ARENA_FIRST, AddressSpace
from conformance.model.prediction import Prediction
from conformance.model.split_merge import modify
from conformance.program.call import (
    SIGNAL_HANDLED_ONE,
    SIGNAL_SLEPT,
    Madvise,
    MadviseRanges,
    ProcessMadvise,
    Signal,
    SignalHow,
)
from conformance.spec.cite import cite, met

SIGKILL: Final = 9
WATCHED: Final = 1 << 62  # a flag of VMAs that no kernel shows; gone when the call has returned
Call = Madvise | ProcessMadvise | MadviseRanges
_STORM: Final = SignalHow.STORM
_FATAL: Final = SignalHow.FATAL


def begin(space: AddressSpace, call: Call, place: int) -> None:
    """Right before the call. place: which of the model's allocations fails, 0 for none."""
    if call.fail_nth:
        space.allocations.due = place
    signal = call.signal
    space.storm = signal is not None and signal.how is _STORM
    if signal is not None and signal.pages:
        space.watched_from = ARENA_FIRST + signal.page
        space.watched_to = space.watched_from + signal.pages
        space.slept = False
        _watch(space, WATCHED)


def end(space: AddressSpace, call: Call, place: int, out: Prediction, step: int) -> None:
    """Right after it: what is looked at next is not disturbed. step: its index."""
    if call.fail_nth:
        out.fault_reached = bool(place) and not space.allocations.due
        space.allocations.due = 0
    signal = call.signal
    space.storm = False
    if signal is not None:
        _watch(space, 0)
        space.watched_from = space.watched_to = 0
        if signal.how is _FATAL and space.slept and out.dies_at < 0:
            cite("signal-fatal")
            out.dies_at, out.dies_of = step, SIGKILL


def _watch(space: AddressSpace, mark: int) -> None:
    """While userfaultfd watches, what it watches is a VMA of its own, even where it had merged with
    what lies beside it; afterwards it merges again, if it still can. Source:
    userfaultfd_register_range(), userfaultfd_clear_vma()."""
    page, end = space.watched_from, space.watched_to
    while page < end:
        index = space.find(page)
        if index == len(space.vmas) or space.vmas[index].start >= end:
            return
        vma = space.vmas[index]
        page = max(page, vma.start)
        part_end = min(vma.end, end)
        flags = vma.flags & ~WATCHED | mark
        if flags != vma.flags:
            modify(space, vma, page, part_end, flags)
        page = part_end


def note(space: AddressSpace, call: Call, out: Prediction, step: int) -> None:
    """What the executor reads back of it, behind the other peeks."""
    if call.fail_nth:
        _note_fault(out, step)
    if call.signal is not None:
        _note_signal(space, call.signal, out, step)


def _note_fault(out: Prediction, step: int) -> None:
    """Were so many allocations made? Where none of the model's places fails, one that it knows
    nothing of may have, or none."""
    if not out.fault_reached:
        met("allocation-spared")
        out.free_peeks[len(out.peeks)] = "allocation-spared"
    _peek(out, step, 0, "fault")


def _note_signal(space: AddressSpace, signal: Signal, out: Prediction, step: int) -> None:
    """A call that sleeps sleeps on, whatever signal is handled: those that look for signals at all
    look for fatal ones only. The handler runs when the call returns."""
    seen = 0
    if signal.how is _STORM:
        met("signal-storm")
        out.free_peeks[len(out.peeks)] = "signal-storm"
    elif space.slept:
        met("signal-handled")
        seen = SIGNAL_SLEPT | SIGNAL_HANDLED_ONE
    _peek(out, step, seen, "signal")


def _peek(out: Prediction, step: int, word: int, name: str) -> None:
    out.peeks.append(word.to_bytes(8, "little"))
    out.peek_steps.append(step)
    out.peek_names.append(name)
