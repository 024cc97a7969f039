"""Plainer forms of single steps: defaults for options and places, fewer ranges, plain values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from conformance.abi.advice import BY_NAME
from conformance.program import call as c
from conformance.program import control_struct as cs
from conformance.program.mapping import Prot
from conformance.program.places import ARENA_BASE, PAGE
from conformance.program.plan import fail_nth

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

# One advice of each family that takes almost any memory, the plainest first.
PLAIN_ADVICES: Final = tuple(
    BY_NAME[name].value for name in ("NORMAL", "COLD", "RANDOM", "DONTNEED", "FREE", "DONTFORK")
)
NO_ADVICE: Final = 26  # a value that Linux does not have
PLAIN_LENGTHS: Final = (0, PAGE, 2 * PAGE, 3 * PAGE)
_NO_DEFAULT: Final = (msgspec.NODEFAULT,)


def without_runs(items: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    """The tuple without each run of its elements, long runs first."""
    for size in range(len(items), 0, -1):
        for first in range(len(items) - size + 1):
            yield items[:first] + items[first + size :]


def with_defaults(value: S, keep: Sequence[str] = ()) -> Iterator[S]:
    """The struct with all its defaults, then with each one of them."""
    changes: dict[str, Any] = {}
    for field in msgspec.structs.fields(value):
        if field.default in _NO_DEFAULT or field.name in keep:
            continue
        if getattr(value, field.name) != field.default:
            changes[field.name] = field.default
    if len(changes) > 1:
        yield replace(value, **changes)
    for name, default in changes.items():
        yield replace(value, **{name: default})


def simpler_steps(step: Any) -> Iterator[Any]:
    """Every plainer form of one step, the boldest first."""
    if fail_nth(step) > 1:
        for number in (1, fail_nth(step) // 2, fail_nth(step) - 1):
            yield replace(step, fail_nth=number)
    if isinstance(step, c.Race):
        yield from _race(step)
    elif isinstance(step, c.Madvise):
        yield from with_defaults(step)
        yield from _ranges_of_one(step)
        for advice in _advices(step.advice):
            yield replace(step, advice=advice)
    elif isinstance(step, c.ProcessMadvise):
        yield from _process_madvise(step)
    elif isinstance(step, c.MadviseRanges):
        yield from _madvise_ranges(step)
    elif isinstance(step, c.Mprotect):
        yield from _ranges_of_one(step)
        for prot in Prot:
            yield replace(step, prot=prot)
    elif isinstance(step, c.Munmap):
        yield from _ranges_of_one(step)
    elif isinstance(step, c.Mremap):
        yield from with_defaults(step)
        for length in PLAIN_LENGTHS:
            yield replace(step, old_length=length, new_length=length)
            yield replace(step, new_length=length)
    elif isinstance(step, c.TouchPages):
        for write in (True, False):
            for pages in (1, step.pages // 2, step.pages - 1):
                yield replace(step, pages=max(1, pages), write=write)
            yield replace(step, write=write)


def _race(race: c.Race) -> Iterator[c.Race]:
    """Fewer actors, fewer steps of each, each actor and each step plainer."""
    for actors in without_runs(race.actors):
        yield c.Race(actors)
    for i, actor in enumerate(race.actors):
        plainer = [replace(actor, steps=steps) for steps in without_runs(actor.steps)]
        plainer += with_defaults(actor)
        for k, step in enumerate(actor.steps):
            for one in simpler_steps(step):
                steps = actor.steps[:k] + (one,) + actor.steps[k + 1 :]
                plainer.append(replace(actor, steps=steps))
        for other in plainer:
            yield c.Race(race.actors[:i] + (other,) + race.actors[i + 1 :])


def _advices(advice: int) -> Iterator[int]:
    """Plain advices, one that does not exist, and the low half of a register that has more."""
    yield from PLAIN_ADVICES
    yield NO_ADVICE
    low = advice & 0xFFFF_FFFF
    yield low - (1 << 32) if low >> 31 else low


def _ranges_of_one(entry: Any) -> Iterator[Any]:
    """A start and a length, each plainer: aligned, few pages, the start of the arena."""
    start, length = entry.start, entry.length
    for plain in PLAIN_LENGTHS:
        yield replace(entry, length=plain)
    yield replace(entry, start=start - start % PAGE)
    yield replace(entry, length=(length + PAGE - 1) // PAGE * PAGE)
    yield replace(entry, length=length - length % PAGE)
    yield replace(entry, length=max(0, length - PAGE))
    yield replace(entry, start=ARENA_BASE)
    if length > PAGE:  # from the front: the end stays
        yield replace(entry, start=start + PAGE, length=length - PAGE)


def _process_madvise(step: c.ProcessMadvise) -> Iterator[c.Step]:
    yield from with_defaults(step, keep=("vec",))
    for vec in without_runs(step.vec):
        yield replace(step, vec=vec)
    for advice in _advices(step.advice):
        yield replace(step, advice=advice)
    for i, entry in enumerate(step.vec):
        for plainer in _ranges_of_one(entry):
            yield replace(step, vec=step.vec[:i] + (plainer,) + step.vec[i + 1 :])


def _madvise_ranges(step: c.MadviseRanges) -> Iterator[c.Step]:
    yield from with_defaults(step)
    control = step.control
    if isinstance(control, cs.ControlBytes):
        for plainer in _raw(control):
            yield replace(step, control=plainer)
        return
    for fields in with_defaults(control):
        yield replace(step, control=fields)
    for arm in _arms(control.arm):
        yield replace(step, control=replace(control, arm=arm))


def _raw(control: cs.ControlBytes) -> Iterator[cs.ControlBytes]:
    """Raw bytes: shorter, or with zeros in place of a word."""
    raw = control.raw
    for ranges in without_runs(control.ranges):
        yield replace(control, ranges=ranges)
    for size in (len(raw) // 4 * 2, 96, 16, 8, len(raw) - 2):
        if 0 <= size < len(raw):
            yield replace(control, raw=raw[:size])
    for digits in (16, 8, 2):
        for at in range(0, len(raw), digits):
            zeros = "0" * min(digits, len(raw) - at)
            yield replace(control, raw=raw[:at] + zeros + raw[at + digits :])


def _arms(arm: cs.Arm) -> Iterator[cs.Arm]:
    if isinstance(arm, cs.All):
        yield from with_defaults(arm)
        for advice in _advices(arm.advice):
            yield replace(arm, advice=advice)
        return
    if isinstance(arm, cs.Single):
        for entry in _ranges(arm.range):
            yield replace(arm, range=entry)
        return
    for entry in arm.ranges:
        yield cs.Single(entry)
    yield from with_defaults(arm, keep=("ranges",))
    for ranges in without_runs(arm.ranges):
        yield replace(arm, ranges=ranges)
    for i, entry in enumerate(arm.ranges):
        for plainer in _ranges(entry):
            yield replace(arm, ranges=arm.ranges[:i] + (plainer,) + arm.ranges[i + 1 :])


def _ranges(entry: cs.Range) -> Iterator[cs.Range]:
    for advice in _advices(entry.advice):
        yield replace(entry, advice=advice)
    yield from _ranges_of_one(entry)
