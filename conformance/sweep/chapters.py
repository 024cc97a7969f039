"""All sweeps by name: what the cases run chapter by chapter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from conformance.sweep.cells import MADVISE, PROCESS_MADVISE, Cell, cells
from conformance.sweep.error_order import error_order_programs
from conformance.sweep.options import option_programs
from conformance.sweep.placements import placement_programs
from conformance.sweep.swept import Swept

CHAPTERS: Final[dict[str, Callable[[], Iterable[Cell | Swept]]]] = {
    MADVISE: lambda: cells(MADVISE),
    PROCESS_MADVISE: lambda: cells(PROCESS_MADVISE),
    "options": option_programs,
    "placement": placement_programs,
    "error-order": error_order_programs,
}
