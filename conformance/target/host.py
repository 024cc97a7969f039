"""Target `host`: the three surfaces as the kernel that this machine runs has them."""

from __future__ import annotations

from conformance.target.executor_target import USUAL, ExecutorTarget, Options, executor_path


def open_host(options: Options = USUAL) -> ExecutorTarget:
    """Builds the executor if need be. Raises TargetError."""
    return ExecutorTarget("host", [executor_path()], options)
