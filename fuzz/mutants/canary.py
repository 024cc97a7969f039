"""The canary: a target that lies on purpose, so that the whole pipeline can be seen to work.

A fuzzer that finds nothing may be looking at a flawless kernel or at nothing. With the canary
some outcomes are falsified; they must come out as findings, shrunk, with reproducers, and
with exit code 1. What is falsified depends on the call alone, so that a lie is repeated when
the program is run again, alone, or made smaller around that call.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Final

import msgspec

from conformance.program.call import Madvise, MadviseRanges, ProcessMadvise
from conformance.program.kernel_facts import KernelFacts
from conformance.program.outcome import Outcome
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.target.target import AS_USUAL, Target
from fuzz.engine.budget import CampaignOptions

SONG: Final = -85  # -ERESTART: no call ever returns it to a process
_CALLS: Final = (Madvise, ProcessMadvise, MadviseRanges)


def sings(step: object, one_in: int) -> bool:
    """Is the canary to lie about this step? The same for equal steps, in every process."""
    return isinstance(step, _CALLS) and zlib.crc32(repr(step).encode()) % one_in == 0


def wrap_target(target: Target, options: CampaignOptions) -> Target:
    """The target, lying about one call in options.canary; itself when that is 0."""
    return CanaryTarget(target, options.canary) if options.canary else target


class CanaryTarget:
    """A Target that passes everything on and falsifies the result of one call in `one_in`."""

    def __init__(self, target: Target, one_in: int) -> None:
        self._target = target
        self._one_in = one_in
        self._submitted: deque[Sequence[Program]] = deque()

    @property
    def name(self) -> str:
        """That of the target behind it."""
        return self._target.name

    @property
    def facts(self) -> KernelFacts:
        """Those of the target behind it."""
        return self._target.facts

    def run_batch(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> list[Outcome]:
        """As Target."""
        outcomes = self._target.run_batch(programs, observe)
        return [self._falsify(*pair) for pair in zip(programs, outcomes, strict=True)]

    def submit(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> None:
        """As Target."""
        self._target.submit(programs, observe)
        self._submitted.append(programs)

    def collect(self) -> list[Outcome]:
        """As Target."""
        outcomes = self._target.collect()
        programs = self._submitted.popleft()
        return [self._falsify(*pair) for pair in zip(programs, outcomes, strict=True)]

    def worker_pids(self) -> tuple[int, ...]:
        """As Target."""
        return self._target.worker_pids()

    def close(self) -> None:
        """As Target."""
        self._target.close()

    def __enter__(self) -> CanaryTarget:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _falsify(self, program: Program, outcome: Outcome) -> Outcome:
        """The outcome with a result that cannot be, if the canary sings for this program."""
        for index, step in enumerate(program.steps, len(outcome.results) - len(program.steps)):
            if index >= 0 and sings(step, self._one_in):
                results = outcome.results
                lie = (*results[:index], SONG, *results[index + 1 :])
                return msgspec.structs.replace(outcome, results=lie)
        return outcome
