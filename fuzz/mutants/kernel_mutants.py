"""The faults that can be switched on in a kernel built with CONFIG_MADVISE_RANGES_MUTANTS.

Their table is kernel/madvise_ranges_mutants.h, written as that of the shim. Those from 100 on
break memory or locking: what must find them is the kernel's own checkers or a deadline, and the
table says how the title of the report begins.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from fuzz.mutants.shim_mutants import MutantTableError, read_shim_mutants

KERNEL: Final = Path(__file__).resolve().parents[2] / "kernel"
HEADER: Final = KERNEL / "madvise_ranges_mutants.h"
PAST_HEADER: Final = KERNEL / "madvise_ranges_past.h"
# Targets whose kernels can have the faults, and the checkers that must notice some of them.
GUESTS: Final = ("uml", "qemu-debug")
FIRST_SPLAT: Final = 100  # below: found as a divergence
_TITLE: Final = re.compile(r'\btitle\(\s*([0-9]+)\s*,\s*"([^"\\]+)"\s*\)')
_TITLE_START: Final = re.compile(r"^\s*title\(", re.MULTILINE)


class KernelMutant(NamedTuple):
    """One planted fault. titles: how the report's title may begin, one of them is enough; empty if
    it must be found as a divergence."""

    number: int
    name: str
    requirement: str
    what: str
    titles: tuple[str, ...]

    def target(self, guest: str) -> str:
        """The target that has this fault, for registry.open_target(). guest: "uml" or so."""
        return f"{guest}:mutant={self.number}"


def clean_target(guest: str) -> str:
    """The same kernel with none of its faults switched on."""
    return f"{guest}:mutant=0"


def read_kernel_mutants(header: Path = HEADER) -> tuple[KernelMutant, ...]:
    """The rows in order of their numbers.

    Raises MutantTableError when the header is missing, a row or a title is not of the form the
    header describes, or one of them lacks the other.
    """
    rows = read_shim_mutants(header)
    text = header.read_text(encoding="ascii")
    titles: dict[int, list[str]] = {}
    for number, title in _TITLE.findall(text):
        titles.setdefault(int(number), []).append(title)
    started = len(_TITLE_START.findall(text))
    if started != sum(map(len, titles.values())):
        raise MutantTableError(
            f'{header}: a title cannot be read; it is: title(NUMBER, "HOW IT BEGINS")'
        )
    expected = {row.number for row in rows if row.number >= FIRST_SPLAT}
    if expected != titles.keys():
        odd = ", ".join(str(number) for number in sorted(expected ^ titles.keys()))
        raise MutantTableError(
            f"{header}: {odd}: rows from {FIRST_SPLAT} on, and no others, have titles"
        )
    return tuple(KernelMutant(*row, tuple(titles.get(row.number, ()))) for row in rows)


def read_past_mistakes(header: Path = PAST_HEADER) -> tuple[KernelMutant, ...]:
    """Mistakes that released kernels had, brought back: to be found by the programs of
    corpus/history, not by chance. Raises MutantTableError."""
    return tuple(KernelMutant(*row, ()) for row in read_shim_mutants(header))
