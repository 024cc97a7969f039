"""Programs: a layout and the steps taken in it. The door to all generators."""

from __future__ import annotations

from typing import Final

from conformance.program.call import Step
from conformance.program.program import Program, Rights
from fuzz.generate.calls import draw_madvise, draw_process_madvise
from fuzz.generate.chooser import Chooser
from fuzz.generate.control_structs import draw_madvise_ranges
from fuzz.generate.defaults import STEPS as TWO_DEFAULTS_STEPS
from fuzz.generate.defaults import two_defaults
from fuzz.generate.layouts import Layout, draw_layout
from fuzz.generate.mm_steps import FORK_EXEC, draw_mm_step
from fuzz.generate.options import DEFAULT, GenerateOptions
from fuzz.generate.races import generate_race
from fuzz.generate.seeded import SeededChooser
from fuzz.generate.swarm import Swarm
from fuzz.generate.tables import (
    STEP_COUNTS,
    STEP_MADVISE,
    STEP_MADVISE_RANGES,
    STEP_PROCESS_MADVISE,
    call_table,
)

# Each costs a sacrificial process under ptrace, as much as dozens of ordinary programs.
WHOLE_ONE_IN: Final = 100
# Of these: how often is it looked at what children and new programs have of it?
HEIRS_ONE_IN: Final = 2
# Of those again: how often is a default set and another after it?
TWO_DEFAULTS_ONE_IN: Final = 2


def generate(chooser: Chooser, options: GenerateOptions = DEFAULT) -> Program:
    """A program that validate() accepts, whatever the chooser says.

    At least one step is a call of one of the surfaces.
    """
    swarm = Swarm(chooser, options)
    layout = draw_layout(chooser, swarm, options)
    calls = call_table(options.surfaces)
    whole = options.whole and STEP_MADVISE_RANGES in calls and chooser.chance(1, WHOLE_ONE_IN)
    if whole:  # nobody is left to tell what a signal did to a traced process
        swarm.poison = False
    heirs = whole and options.steps_max > 1 and chooser.chance(1, HEIRS_ONE_IN)
    steps: list[Step] = []
    has_call = False
    count = min(chooser.pick(STEP_COUNTS), options.steps_max - heirs)
    for left in range(count - 1, -1, -1):
        kind = chooser.pick(swarm.steps)
        if whole and (left == 0 or chooser.chance(1, 2)):
            kind = STEP_MADVISE_RANGES
        if kind <= STEP_MADVISE_RANGES:
            has_call = True
        elif left == 0 and not has_call:
            kind = chooser.pick(calls)
        steps.append(draw_step(chooser, layout, swarm, kind, whole))
    if heirs:
        if chooser.chance(1, TWO_DEFAULTS_ONE_IN):
            steps = steps[: max(0, options.steps_max - TWO_DEFAULTS_STEPS - 1)]
            steps += two_defaults(chooser, layout)[-(options.steps_max - 1) :]
        steps.append(FORK_EXEC)
    rights = Rights.ALL if whole else swarm.rights
    return Program(tuple(layout.mappings), tuple(steps), layout.files, whole, rights)


def draw_step(chooser: Chooser, layout: Layout, swarm: Swarm, kind: int, whole: bool) -> Step:
    """One step of the kind that a step table gave, aimed at this layout."""
    if kind == STEP_MADVISE:
        return draw_madvise(chooser, layout, swarm)
    if kind == STEP_PROCESS_MADVISE:
        return draw_process_madvise(chooser, layout, swarm)
    if kind == STEP_MADVISE_RANGES:
        return draw_madvise_ranges(chooser, layout, swarm, whole)
    return draw_mm_step(chooser, layout, swarm, kind)


class ProgramSource:
    """The programs of one campaign, by index.

    Program number n depends on the seed, n and the options only: workers may take any
    indexes, in any order, on any machine.
    """

    __slots__ = ("_chooser", "seed", "options")

    def __init__(self, seed: int, options: GenerateOptions = DEFAULT) -> None:
        self._chooser = SeededChooser()
        self.seed = seed
        self.options = options

    def program(self, index: int) -> Program:
        """Program number index, counted from 0."""
        self._chooser.reseed(self.seed, index)
        if self.options.races:
            return generate_race(self._chooser, self.options)
        return generate(self._chooser, self.options)
