"""Mutation of typed programs: a program of a corpus, changed a little, and still a program.

Every change is one function of a chooser, a program and another one of the corpus; None where it
has nothing to change. What comes out is whatever it is: validate() decides whether it may be run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from conformance.program.program import MAPPINGS_MAX, STEPS_MAX, Program
from conformance.program.validate import validate
from fuzz.generate.chooser import Chooser, table
from fuzz.generate.options import GenerateOptions
from fuzz.generate.programs import draw_step
from fuzz.generate.swarm import Swarm
from fuzz.guidance.mutate_disturb import disturb
from fuzz.guidance.mutate_layout import change_mapping, layout_of, move_mapping, other_process
from fuzz.guidance.mutate_steps import (
    as_bytes,
    change_advice,
    change_call,
    misplace_struct,
    move_range,
    nudge_range,
    toggle_option,
)

Change = Callable[[Chooser, Program, Program], Program | None]

TRIES_MAX: Final = 8  # of a hundred mutations 85 are programs; eight in a row that are not: 1e-7
# One change finds what lies near, several what lies behind something that itself earns nothing.
CHANGES: Final = table((6, 1), (4, 2), (2, 3), (1, 5))


class Mutator:
    """Makes programs out of programs.

    options: those of the campaign, for steps that are new. guest: the target is a disposable
    kernel (see validate()).
    """

    def __init__(self, chooser: Chooser, options: GenerateOptions, guest: bool) -> None:
        self._chooser = chooser
        self._options = options
        self._guest = guest
        # What disturbs a call needs a kernel that is debugged, and takes a process of its own.
        self._changes: tuple[Change, ...] = table(
            (3 if guest else 0, disturb),
            (6, self.insert_step), (3, splice), (1, take_layout), (2, drop_step), (1, repeat_step),
            (2, swap_steps), (6, move_range), (4, nudge_range), (5, change_advice),
            (5, toggle_option), (3, misplace_struct), (2, as_bytes), (3, change_call),
            (4, change_mapping), (2, move_mapping), (1, drop_mapping), (1, other_process),
        )  # fmt: skip

    def mutate(self, program: Program, other: Program, splices: bool = False) -> Program | None:
        """Another program, a few changes away; None if none was found that may be run. splices: it
        begins with steps of both on the layout of one."""
        for _ in range(TRIES_MAX):
            out = program
            if splices:
                out = splice(self._chooser, program, other) or out
            for _ in range(self._chooser.pick(CHANGES)):
                out = self._chooser.pick(self._changes)(self._chooser, out, other) or out
            if out != program and not validate(out, self._guest):
                return out
        return None

    def insert_step(self, chooser: Chooser, program: Program, other: Program) -> Program | None:
        """A new step, drawn for this layout as the generator draws one."""
        del other
        swarm = Swarm(chooser, self._options)
        if program.whole:
            swarm.poison = False
        kind = chooser.pick(swarm.steps)
        step = draw_step(chooser, layout_of(program), swarm, kind, program.whole)
        steps = list(program.steps)
        at = chooser.integer(0, len(steps))
        if len(steps) == STEPS_MAX:
            del steps[chooser.integer(0, len(steps) - 1)]
        steps.insert(min(at, len(steps)), step)
        return replace(program, steps=tuple(steps))


def splice(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """The first steps of one, then the last steps of the other, which aim at another layout."""
    head = chooser.integer(0, len(program.steps))
    tail = chooser.integer(0 if head else 1, len(other.steps))
    steps = program.steps[:head] + other.steps[len(other.steps) - tail :]
    return replace(program, steps=steps[-STEPS_MAX:])


def take_layout(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """The steps in the other's layout, or in both as far as they do not overlap."""
    if program.files or other.files or chooser.chance(1, 2):
        return replace(program, layout=other.layout, files=other.files)
    end = max(mapping.at + mapping.pages for mapping in program.layout)
    more = tuple(mapping for mapping in other.layout if mapping.at >= end)
    return replace(program, layout=(program.layout + more)[:MAPPINGS_MAX])


def drop_step(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """Without one of its steps."""
    del other
    if len(program.steps) < 2:
        return None
    at = chooser.integer(0, len(program.steps) - 1)
    return replace(program, steps=program.steps[:at] + program.steps[at + 1 :])


def repeat_step(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """One step a second time, now or later."""
    del other
    if len(program.steps) == STEPS_MAX:
        return None
    at = chooser.integer(0, len(program.steps) - 1)
    to = chooser.integer(at + 1, len(program.steps))
    steps = program.steps
    return replace(program, steps=steps[:to] + (steps[at],) + steps[to:])


def swap_steps(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """Two steps in each other's place."""
    del other
    steps = list(program.steps)
    a, b = (chooser.integer(0, len(steps) - 1) for _ in range(2))
    if a == b:
        return None
    steps[a], steps[b] = steps[b], steps[a]
    return replace(program, steps=tuple(steps))


def drop_mapping(chooser: Chooser, program: Program, other: Program) -> Program | None:
    """Without one of its mappings: a gap."""
    del other
    if len(program.layout) < 2:
        return None
    at = chooser.integer(0, len(program.layout) - 1)
    return replace(program, layout=program.layout[:at] + program.layout[at + 1 :])
