"""Which faults are planted, by number: the headers have a row for each (fuzz.mutants names them).

A kernel or a shim that is told a number that it has not quietly runs without any fault.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from conformance.target.executor_build import SOURCES
from conformance.target.target import TargetNameError

KERNEL: Final = Path(__file__).resolve().parents[2] / "kernel"
SHIM_HEADERS: Final = (SOURCES / "shim_mutants.h", SOURCES / "race_mutants.h")
KERNEL_HEADERS: Final = (
    KERNEL / "madvise_ranges_mutants.h", KERNEL / "madvise_ranges_past.h",
)  # fmt: skip
_ROW: Final = re.compile(r"\brow\(([0-9]+),")


def check_mutant(place: str, number: int) -> None:
    """place: the shim, or a guest, whose 0 is the kernel that has faults, with none of them. Raises
    TargetNameError for a fault that is not there."""
    if place != "shim" and not number:
        return
    numbers = _numbers(SHIM_HEADERS if place == "shim" else KERNEL_HEADERS)
    if number not in numbers:
        raise TargetNameError(
            f"{place} has no mutant {number}; its {len(numbers)} are numbered {_spans(numbers)}"
        )


def _numbers(headers: Sequence[Path]) -> list[int]:
    rows = "".join(header.read_text("utf-8") for header in headers)
    return sorted(int(number) for number in _ROW.findall(rows))


def _spans(numbers: Sequence[int]) -> str:
    """Such as 1 to 28, 100 to 120: where there is none between."""
    spans: list[list[int]] = []
    for number in numbers:
        if not spans or number != spans[-1][1] + 1:
            spans.append([number, number])
        spans[-1][1] = number
    return ", ".join(f"{low} to {high}" if high > low else str(low) for low, high in spans)
