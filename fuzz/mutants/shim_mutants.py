"""The faults that can be switched on in the shim, as its header lists them.

The table in conformance/target/executor/shim_mutants.h is the one place where they are written
down; this reads it, so that numbers, names and requirements are never typed twice.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from conformance.target.executor_build import SOURCES

HEADER: Final = SOURCES / "shim_mutants.h"
RACE_HEADER: Final = SOURCES / "race_mutants.h"  # those that only a race shows
_ROW: Final = re.compile(
    r"""\brow\(\s* (?P<number>[0-9]+) \s*,\s* (?P<name>[a-z0-9_]+) \s*,\s*
        "(?P<requirement>[^"\\]+)" \s*,\s* \\?\s* "(?P<what>[^"\\]+)" \s*\)""",
    re.VERBOSE,
)
_ROW_START: Final = re.compile(r"^\s*row\(", re.MULTILINE)


class ShimMutant(NamedTuple):
    """One planted fault. requirement: the id it breaks. what: what it does, in a line."""

    number: int
    name: str
    requirement: str
    what: str

    @property
    def target(self) -> str:
        """The target that has this fault, for registry.open_target()."""
        return f"shim:mutant={self.number}"


class MutantTableError(Exception):
    """The header's table cannot be read. str() names the file and what is wrong in it."""


def read_shim_mutants(header: Path = HEADER) -> tuple[ShimMutant, ...]:
    """The rows in order of their numbers.

    Raises MutantTableError when the header is missing, a row is not of the form the header
    describes, or a number or a name stands twice.
    """
    try:
        text = header.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise MutantTableError(f"{header}: cannot be read: {error}") from error
    rows = [
        ShimMutant(int(row["number"]), row["name"], row["requirement"], row["what"])
        for row in _ROW.finditer(text)
    ]
    started = len(_ROW_START.findall(text))
    if not rows or len(rows) != started:
        raise MutantTableError(
            f"{header}: {started} rows begin, {len(rows)} can be read; a row is: "
            'row(NUMBER, NAME, "REQUIREMENT", "WHAT IT DOES")'
        )
    for column in ("number", "name"):
        values = [getattr(row, column) for row in rows]
        twice = {str(value) for value in values if values.count(value) > 1}
        if twice:
            raise MutantTableError(f"{header}: {column} {', '.join(sorted(twice))} stands twice")
    return tuple(sorted(rows))
