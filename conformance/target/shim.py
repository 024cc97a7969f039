"""Target `shim`: this machine's kernel, with madvise_ranges() made of its other calls.

A mutant is the same with one planted fault switched on, by number (fuzz.mutants names them).
"""

from __future__ import annotations

import re
from typing import Final

from conformance.target.executor_build import SOURCES
from conformance.target.executor_target import USUAL, ExecutorTarget, Options, executor_path
from conformance.target.target import TargetNameError

MUTANT_HEADERS: Final = ("shim_mutants.h", "race_mutants.h")
_MUTANT_ROW: Final = re.compile(r"\brow\(([0-9]+),")


def mutant_numbers() -> tuple[int, ...]:
    """The planted faults there are, by the headers that have a row for each."""
    rows = "".join((SOURCES / name).read_text("utf-8") for name in MUTANT_HEADERS)
    return tuple(int(number) for number in _MUTANT_ROW.findall(rows))


def check_mutant(number: int) -> None:
    """TargetNameError for a fault that is not there: the shim would quietly run without any."""
    numbers = mutant_numbers()
    if number not in numbers:
        raise TargetNameError(
            f"the shim has no mutant {number}; its {len(numbers)} are numbered "
            f"{min(numbers)} to {max(numbers)}"
        )


def open_shim(options: Options = USUAL, mutant: int = 0) -> ExecutorTarget:
    """Builds the executor if need be; mutant 0: none. Raises TargetError, TargetNameError."""
    if not mutant:
        return ExecutorTarget("shim", [executor_path(), "--shim"], options)
    check_mutant(mutant)
    command = [executor_path(mutants=True), "--shim", "--mutant", str(mutant)]
    return ExecutorTarget(f"shim:mutant={mutant}", command, options)
