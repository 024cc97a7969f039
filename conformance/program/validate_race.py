"""Which races may be run: who acts, what they may do, where they may store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise, product
from typing import Final

import msgspec

from conformance.program import call as c
from conformance.program.control_memory import control_bytes, pokes_of, ranges_of
from conformance.program.control_struct import ControlBytes, Range
from conformance.program.mapping import Kind
from conformance.program.places import ARENA_BASE, ARENA_END_MAX
from conformance.program.plan import fail_nth, signal_of
from conformance.program.program import Program, Rights
from conformance.program.race import (
    ACTOR_STEPS_MAX,
    ACTORS_MAX,
    ACTORS_MIN,
    DELAY_MAX,
    RESULTS_MAX,
    WORD,
    placed,
    results_of,
)
from conformance.program.reach import POISON_ADVICES, Danger
from conformance.program.struct_shapes import shape_of

# What a mapping of a race may be: what is mapped by one plain mmap(), and behaves alike each time.
KINDS: Final = frozenset({Kind.ANON, Kind.NORESERVE, Kind.MEMFD, Kind.TMPFS, Kind.DISK, Kind.ZERO})
STORES_MAX: Final = 4  # different words and values: each mixture of them is looked at
COLLAPSE: Final = 25
NOT_FOR_ACTORS: Final = frozenset((*POISON_ADVICES, COLLAPSE))
Inside = Callable[[c.Step], Iterator[Danger]]
_SURFACES: Final = (c.Madvise, c.ProcessMadvise, c.MadviseRanges)


def race_danger(race: c.Race, program: Program, inside: Inside) -> Iterator[Danger]:
    """Reasons why a race may not be run. inside: those of a step by itself."""
    if program.whole or program.rights is not Rights.ALL:
        yield Danger("actors", "are for ordinary programs: without whole and rights")
    yield from _bounds("number of actors", len(race.actors), ACTORS_MIN, ACTORS_MAX)
    yield from _bounds("number of results", results_of(race), 1, RESULTS_MAX)
    if sum(actor.place is c.ActorPlace.REMOTE for actor in race.actors) > 1:
        yield Danger("place", "there is one second process: at most one actor is remote")
    for number, actor in enumerate(race.actors):
        for danger in _actor(actor, inside):
            yield Danger(f"actor {number + 1}: {danger.key}", danger.what)
    yield from _structs(race)
    yield from _stores(race, inside)


def races_without_partner(program: Program) -> Iterator[int]:
    """Indices of races in which the second process acts, after one in which it has exited: its
    actor would be waited for until the deadline."""
    gone = False
    for number, step in enumerate(program.steps):
        if not isinstance(step, c.Race):
            continue
        remote = [actor for actor in step.actors if actor.place is c.ActorPlace.REMOTE]
        if gone and remote:
            yield number
        gone = gone or any(isinstance(last, c.Exit) for actor in remote for last in actor.steps)


def _bounds(key: str, value: int, low: int, high: int) -> Iterator[Danger]:
    if not low <= value <= high:
        yield Danger(key, f"is {value}, allowed: {low} to {high}")


def _actor(actor: c.Actor, inside: Inside) -> Iterator[Danger]:
    yield from _bounds("number of steps", len(actor.steps), 1, ACTOR_STEPS_MAX)
    yield from _bounds("delay", actor.delay, 0, DELAY_MAX)
    if any(fail_nth(step) or signal_of(step) is not None for step in actor.steps):
        yield Danger("fail_nth", "and signal are for steps of the program itself")
    yield from _bounds("repeat", actor.repeat, 1, RESULTS_MAX)
    remote = actor.place is c.ActorPlace.REMOTE
    for i, step in enumerate(actor.steps):
        if isinstance(step, c.Exit):
            if not remote or actor.repeat != 1 or i + 1 < len(actor.steps):
                yield Danger("exit", "is the last step of the second process, once")
            continue
        if isinstance(step, c.Store):
            if step.at % WORD or not 0 <= step.value < 1 << 64:
                yield Danger("store", "is of an aligned 64-bit word")
            continue
        yield from inside(step)
        if isinstance(step, c.Mmap) and step.mapping.kind not in KINDS:
            yield Danger("kind", f"of a mapping made in a race: {', '.join(sorted(KINDS))}")
        if isinstance(step, _SURFACES):
            yield from _call(step, remote)


def _call(step: c.Madvise | c.ProcessMadvise | c.MadviseRanges, remote: bool) -> Iterator[Danger]:
    if step.ilp32 or step.fail_nth:
        yield Danger("call", "ilp32 and fail_nth are not for actors")
    if isinstance(step, c.MadviseRanges):
        advices = [r.advice for r in ranges_of(step)]
        if isinstance(step.control, ControlBytes):
            yield Danger("raw", "is not for actors: a store makes any bytes of fields")
    else:
        advices = [step.advice]
    if remote and not isinstance(step, c.Madvise):
        yield Danger("call", "the second process has no structs: it calls madvise alone")
    if any(advice & 0xFFFF_FFFF in NOT_FOR_ACTORS for advice in advices):
        yield Danger("advice", "poison and COLLAPSE are not for actors")


def _structs(race: c.Race) -> Iterator[Danger]:
    """All lie in place before the first call: none may cover another."""
    spans = sorted((one.poke.at, one.poke.at + len(one.poke.data)) for one in placed(race))
    for before, after in pairwise(spans):
        if after[0] < before[1]:
            yield Danger("ctl_at", "structs of calls in one race may not overlap")
            return


def _stores(race: c.Race, inside: Inside) -> Iterator[Danger]:
    """Stores go into inputs of calls, or into the arena; whatever they make of a call, alone or
    together, is a call that may be made."""
    stores = {s for actor in race.actors for s in actor.steps if isinstance(s, c.Store)}
    inputs = [one for one in placed(race) if not one.poke.output]
    for store in stores:
        into = [
            one for one in inputs
            if one.poke.at <= store.at and store.at + WORD <= one.poke.at + len(one.poke.data)
        ]  # fmt: skip
        if not into and not ARENA_BASE <= store.at < ARENA_END_MAX:
            yield Danger("store", "goes into the control struct, array or vector of an actor's "
                                  "call, or into the arena")  # fmt: skip
    if len(stores) > STORES_MAX:
        yield Danger("store", f"has {len(stores)} different ones, allowed: {STORES_MAX}")
        return
    for one in dict.fromkeys(struct.step for struct in inputs):
        for variant in variants(one, stores):
            yield from inside(variant)


def variants(
    step: c.MadviseRanges | c.ProcessMadvise, stores: set[c.Store]
) -> list[c.MadviseRanges | c.ProcessMadvise]:
    """What stores into a call's structs may make of it."""
    pokes = [poke for poke in pokes_of(step) if not poke.output]
    words: dict[int, list[bytes | None]] = {}
    for store in sorted(stores, key=lambda store: (store.at, store.value)):
        for poke in pokes:
            if poke.at <= store.at and store.at + WORD <= poke.at + len(poke.data):
                words.setdefault(store.at, [None]).append(store.value.to_bytes(WORD, "little"))
    out = []
    for chosen in product(*words.values()):
        change = dict(zip(words, chosen, strict=True))
        if any(data is not None for data in chosen):
            out.append(_changed(step, change))
    return out


def _changed(
    step: c.MadviseRanges | c.ProcessMadvise, change: dict[int, bytes | None]
) -> c.MadviseRanges | c.ProcessMadvise:
    if isinstance(step, c.ProcessMadvise):
        vector = b"".join(poke.data for poke in pokes_of(step))
        data = _with(vector, step.vec_at, change)
        vec = tuple(c.IoRange(*pair) for pair in shape_of(False).iovec.iter_unpack(data))
        return msgspec.structs.replace(step, vec=vec)
    shape = shape_of(False)
    raw = _with(control_bytes(step), step.ctl_at, change)
    ranges = ranges_of(step)
    if ranges:
        array = b"".join(p.data for p in pokes_of(step) if p.at == step.array_at and p.part == 2)
        unpacked = shape.range_in.iter_unpack(_with(array, step.array_at, change))
        ranges = tuple(Range(start, length, advice) for start, length, advice in unpacked)
    return msgspec.structs.replace(step, control=ControlBytes(raw.hex(), ranges))


def _with(data: bytes, at: int, change: dict[int, bytes | None]) -> bytes:
    out = bytearray(data)
    for address, word in change.items():
        if word is not None and at <= address <= at + len(data) - WORD:
            out[address - at : address - at + WORD] = word
    return bytes(out)
