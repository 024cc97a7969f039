"""Changes of the calls of a program: their ranges, advices, options, and where structs lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from msgspec.structs import replace

from conformance.abi.advice import ADVICES, BY_VALUE
from conformance.program import control_struct as cs
from conformance.program.call import (
    PER_RANGE_USUAL,
    IoRange,
    Madvise,
    MadviseRanges,
    ProcessMadvise,
    Step,
)
from conformance.program.places import FD_PIDFD_REMOTE, FD_PIDFD_SELF, PAGE
from conformance.program.program import Program
from fuzz.generate.boundaries import INVALID_ADVICES, ODD_BYTES, REMOTE_ADVICES
from fuzz.generate.calls import ARRAY_USUAL
from fuzz.generate.chooser import Chooser, table
from fuzz.generate.control_structs import SET_DEFAULTS, STATS_FILLS
from fuzz.generate.flaws import STATS_USUAL, VERSIONS, with_flaw
from fuzz.generate.hostile_bytes import with_bytes
from fuzz.generate.placements import draw_place
from fuzz.generate.tables import PIDFDS_ANY
from fuzz.guidance.mutate_layout import layout_of
from fuzz.guidance.step_ranges import (
    RANGES_MAX,
    edges_of,
    elements_of,
    ranges_of,
    with_elements,
    with_range,
)

T = TypeVar("T")
Change = Callable[[Step], Step | None]

SHIFTS: Final = table((6, 0), (2, PAGE), (2, -PAGE), (1, 1), (1, -1))  # bytes from an edge
NUDGES: Final = (PAGE, -PAGE, 2 * PAGE, 8 * PAGE, *ODD_BYTES, -1)
FLAG_OPTIONS: Final = ("ignore_errors", "single_mapping_only", "stop_on_gap", "is_remote")
REMOTE: Final = "is_remote"
OTHER_OPTIONS: Final = (
    "stats_at", "per_range_at", "stats_fill", "version", "pidfd", "set_default", "padding",
)  # fmt: skip
FLAGS: Final = (0, 1, 2, 1 << 31)
VALUES: Final = tuple(row.value for row in ADVICES)
INT_SIGN: Final = 1 << 31
INT_MASK: Final = (1 << 32) - 1
IOVEC_BYTES: Final = 16


def _changed(chooser: Chooser, program: Program, change: Change) -> Program | None:
    """With the first step, from a random one on, that the change has something to do with."""
    steps = program.steps
    first = chooser.integer(0, len(steps) - 1)
    for i in range(len(steps)):
        at = (first + i) % len(steps)
        changed = change(steps[at])
        if changed is not None and changed != steps[at]:
            return replace(program, steps=steps[:at] + (changed,) + steps[at + 1 :])
    return None


def move_range(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """A range to where mappings and gaps begin and end."""
    del other
    edges = edges_of(program)

    def change(step: Step) -> Step | None:
        spans = ranges_of(step)
        if not spans:
            return None
        at = chooser.integer(0, len(spans) - 1)
        start, end = chooser.pick(edges), chooser.pick(edges) + chooser.pick(SHIFTS)
        start += chooser.pick(SHIFTS)
        if chooser.chance(1, 3):  # one end only
            start = spans[at][0]
        elif chooser.chance(1, 3):
            end = sum(spans[at])
        if end < start and not chooser.chance(1, 16):
            start, end = end, start
        return with_range(step, at, (start, end - start))

    return _changed(chooser, program, change)


def nudge_range(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """A range a little longer, shorter, earlier or later, or empty."""
    del other

    def change(step: Step) -> Step | None:
        spans = ranges_of(step)
        if not spans:
            return None
        at = chooser.integer(0, len(spans) - 1)
        start, length = spans[at]
        by = chooser.pick(NUDGES)
        which = chooser.integer(0, 6)
        if which <= 1:
            return with_range(step, at, (start + by, length))
        if which <= 3:
            return with_range(step, at, (start, max(0, length + by)))
        if which == 4:
            return with_range(step, at, (start, 0))
        return with_range(step, at, (start + by, max(0, length - by)))

    return _changed(chooser, program, change)


def change_advice(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """Another advice, of the same family or of any."""
    del other

    def change(step: Step) -> Step | None:
        if isinstance(step, Madvise | ProcessMadvise):
            return replace(step, advice=_other_advice(chooser, step.advice))
        if not isinstance(step, MadviseRanges):
            return None
        control = step.control
        if isinstance(control, cs.ControlFields) and isinstance(control.arm, cs.All):
            arm = replace(control.arm, advice=_as_int(_other_advice(chooser, control.arm.advice)))
            return replace(step, control=replace(control, arm=arm))
        elements = elements_of(step)
        if not elements:
            return None
        at = chooser.integer(0, len(elements) - 1)
        one = elements[at]
        one = replace(one, advice=_as_int(_other_advice(chooser, one.advice)))
        return with_elements(step, (*elements[:at], one, *elements[at + 1 :]))

    return _changed(chooser, program, change)


def _other_advice(chooser: Chooser, advice: int) -> int:
    row = BY_VALUE.get(advice)
    how = chooser.integer(0, 11)
    if row is not None and how <= 4:
        return chooser.pick(tuple(r.value for r in ADVICES if r.family is row.family))
    if how == 5:
        return chooser.pick(INVALID_ADVICES)
    return chooser.pick(REMOTE_ADVICES if how == 6 else VALUES)


def _as_int(advice: int) -> int:
    """As the member of a struct holds it."""
    return ((advice + INT_SIGN) & INT_MASK) - INT_SIGN


def toggle_option(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """One option the other way, or one argument beside the ranges; ILP32 for all calls at once."""
    del other
    if chooser.chance(1, 16):
        return _other_abi(program)

    def change(step: Step) -> Step | None:
        if isinstance(step, ProcessMadvise):
            return _toggled_process(chooser, step)
        if isinstance(step, MadviseRanges) and isinstance(step.control, cs.ControlFields):
            return _toggled_ranges(chooser, step, step.control)
        return None

    return _changed(chooser, program, change)


def _other_abi(program: Program) -> Program:
    steps = tuple(
        replace(step, ilp32=not step.ilp32)
        if isinstance(step, Madvise | ProcessMadvise | MadviseRanges)
        else step
        for step in program.steps
    )
    return replace(program, steps=steps)


def _toggled_process(chooser: Chooser, step: ProcessMadvise) -> ProcessMadvise:
    which = chooser.integer(0, 3)
    if which <= 1:
        return replace(step, pidfd=chooser.pick(PIDFDS_ANY))
    if which == 2:
        return replace(step, flags=chooser.pick(FLAGS))
    return replace(step, count=None if step.count is not None else max(0, len(step.vec) - 1))


def _toggled_ranges(
    chooser: Chooser, step: MadviseRanges, control: cs.ControlFields
) -> MadviseRanges:
    if chooser.chance(1, 2):
        name = chooser.pick(FLAG_OPTIONS)
        control = replace(control, **{name: not getattr(control, name)})
        if name == REMOTE and control.is_remote:
            pidfd = chooser.pick((FD_PIDFD_SELF, FD_PIDFD_REMOTE, chooser.pick(PIDFDS_ANY)))
            control = replace(control, pidfd=pidfd)
        return replace(step, control=control)
    name = chooser.pick(OTHER_OPTIONS)
    if name == "stats_at":
        return replace(step, stats_at=0 if step.stats_at else STATS_USUAL)
    if name == "per_range_at":
        return replace(step, per_range_at=0 if step.per_range_at else PER_RANGE_USUAL)
    if name == "stats_fill":
        return replace(step, stats_fill=chooser.pick(STATS_FILLS))
    if name == "version":
        return replace(step, control=replace(control, version=chooser.pick((1, *VERSIONS))))
    if name == "pidfd":
        return replace(step, control=replace(control, pidfd=chooser.pick(PIDFDS_ANY)))
    if name == "padding":
        return replace(step, control=replace(control, padding=control.padding ^ 0xFF))
    if not isinstance(control.arm, cs.All):
        return step
    arm = replace(control.arm, set_default=chooser.pick(SET_DEFAULTS))
    return replace(step, control=replace(control, arm=arm))


def misplace_struct(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """Control over data: a struct inside advised memory, over another one, or where it cannot be
    read; or one member that lies."""
    del other
    layout = layout_of(program)

    def change(step: Step) -> Step | None:
        if isinstance(step, ProcessMadvise):
            size = max(1, len(step.vec)) * IOVEC_BYTES
            return replace(step, vec_at=draw_place(chooser, layout, ARRAY_USUAL, size))
        if not isinstance(step, MadviseRanges) or not isinstance(step.control, cs.ControlFields):
            return None
        control = step.control
        if chooser.chance(1, 4):  # two mistakes, of which one must be told
            control = replace(control, is_remote=True, pidfd=chooser.pick(PIDFDS_ANY))
        return with_flaw(chooser, layout, replace(step, control=control), control, program.whole)

    return _changed(chooser, program, change)


def as_bytes(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """The control struct as raw bytes, some of them damaged; bytes again with one bit changed."""
    del other

    def change(step: Step) -> Step | None:
        if not isinstance(step, MadviseRanges):
            return None
        control = step.control
        if isinstance(control, cs.ControlFields):
            return with_bytes(chooser, step, control)
        raw = bytearray.fromhex(control.raw)
        if not raw:
            return None
        raw[chooser.integer(0, len(raw) - 1)] ^= 1 << chooser.integer(0, 7)
        return replace(step, control=replace(control, raw=raw.hex()))

    return _changed(chooser, program, change)


def change_call(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """More, fewer or other ranges in one call, or the same ranges through another call."""
    del other

    def change(step: Step) -> Step | None:
        if isinstance(step, Madvise):
            return _through(chooser, ((step.start, step.length),), step.advice, step.ilp32)
        if isinstance(step, ProcessMadvise):
            if chooser.chance(1, 3):
                return _through(chooser, ranges_of(step), step.advice, step.ilp32)
            return replace(step, vec=_other_number(chooser, step.vec), count=None)
        if not isinstance(step, MadviseRanges) or not elements_of(step):
            return None
        control, elements = step.control, elements_of(step)
        if isinstance(control, cs.ControlBytes) or chooser.chance(1, 6):
            one = elements[chooser.integer(0, len(elements) - 1)]
            return _through(chooser, ((one.start, one.length),), one.advice, step.ilp32)
        arm = _other_arm(chooser, control.arm, elements, program.whole)
        return replace(step, control=replace(control, arm=arm, type_value=None))

    return _changed(chooser, program, change)


def _through(
    chooser: Chooser, spans: tuple[tuple[int, int], ...], advice: int, ilp32: bool
) -> Step | None:
    if not spans:
        return None
    which = chooser.integer(0, 3)
    if which == 0:
        return Madvise(*spans[0], advice, ilp32)
    if which == 1:
        return ProcessMadvise(advice, tuple(IoRange(*span) for span in spans), ilp32=ilp32)
    elements = tuple(cs.Range(*span, _as_int(advice)) for span in spans)
    arm = cs.Single(elements[0]) if which == 2 else cs.Multi(elements[:RANGES_MAX])
    return MadviseRanges(cs.ControlFields(arm), ilp32=ilp32)


def _other_arm(
    chooser: Chooser, arm: cs.Arm, elements: tuple[cs.Range, ...], whole: bool
) -> cs.Arm:
    if whole and chooser.chance(1, 3):
        return cs.All(elements[0].advice, chooser.pick(SET_DEFAULTS))
    if isinstance(arm, cs.Single) or chooser.chance(2, 3):
        return cs.Multi(_other_number(chooser, elements))
    return cs.Single(elements[chooser.integer(0, len(elements) - 1)])


def _other_number(chooser: Chooser, ranges: tuple[T, ...]) -> tuple[T, ...]:
    """One of them twice, or gone, or all of them the other way round."""
    which = chooser.integer(0, 3)
    if not ranges or which == 0:
        return ranges[::-1]
    at = chooser.integer(0, len(ranges) - 1)
    if which == 1 or len(ranges) >= RANGES_MAX:
        return ranges[:at] + ranges[at + 1 :]
    to = chooser.integer(0, len(ranges))
    return ranges[:to] + (ranges[at],) + ranges[to:]
