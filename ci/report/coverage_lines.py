"""What was reached, by line of source: from counts of addresses, and the sites in the image."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec

from ci.report.coverage_sites import CoverageError, Site

UNREACHABLE: Final = Path(__file__).parent / "coverage" / "unreachable.toml"
# What a page shows: an end of a path, and the heading. Of the call itself the name in this tree.
SHOWN: Final = (
    ("/mm/madvise.c", "mm/madvise.c"),
    ("/mm/madvise_ranges.c", "kernel/madvise_ranges.c"),
    ("/mm/madvise_ranges_walk.c", "kernel/madvise_ranges_walk.c"),
    ("/mm/madvise_ranges_abi.c", "kernel/madvise_ranges_abi.c"),
    ("/mm/vma.c", "mm/vma.c"),
)
CALL_FILES: Final = tuple(name for _, name in SHOWN[:4])  # of the advices and the call itself


class State(Enum):
    """Of a line. NONE: no block of code begins there."""

    NONE = "none"
    REACHED = "reached"
    MISSED = "missed"
    UNREACHABLE = "unreachable"


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why lines cannot be reached on a flavour of kernel. function: all lines in it, or those of
    `lines`: first and last, counted from the line on which the function's first block begins."""

    file: str
    function: str
    reason: str
    flavours: tuple[str, ...]
    lines: tuple[tuple[int, int], ...] = ()

    def holds(self, offset: int) -> bool:
        """For a line so many lines behind the first of its function?"""
        return not self.lines or any(low <= offset <= high for low, high in self.lines)


class _Reasons(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    unreachable: tuple[Reason, ...]


class Line:
    """One line with code. count: how often one of its blocks was reached, of the one that was most
    often; why: if it cannot be."""

    __slots__ = ("count", "function", "number", "why")

    def __init__(self, number: int, function: str) -> None:
        self.number = number
        self.function = function
        self.count = 0
        self.why = ""

    @property
    def state(self) -> State:
        """What reached outweighs what was thought to be out of reach."""
        if self.count:
            return State.REACHED
        return State.UNREACHABLE if self.why else State.MISSED


class FileCoverage:
    """One source file. path: where its text was when the kernel was built."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = path
        self.lines: dict[int, Line] = {}

    def number(self, state: State) -> int:
        """Lines in this state."""
        return sum(line.state is state for line in self.lines.values())

    @property
    def reachable(self) -> int:
        """Lines that have code and no reason to be out of reach."""
        return len(self.lines) - self.number(State.UNREACHABLE)

    @property
    def share(self) -> float:
        """Which part of the reachable lines was reached, 0..1."""
        return self.number(State.REACHED) / self.reachable if self.reachable else 1.0


def by_line(
    sites: Sequence[Site], places: Mapping[int, int], reasons: Sequence[Reason] = ()
) -> list[FileCoverage]:
    """The files that are shown, in their order. places: how often each address was reached."""
    files: dict[str, FileCoverage] = {}
    for site in sites:
        count = places.get(site.address, 0)
        for frame in site.frames:
            name = next((name for end, name in SHOWN if frame.path.endswith(end)), "")
            if not name or not frame.line:
                continue
            file = files.setdefault(name, FileCoverage(name, frame.path))
            line = file.lines.setdefault(frame.line, Line(frame.line, frame.function))
            line.count = max(line.count, count)
    for reason in reasons:
        if reason.file in files:
            _give_reason(files[reason.file], reason)
    order = [name for _, name in SHOWN]
    return sorted(files.values(), key=lambda file: order.index(file.name))


def _give_reason(file: FileCoverage, reason: Reason) -> None:
    lines = [line for line in file.lines.values() if line.function == reason.function]
    first = min((line.number for line in lines), default=0)
    for line in lines:
        if reason.holds(line.number - first):
            line.why = reason.reason


def share_of(files: Sequence[FileCoverage]) -> tuple[int, int]:
    """Lines reached and reachable of the advices and of the call, without what lies behind."""
    chosen = [file for file in files if file.name in CALL_FILES]
    return (
        sum(file.number(State.REACHED) for file in chosen),
        sum(file.reachable for file in chosen),
    )


def read_reasons(flavour: str, path: Path = UNREACHABLE) -> list[Reason]:
    """What cannot be reached on a flavour. Raises CoverageError for a file that is not as it is to
    be."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        reasons = msgspec.convert(tables, _Reasons).unreachable
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise CoverageError(f"{path}: {error}") from error
    return [reason for reason in reasons if flavour in reason.flavours]
