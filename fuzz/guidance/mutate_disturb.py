"""Changes of what comes between a call and its end: an allocation that fails, a signal."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from conformance.program.call import (
    FAIL_NTH_MAX,
    Madvise,
    MadviseRanges,
    ProcessMadvise,
    Signal,
    SignalHow,
)
from conformance.program.program import Program
from fuzz.generate.chooser import Chooser, table

# Most calls allocate one to six times; a fork or a long walk more often.
NTHS: Final = table((6, 1), (5, 2), (4, 3), (3, 4), (2, 5), (2, 6), (1, 9), (1, FAIL_NTH_MAX))
HOWS: Final = table((3, SignalHow.HANDLED), (2, SignalHow.FATAL), (1, SignalHow.STORM))


def disturb(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """One call in which the n-th allocation fails, or in which a signal comes while it sleeps in
    one of the mappings; or nothing of the kind any more."""
    del other
    calls = [
        i
        for i, step in enumerate(program.steps)
        if isinstance(step, Madvise | ProcessMadvise | MadviseRanges)
    ]
    if not calls:
        return None
    at = calls[chooser.integer(0, len(calls) - 1)]
    steps = [
        replace(step, fail_nth=0, signal=None)
        if isinstance(step, Madvise | ProcessMadvise | MadviseRanges)
        else step
        for step in program.steps
    ]
    call = steps[at]
    assert isinstance(call, Madvise | ProcessMadvise | MadviseRanges)
    if chooser.chance(1, 2):
        steps[at] = replace(call, fail_nth=chooser.pick(NTHS))
    elif chooser.chance(7, 8):
        steps[at] = replace(call, signal=_signal(chooser, program))
    return replace(program, steps=tuple(steps))


def _signal(chooser: Chooser, program: Program) -> Signal:
    how = chooser.pick(HOWS)
    if how is SignalHow.STORM:
        return Signal(how)
    mapping = program.layout[chooser.integer(0, len(program.layout) - 1)]
    return Signal(how, mapping.at, mapping.pages)
