"""The journal of a run: a file of lines, each a JSON value, written while the run goes on.

What was written stays if the run dies; only its last line says that the run came to its end.
Every report can be rendered from it, at once or later.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from ci.report.result_tree import CaseResult, RunResult, closed

FORMAT: Final = 1
BYTES_MAX: Final = 1 << 30
DIED: Final = "the run ended in the middle: its journal has no last line"


class JournalError(Exception):
    """A file that is no journal, or cannot be read. str() says which, where and why."""


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """The first line. started: ISO 8601, UTC."""

    format: int
    what: str
    started: str
    madvet_version: str
    targets: tuple[str, ...]


class Plan(msgspec.Struct, frozen=True, tag="plan"):
    """The cases that the run means to run, as (id, target)."""

    cases: tuple[tuple[str, str], ...]


class Facts(msgspec.Struct, frozen=True, tag="facts"):
    """A target answered."""

    target: str
    facts: dict[str, Any]


class Done(msgspec.Struct, frozen=True, tag="case"):
    """A case has its result."""

    case: CaseResult


class Note(msgspec.Struct, frozen=True, tag="note"):
    """What else a reader must know."""

    text: str


class End(msgspec.Struct, frozen=True, tag="end"):
    """The last line. unended: "" if all went as planned, else what did not."""

    seconds: float
    unended: str = ""


Line = Begin | Plan | Facts | Done | Note | End


class Journal:
    """Appends lines; each is handed to the system at once, so that it outlives this process."""

    def __init__(self, path: Path) -> None:
        """Make the file, or empty it. Raises OSError."""
        self.path = path
        self._file = path.open("wb")

    def write(self, line: Line) -> None:
        """Raises OSError."""
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()

    def close(self) -> None:
        """May be repeated."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_journal(path: Path) -> RunResult:
    """The run that a journal tells, with every planned case in it; see result_tree.closed().
    Raises JournalError."""
    try:
        if path.stat().st_size > BYTES_MAX:
            raise JournalError(f"{path}: more than {BYTES_MAX >> 20} MiB: no run is as long")
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror}") from error
    return _assembled([line for line in _decoded(path, lines) if line is not None], path)


def _decoded(path: Path, lines: list[bytes]) -> list[Line | None]:
    """Each line; None for a last one that was cut off."""
    decoder = msgspec.json.Decoder(Line)
    out: list[Line | None] = []
    for number, line in enumerate(lines, 1):
        try:
            out.append(decoder.decode(line))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            if number == len(lines) and not line.endswith(b"\n"):
                out.append(None)
                break
            raise JournalError(
                f"{path}: line {number} is no line of a run's journal: {error}"
            ) from None
    return out


def _assembled(lines: list[Line], path: Path) -> RunResult:
    if not lines or not isinstance(lines[0], Begin):
        raise JournalError(f"{path}: does not start as the journal of a run (madvet conform --run)")
    begin = lines[0]
    if begin.format != FORMAT:
        raise JournalError(
            f"{path}: format {begin.format}; this version of madvet reads format {FORMAT}"
        )
    planned: list[tuple[str, str]] = []
    facts: dict[str, dict[str, Any]] = {}
    cases: dict[tuple[str, str], CaseResult] = {}
    notes: list[str] = []
    end = End(0.0, DIED)
    for line in lines[1:]:
        if isinstance(line, Plan):
            planned += line.cases
        elif isinstance(line, Facts):
            facts.setdefault(line.target, line.facts)
        elif isinstance(line, Done):
            cases[line.case.id, line.case.target] = line.case
        elif isinstance(line, Note):
            notes.append(line.text)
        elif isinstance(line, End):
            end = line
    for name in begin.targets:
        facts.setdefault(name, {})
    seconds = end.seconds or sum(case.seconds for case in cases.values())
    run = RunResult(
        begin.what, begin.started, seconds, begin.madvet_version, facts,
        tuple(cases.values()), end.unended, tuple(notes),
    )  # fmt: skip
    return closed(run, planned)
