"""What a program costs to run, and so how often it is drawn.

A kernel under KASAN and lockdep runs forty usual programs while it makes, traces and looks at one
process that executes another program. A guided loop that draws both as often spends its time on
the latter. So what costs more than it can afford is drawn the less the more it costs: of ten times
as much, one in 32. One in ten would give each kind of program as much of the time as it is of the
programs drawn; a little less for the dear ones makes 20 % more programs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from conformance.program.call import Fork, ForkExec, Reclaim, TouchPages
from conformance.program.program import Program, Rights
from conformance.program.race import flat
from fuzz.generate.chooser import Chooser

AFFORDED: Final = 1.0  # usual programs
STEEPNESS: Final = 1.5  # 1 would be in proportion
TRIES_MAX: Final = 8  # of what mutation draws 56 % is kept: one program in 700 is what came last

# Milliseconds on uml, by a linear fit to the times of 500 batches of 16: any program; each of its
# mappings, its steps, and the pages that it touches; a process of its own, with fewer rights, with
# a second one that stands by, or sacrificed, where each step is done from outside; steps that make
# processes; reclaim, which goes through all memory several times; a signal that ends a process or
# wakes it.
ANY: Final = 0.25
MAPPING: Final = 0.1
STEP: Final = 0.03
PAGE: Final = 0.024
ALONE: Final = 3.2
LIMITED: Final = 0.8
REMOTE: Final = 1.9
WHOLE: Final = 4.6
WHOLE_STEP: Final = 0.4
FORK: Final = 1.4
EXEC: Final = 5.0
RECLAIM: Final = 12.0
SIGNAL: Final = 1.0
USUAL: Final = ANY + 3 * (MAPPING + STEP) + 8 * PAGE

T = TypeVar("T")


def cost_of(program: Program) -> float:
    """How long it takes, in usual programs."""
    steps = flat(program.steps)
    pages = sum(touch.pages for mapping in program.layout for touch in mapping.touches)
    cost = ANY + MAPPING * len(program.layout) + STEP * len(steps) + PAGE * pages
    if program.whole:
        cost += WHOLE + WHOLE_STEP * len(steps)
    elif program.isolated():
        cost += ALONE
    if program.rights is not Rights.ALL:
        cost += LIMITED
    if program.remote():
        cost += REMOTE
    for step in steps:
        if isinstance(step, TouchPages):
            cost += PAGE * step.pages
        elif isinstance(step, Fork):
            cost += FORK
        elif isinstance(step, ForkExec):
            cost += EXEC
        elif isinstance(step, Reclaim):
            cost += RECLAIM
        elif getattr(step, "signal", None) is not None:
            cost += SIGNAL
    return cost / USUAL


def affordable(chooser: Chooser, draw: Callable[[], T], program_of: Callable[[T], Program]) -> T:
    """What draw() gives: at once if its program can be afforded, else the more seldom the more it
    costs, or when TRIES_MAX in a row were too dear."""
    drawn = draw()
    for _ in range(TRIES_MAX - 1):
        cost = cost_of(program_of(drawn))
        if cost <= AFFORDED or chooser.chance(1, round((cost / AFFORDED) ** STEEPNESS)):
            break
        drawn = draw()
    return drawn
