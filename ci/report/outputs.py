"""The files of a report: which are wanted, and each written whole or not at all.

A file that is wanted is written twice. Before the run it says that the run has not ended, so
that what is found after a crash is neither nothing nor a pass, and a place that cannot be
written is told of before an hour of work. After the run it holds the report.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

from ci.report.result_tree import RunResult, closed
from fuzz.findings.atomic_file import write_atomically

NOT_ENDED: Final = "the run has begun and has not ended"


class OutputError(Exception):
    """A report cannot be made or written. str() says which, why, and what to do."""


class Wanted(NamedTuple):
    """The files that were asked for."""

    ktap: Path | None = None
    junit: Path | None = None
    kcidb: Path | None = None
    html: Path | None = None

    def paths(self) -> Iterator[tuple[str, Path]]:
        """Those that were, with their formats."""
        yield from ((name, path) for name, path in self._asdict().items() if path is not None)


def prepare(wanted: Wanted, what: str, targets: tuple[str, ...]) -> None:
    """Write reports of a run that has not ended. Raises OutputError."""
    paths = [path for _, path in wanted.paths()]
    if len({os.path.abspath(path) for path in paths}) < len(paths):
        raise OutputError("two reports want the same file: name another")
    started = datetime.now(UTC).isoformat(timespec="seconds")
    facts: dict[str, dict[str, object]] = {name: {} for name in targets}
    run = RunResult(what, started, 0.0, madvet_version(), facts, (), NOT_ENDED)
    write_reports(closed(run, []), wanted)


def write_reports(run: RunResult, wanted: Wanted) -> None:
    """Render and write every report that is wanted. Raises OutputError."""
    for name, path in wanted.paths():
        data = _RENDERERS[name](run)
        try:
            write_atomically(path, data)
        except OSError as error:
            raise OutputError(f"--{name} {path}: {error.strerror}; name another file") from error


def madvet_version() -> str:
    """As `madvet --version` says."""
    return version("madvet")


def _ktap(run: RunResult) -> bytes:
    from ci.report.ktap import ktap
    from ci.report.ktap_check import KtapError, check_ktap
    from ci.report.result_tree import State

    text = ktap(run)
    counts = run.counts()
    try:
        read = check_ktap(text)
    except KtapError as error:
        raise OutputError(
            f"the KTAP text of this run is wrong, please report it: {error}"
        ) from None
    told = (read.passed, read.failed, read.skipped)
    if told != (counts[State.PASS], counts[State.FAIL] + counts[State.ERROR], counts[State.SKIP]):
        raise OutputError(f"the KTAP text of this run counts {told}, please report it")
    return text.encode()


def _junit(run: RunResult) -> bytes:
    from ci.report.junit import junit

    return junit(run)


def _kcidb(run: RunResult) -> bytes:
    from ci.report.kcidb import kcidb

    return kcidb(run)


def _html(run: RunResult) -> bytes:
    from ci.report.html import html

    return html(run).encode()


_RENDERERS: Final[dict[str, Callable[[RunResult], bytes]]] = {
    "ktap": _ktap,
    "junit": _junit,
    "kcidb": _kcidb,
    "html": _html,
}
