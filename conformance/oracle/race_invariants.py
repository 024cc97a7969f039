"""What holds of a race in whatever order its steps went: what nobody named is as it was, counters
are within bounds, the list of VMAs is one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from conformance.abi import control_v1 as v1
from conformance.abi.codec import unpack_struct
from conformance.abi.errnos import errno_name
from conformance.model.prediction import ExpectedSnapshot, Prediction
from conformance.oracle.compare_effects import page_allowed
from conformance.oracle.explain import page_words
from conformance.oracle.linear_words import results_of_races
from conformance.oracle.verdict import Difference
from conformance.program import call as c
from conformance.program.control_memory import ranges_of
from conformance.program.control_struct import ControlFields, Single
from conformance.program.outcome import NOT_PLACED, Outcome, Snapshot, Status
from conformance.program.places import PAGE
from conformance.program.program import Program
from conformance.program.race import flat, pages_of, placed
from conformance.program.struct_shapes import LP64_SHAPE
from conformance.spec.cite import cite

ERRNO_MAX: Final = 4095


def broken_invariant(
    program: Program, outcome: Outcome, prediction: Prediction
) -> Difference | None:
    """The first invariant that does not hold, or None. prediction: of any order."""
    if outcome.status is not Status.DONE:
        return None
    for step, field, seen, allowed, rule in _broken(program, outcome, prediction):
        words = f"race in step {step - len(program.setup()) + 1}: {seen}, allowed: {allowed}"
        return Difference(step, f"race.{field}", seen, allowed, f"{words} ({rule})", rule)
    return None


_Found = tuple[int, str, str, str, str]  # step, field, seen, allowed, rule


def _broken(program: Program, outcome: Outcome, prediction: Prediction) -> Iterator[_Found]:
    step = len(program.setup()) + next(
        i for i, step in enumerate(program.steps) if isinstance(step, c.Race)
    )
    yield from _results(program, outcome, prediction, step)
    if not _stores(program):  # else a call may have been told to write anywhere
        yield from _zones(outcome, prediction)
    yield from _counters(program, outcome, prediction, step)
    for expected, seen in zip(prediction.snapshots, outcome.snapshots, strict=False):
        if expected.step >= step:
            yield from _vmas(seen, step)
            if prediction.judged_until > expected.step:
                yield from _untouched(program, expected, seen, step)


def _stores(program: Program) -> bool:
    """Does an actor change what a call of another says?"""
    return any(isinstance(call, c.Store) for call in flat(program.steps))


def _results(
    program: Program, outcome: Outcome, prediction: Prediction, step: int
) -> Iterator[_Found]:
    """Every result is one that its call can give at all, and the race's own is that it was run."""
    for at, one in enumerate(program.steps, len(program.setup())):
        if not isinstance(one, c.Race) or at >= len(outcome.results):
            continue
        if outcome.results[at] not in (0, NOT_PLACED):
            own = str(outcome.results[at])
            yield at, "impossible", own, "0, as of any race", cite("race-counters")
    for race, actors in results_of_races(program, outcome, prediction):
        for actor, values in zip(race.actors, actors, strict=True):
            for call, value in zip(actor.steps * actor.repeat, values, strict=True):
                if not _possible(call, value):
                    rule = cite("race-counters")
                    yield step, "impossible", str(value), "a result of this call", rule


def _possible(call: c.ActorStep, value: int) -> bool:
    if isinstance(call, c.TouchPages):
        return value == call.pages or (value < 0 and -value & 0xFFFF < call.pages)
    if isinstance(call, c.Store):
        return value == 0 or value in (-(7 << 16), -(11 << 16))
    if value < 0:
        return value >= -ERRNO_MAX and not errno_name(-value).isdigit()
    if isinstance(call, c.ProcessMadvise):
        return value <= 0x7FFF_F000
    return value == 0 or isinstance(call, c.Mmap | c.Mremap)


def _zones(outcome: Outcome, prediction: Prediction) -> Iterator[_Found]:
    """No byte of the zones outside the structs has changed."""
    for i, name in enumerate(prediction.peek_names):
        if name != "zone" or i >= len(outcome.peeks):
            continue
        if outcome.peeks[i] != prediction.peeks[i] and any(outcome.peeks[i]):
            at = int.from_bytes(outcome.peeks[i], "little")
            rule = cite("abi-writes-confined")
            where = f"the byte at {at:#x} has changed"
            yield prediction.peek_steps[i], "canary", where, "no change outside structs", rule


def _counters(
    program: Program, outcome: Outcome, prediction: Prediction, step: int
) -> Iterator[_Found]:
    """The stats of a call count no more than its ranges have."""
    for peek, call in _stats(program, prediction):
        data = outcome.peeks[peek] if peek < len(outcome.peeks) else b""
        control = call.control
        if len(data) != LP64_SHAPE.stats_size or not isinstance(control, ControlFields):
            continue
        arm = control.arm
        ranges = (arm.range,) if isinstance(arm, Single) else ranges_of(call)
        fill = bytes([call.stats_fill]) * 8
        if not ranges or data.startswith(fill * 4):
            continue  # not written
        stats = unpack_struct(v1.STATS, data, LP64_SHAPE.model)
        pages = sum(-(-r.length // PAGE) for r in ranges)
        counted = stats["nr_pages_advised"] + stats["nr_pages_skipped"]
        parts = stats["nr_mappings_advised"] + stats["nr_mappings_skipped"]
        rule = cite("race-counters")
        if counted > pages or parts > counted or stats["nr_gaps"] > pages:
            seen = f"{counted} pages and {parts} parts counted, {stats['nr_gaps']} gaps"
            yield step, "counters", seen, f"at most {pages} pages", rule
        if stats["offset"] >= len(ranges):
            yield step, "counters", f"offset {stats['offset']}", f"below {len(ranges)}", rule


def _stats(program: Program, prediction: Prediction) -> Iterator[tuple[int, c.MadviseRanges]]:
    """The peek of each stats struct of a race, with its call; not where an actor stores."""
    at = [i for i, name in enumerate(prediction.peek_names) if name == "race"]
    races = [step for step in program.steps if isinstance(step, c.Race)]
    for peek, race in zip(at, races, strict=True):
        if any(isinstance(s, c.Store) for actor in race.actors for s in actor.steps):
            continue
        for one in placed(race):
            if not one.peeked:
                continue
            peek += 1
            if one.poke.part == 1 and isinstance(one.step, c.MadviseRanges):
                yield peek, one.step


def _vmas(seen: Snapshot, step: int) -> Iterator[_Found]:
    """VMAs lie in order, do not overlap, and are of whole pages."""
    last = 0
    for i in range(0, len(seen.vmas), 4):
        start, end = seen.vmas[i : i + 2]
        if start < last or end <= start or start % PAGE or end % PAGE:
            rule = cite("race-confined")
            yield step, "vma-list", f"a VMA {start:#x}..{end:#x} after {last:#x}", "order", rule
        last = end


def _untouched(
    program: Program, expected: ExpectedSnapshot, seen: Snapshot, step: int
) -> Iterator[_Found]:
    """Pages that nobody names are as they would be without the race."""
    if program.files:
        return  # one page may be seen in many places
    if _stores(program):
        return  # what a call names is not known
    named: set[int] = set()
    for call in flat(program.steps):  # a step behind the race may end where it did not otherwise
        named |= pages_of(call)
    for index in range(min(len(expected.pages), len(seen.pages))):
        if index in named or page_allowed(expected, index, seen.pages[index]):
            continue
        rule = cite("race-confined")
        words = [page_words(word, len(program.setup()))
                 for word in (seen.pages[index], expected.pages[index])]  # fmt: skip
        yield step, "untouched", f"page {index}, which nobody names: {words[0]}", words[1], rule
