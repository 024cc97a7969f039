"""Targets for the commands that run programs in their own process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from conformance.target.executor_target import Options
from conformance.target.registry import open_target
from conformance.target.target import Target
from fuzz.mutants.canary import CanaryTarget

CANARY_ONE_IN = 1000  # calls; some tens of findings a second at full rate


@contextmanager
def opened(
    names: tuple[str, ...], canary: bool = False, append: str = ""
) -> Iterator[list[Target]]:
    """Open targets, all closed at the end. canary: they lie. append: to a guest's command
    line. Raises TargetError."""
    with ExitStack() as stack:
        targets: list[Target] = []
        for name in names:
            target: Target = stack.enter_context(open_target(name, Options(append=append)))
            targets.append(CanaryTarget(target, CANARY_ONE_IN) if canary else target)
        yield targets
