"""Target: the one thing that runs programs on a live kernel.

What a target must do beyond these signatures is in target_contract.run_target_contract().
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol

from conformance.program.kernel_facts import KernelFacts
from conformance.program.outcome import Outcome
from conformance.program.program import Program
from conformance.program.wire import Observe

AS_USUAL: Final = Observe(0)


class TargetError(Exception):
    """The harness or its environment failed: exit code 3, never read as a pass.

    The message is for a person: what failed, where, and what to do about it.
    """


class TargetNameError(Exception):
    """A target was asked for that does not exist: exit code 2. The message lists those that do."""


class Target(Protocol):
    """Runs programs. One outcome for each program, in the order of the programs.

    run_batch() is submit() and collect() in one. With submit() a batch runs while the caller
    prepares the next one; collect() returns the outcomes of the oldest batch submitted.
    All three raise TargetError when no outcome can be had by any means, and leave the target
    usable or closed, never half way.
    """

    @property
    def name(self) -> str:
        """As registry.open_target() knows it."""
        ...

    @property
    def facts(self) -> KernelFacts:
        """What was probed of the kernel and of the rights of the processes that run programs."""
        ...

    def run_batch(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> list[Outcome]:
        """Run these programs; their outcomes. Not while a submitted batch is out."""
        ...

    def submit(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> None:
        """Start on these programs and return."""
        ...

    def collect(self) -> list[Outcome]:
        """Wait for the oldest batch submitted; its outcomes."""
        ...

    def worker_pids(self) -> tuple[int, ...]:
        """Processes on this machine that run the programs; killing one must lose nothing."""
        ...

    def close(self) -> None:
        """End every process and remove every file that the target made. May be repeated."""
        ...

    def __enter__(self) -> Target: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes."""
        ...
