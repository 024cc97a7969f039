"""Target `shim`: this machine's kernel, with madvise_ranges() made of its other calls.

A mutant is the same with one planted fault switched on, by number (fuzz.mutants names them).
"""

from __future__ import annotations

from conformance.target.executor_target import USUAL, ExecutorTarget, Options, executor_path
from conformance.target.planted import check_mutant


def open_shim(options: Options = USUAL, mutant: int = 0) -> ExecutorTarget:
    """Builds the executor if need be; mutant 0: none. Raises TargetError, TargetNameError."""
    if not mutant:
        return ExecutorTarget("shim", [executor_path(), "--shim"], options)
    check_mutant("shim", mutant)
    command = [executor_path(mutants=True), "--shim", "--mutant", str(mutant)]
    return ExecutorTarget(f"shim:mutant={mutant}", command, options)
