"""Target `shim`: this machine's kernel, with madvise_ranges() made of its other calls.

A mutant is the same with one planted fault switched on, by number (fuzz.mutants names them).
"""

from __future__ import annotations

from conformance.target.executor_build import build_executor
from conformance.target.executor_target import USUAL, ExecutorTarget, Options


def open_shim(options: Options = USUAL, mutant: int = 0) -> ExecutorTarget:
    """Builds the executor if need be; mutant 0: none. Raises TargetError."""
    command = [str(build_executor()), "--shim"]
    if not mutant:
        return ExecutorTarget("shim", command, options)
    return ExecutorTarget(f"shim:mutant={mutant}", [*command, "--mutant", str(mutant)], options)
