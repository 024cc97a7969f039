"""What is asked of a race: its steps one by one, what they touch, which structs they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from conformance.program.call import (
    Actor,
    ActorStep,
    AnyStep,
    Fork,
    Madvise,
    MadviseRanges,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    ProcessMadvise,
    Race,
    Store,
    TouchPages,
)
from conformance.program.control_memory import Poke, pokes_of
from conformance.program.control_struct import All, ControlBytes, Single
from conformance.program.places import ARENA_BASE, ARENA_END_MAX, PAGE
from conformance.program.program import STEPS_LONG_MAX

ACTORS_MIN: Final = 2
ACTORS_MAX: Final = 4
ACTOR_STEPS_MAX: Final = 4
RESULTS_MAX: Final = 256  # of one race: steps times repeats
DELAY_MAX: Final = 1_000_000
WORD: Final = 8  # bytes of a Store

# The serial number that marks what a touch of an actor writes: that of the race, and so much for
# each actor's each step. A layout makes at most 16 * (1 + 1 + 64 + 32 + 1) + 10 steps, the largest
# serial is below FILE_TAG >> 16.
SERIALS: Final = 0x740
assert 16 * 99 + 10 + STEPS_LONG_MAX < SERIALS
assert SERIALS * (1 + ACTORS_MAX * ACTOR_STEPS_MAX) < 0x8000


class Placed(NamedTuple):
    """A struct of a call in a race. peeked: it is read back when the race is over."""

    step: MadviseRanges | ProcessMadvise
    poke: Poke
    peeked: bool


def serial_of(race: int, actor: int, step: int) -> int:
    """The serial of an actor's step; race: that of the race."""
    return race + SERIALS * (1 + actor * ACTOR_STEPS_MAX + step)


def serial_words(serial: int, setup: int) -> str:
    """Who a serial marks: "step 2, call 1 of actor 1"; setup: steps of the layout."""
    which, race = divmod(serial, SERIALS)
    if not which:
        return f"step {race - setup}"
    actor, step = divmod(which - 1, ACTOR_STEPS_MAX)
    return f"call {step + 1} of actor {actor + 1} in step {race - setup}"


def flat(steps: Sequence[AnyStep]) -> list[AnyStep | ActorStep]:
    """The steps, with those of actors in place of each race."""
    out: list[AnyStep | ActorStep] = []
    for step in steps:
        if type(step) is Race:
            for actor in step.actors:
                out.extend(actor.steps)
        else:
            out.append(step)
    return out


def has_race(steps: Sequence[AnyStep]) -> bool:
    """Does any step have actors?"""
    for step in steps:
        if type(step) is Race:
            return True
    return False


def placed(race: Race) -> list[Placed]:
    """The structs of all calls, in the order of storing. Inputs are read back, too, where they
    lie in the arena or an actor stores into them."""
    stored = [step.at for actor in race.actors for step in actor.steps if isinstance(step, Store)]
    out = []
    for actor in race.actors:
        for step in actor.steps:
            if not isinstance(step, MadviseRanges | ProcessMadvise):
                continue
            for poke in pokes_of(step):
                end = poke.at + len(poke.data)
                peeked = (
                    poke.output
                    or ARENA_BASE <= poke.at < ARENA_END_MAX
                    or any(poke.at - WORD < at < end for at in stored)
                )
                out.append(Placed(step, poke, peeked))
    return out


def results_of(race: Race) -> int:
    """How many results its actors give."""
    return sum(len(actor.steps) * actor.repeat for actor in race.actors)


def results_of_actor(actor: Actor, data: Sequence[int], first: int) -> list[int]:
    """An actor's results, out of those of all; first: index of its first."""
    return list(data[first : first + len(actor.steps) * actor.repeat])


def pages_of(step: ActorStep | AnyStep) -> set[int]:
    """Arena pages that a step names: all that its effects can reach, but for VMAs at their edge
    and other mappings of the same file."""
    out: set[int] = set()
    for start, length in spans_of(step):
        first = (start - ARENA_BASE) // PAGE
        after = -(-(start + length - ARENA_BASE) // PAGE)
        out.update(range(max(0, first), min(after, (ARENA_END_MAX - ARENA_BASE) // PAGE)))
    return out


def spans_of(step: ActorStep | AnyStep) -> list[tuple[int, int]]:
    """(address, bytes) of what a step names."""
    if isinstance(step, Madvise | Munmap | Mprotect):
        return [(step.start, step.length)]
    if isinstance(step, ProcessMadvise):
        return [(r.start, r.length) for r in step.vec]
    if isinstance(step, MadviseRanges):
        return _ranges(step)
    if isinstance(step, Mmap):
        return [(ARENA_BASE + step.mapping.at * PAGE, step.mapping.pages * PAGE)]
    if isinstance(step, Mremap):
        to = step.start if step.target is None else step.target
        return [(step.start, step.old_length), (to, step.new_length)]
    if isinstance(step, TouchPages):
        return [(ARENA_BASE + step.page * PAGE, step.pages * PAGE)]
    if isinstance(step, Store):
        return [(step.at, WORD)]
    return []


def _ranges(step: MadviseRanges) -> list[tuple[int, int]]:
    control = step.control
    if isinstance(control, ControlBytes):
        return [(ARENA_BASE, ARENA_END_MAX - ARENA_BASE)]  # whatever the bytes say
    arm = control.arm
    if isinstance(arm, All):
        return [(ARENA_BASE, ARENA_END_MAX - ARENA_BASE)]
    ranges = (arm.range,) if isinstance(arm, Single) else arm.ranges
    return [(r.start, r.length) for r in ranges]


def changes_vmas(step: ActorStep | AnyStep) -> bool:
    """May it split, merge, make or remove VMAs? Discards and touches do not."""
    return not isinstance(step, TouchPages | Store | Fork)
