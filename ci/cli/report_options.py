"""Options of the commands that write reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from ci.cli import exit_codes
from ci.report.result_tree import RunResult, State

F = TypeVar("F", bound=Callable[..., Any])

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_REPORTS: Final = {
    "ktap": "Write the results as KTAP, as kunit.py and kselftest's tools read them.",
    "junit": "Write the results as JUnit XML.",
    "kcidb": "Write the results as kcidb report data; needs madvet[kcidb].",
    "html": "Write the report as one page, for a browser; it needs no network.",
}


def report_options(command: F) -> F:
    """--ktap, --junit, --kcidb and --html."""
    for name, help_text in reversed(_REPORTS.items()):
        command = click.option(f"--{name}", type=_FILE, help=help_text)(command)
    return command


def code_of(run: RunResult) -> int:
    """The exit code that a run deserves: what was found is found, and a run that did not come
    to its end, or in which anything was not judged, is no pass."""
    counts = run.counts()
    if counts[State.FAIL]:
        return exit_codes.FOUND
    if counts[State.ERROR]:
        return exit_codes.HARNESS_FAILED
    return exit_codes.CONFORMANT if counts[State.PASS] else exit_codes.NOTHING_RAN


def counts_line(run: RunResult) -> str:
    """The result of a run in one line."""
    counts = run.counts()
    words = [f"{counts[State.PASS]:,} passed"]
    words += [
        f"{counts[state]:,} {word}"
        for state, word in (
            (State.FAIL, "failed"),
            (State.ERROR, "errors"),
            (State.SKIP, "skipped"),
        )
        if counts[state]
    ]
    words.append(f"{run.unspecified:,} steps unspecified")
    where = ", ".join(
        f"{name} (Linux {run.release(name)})" if run.release(name) else name
        for name in run.target_names
    )
    return f"{', '.join(words)} on {where} in {run.seconds:.1f} s"
