"""Signals come during every call of a program: all the time, and while it sleeps.

Where a call may sleep is where it makes or takes away pages that somebody watches: each mapping
that the call names with such an advice is watched once, with a signal that is handled and with one
that is fatal (see call.Signal). A signal that is handled must not change anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from conformance.abi.advice import BY_NAME
from conformance.oracle.rules import advised
from conformance.program.call import Signal, SignalHow, Step
from conformance.program.mapping import Mapping
from conformance.program.places import PAGE, page_address
from conformance.program.plan import is_surface
from conformance.program.program import Program
from conformance.program.validate import may_be_watched
from conformance.program.wire import Observe
from fuzz.engine.lane import Lane
from fuzz.engine.schedule import BATCH
from fuzz.engine.statistics import count

GROUP: Final = 8  # programs whose runs fill batches
BATCH_MAX: Final = BATCH - 1  # a full batch is looked at for leaks only now and then
LOOK: Final = Observe.EACH_STEP
STORMS, SLEEPERS, KILLS = "in a storm", "while it may sleep", "to end it"  # in Tally.signals
# Advices that make pages, or take them away.
_SLEEPY: Final = frozenset(
    BY_NAME[name].value
    for name in (
        "POPULATE_READ", "POPULATE_WRITE", "DONTNEED", "DONTNEED_LOCKED", "FREE", "REMOVE",
    )
)  # fmt: skip


def take(lane: Lane, programs: list[tuple[int, Program]], stopped: Callable[[], bool]) -> None:
    """Run all variants of some programs. stopped: asked between batches. Raises TargetError."""
    tries = [(number, out) for number, program in programs for out in variants(program)]
    for first in range(0, len(tries), BATCH_MAX):
        if stopped():
            return
        batch = tries[first : first + BATCH_MAX]
        before = len(lane.suspects)
        lane.start(0, [program for _, program in batch], LOOK)
        lane.finish()
        lane.suspects[before:] = [
            suspect._replace(number=batch[suspect.number][0]) for suspect in lane.suspects[before:]
        ]
        for _, program in batch:
            count(lane.tally.signals, _kind(program))


def variants(program: Program) -> Iterator[Program]:
    """The program with a signal in each of its calls, in each way."""
    for index, step in enumerate(program.steps):
        if not is_surface(step):
            continue
        yield _with(program, index, Signal(SignalHow.STORM))
        for mapping in program.layout:
            if _may_sleep(step, mapping):
                for how in (SignalHow.HANDLED, SignalHow.FATAL):
                    yield _with(program, index, Signal(how, mapping.at, mapping.pages))


def suitable(program: Program) -> bool:
    """Are its steps an ordinary process's?"""
    return not program.whole


def _with(program: Program, index: int, signal: Signal) -> Program:
    steps = list(program.steps)
    steps[index] = msgspec.structs.replace(steps[index], signal=signal)
    return msgspec.structs.replace(program, steps=tuple(steps))


def _may_sleep(step: Step, mapping: Mapping) -> bool:
    if not may_be_watched(mapping):
        return False
    start = page_address(mapping.at)
    end = start + mapping.pages * PAGE
    return any(
        entry.advice in _SLEEPY and entry.start < end and start < entry.start + entry.length
        for entry in advised(step)
    )


def _kind(program: Program) -> str:
    for step in program.steps:
        signal = getattr(step, "signal", None)
        if signal is not None:
            if signal.how is SignalHow.STORM:
                return STORMS
            return KILLS if signal.how is SignalHow.FATAL else SLEEPERS
    return STORMS
