"""Programs for faults that show only where the kernel gets no memory."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from conformance.program.call import MadviseRanges
from conformance.program.control_struct import ControlFields, Multi
from conformance.program.places import FD_PIDFD_REMOTE
from conformance.program.plan import is_surface
from conformance.program.program import Program
from conformance.program.validate import validate
from fuzz.engine.fail_nth import failing, suitable
from fuzz.generate.programs import ProgramSource

REQUIREMENT: Final = "allocation-fails"  # of a mutant that is such a fault
NTH_MAX: Final = 6  # few calls allocate more often on their way to a fault
RANGES: Final = 9  # one more than MR_RANGES_INLINE of kernel/madvise_ranges.h


class ShortSource(ProgramSource):
    """Those of another source; in each that allows it, one allocation of one call fails. Half of
    the calls have ranges enough that the call allocates an array for them."""

    def program(self, index: int) -> Program:
        """See ProgramSource."""
        program = super().program(index)
        calls = [step for step, one in enumerate(program.steps) if is_surface(one)]
        if not calls or not suitable(program):
            return program
        step = calls[self._chooser.integer(0, len(calls) - 1)]
        nth = self._chooser.integer(1, NTH_MAX)
        if self._chooser.chance(1, 2):
            program = self._with_array(program, step)
            nth = 1  # the array is the first that the call itself allocates
        return failing(program, step, nth)

    def _with_array(self, program: Program, step: int) -> Program:
        """A call of many ranges, half of them for the second process; the program as it was where
        that may not be run."""
        call = program.steps[step]
        if not isinstance(call, MadviseRanges) or not isinstance(call.control, ControlFields):
            return program
        control = call.control
        if not isinstance(control.arm, Multi) or not control.arm.ranges:
            return program
        arm = Multi((control.arm.ranges * RANGES)[:RANGES])
        if self._chooser.chance(1, 2):
            control = replace(control, is_remote=True, pidfd=FD_PIDFD_REMOTE)
        more = replace(call, control=replace(control, arm=arm))
        steps = (*program.steps[:step], more, *program.steps[step + 1 :])
        longer = replace(program, steps=steps)
        return program if validate(longer, guest=True) else longer
