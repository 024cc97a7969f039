"""madvet conform: the written cases, run by pytest against some targets, and their reports."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from ci.cli import exit_codes
from ci.cli.arguments import append_option, target_option
from ci.cli.report_options import code_of, counts_line, report_options
from ci.report.journal import JournalError, read_journal
from ci.report.outputs import OutputError, Wanted, madvet_version, prepare, write_reports

CASES: Final = Path(__file__).resolve().parents[2] / "conformance" / "cases"
RECORDER: Final = "ci.report.case_recorder"
OK, TESTS_FAILED, NO_TESTS = 0, 1, 5  # pytest.ExitCode


@click.command("conform", context_settings={"ignore_unknown_options": True})
@target_option("host,shim")
@append_option()
@click.option("--requirement", help="Only cases of requirements whose id contains this; no sweeps.")
@report_options
@click.option(
    "--run",
    "journal",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep the run in this file, for `madvet report`; it is whole at any moment.",
)
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def command(
    targets: tuple[str, ...],
    append: str,
    requirement: str | None,
    ktap: Path | None,
    junit: Path | None,
    kcidb: Path | None,
    html: Path | None,
    journal: Path | None,
    pytest_arguments: tuple[str, ...],
) -> int:
    """Run the written cases of the specification.

    Each case states what a requirement demands and is run on every target. Further arguments
    go to pytest, which comes with `pip install madvet[test]`.
    """
    if find_spec("pytest") is None:
        click.echo("madvet conform: pytest is missing: pip install -e '.[test]'", err=True)
        return exit_codes.HARNESS_FAILED
    wanted = Wanted(ktap, junit, kcidb, html)
    try:
        prepare(wanted, "conform", targets)
        with tempfile.TemporaryDirectory(prefix="madvet-conform-") as folder:
            path = journal or Path(folder) / "run.jsonl"
            chosen = [
                f"--target={','.join(targets)}",
                *([f"--append={append}"] if append else []),
                *([f"--requirement={requirement}"] if requirement else []),
            ]
            status = _pytest(chosen, path, pytest_arguments)
            return _reported(path, wanted, status)
    except (OutputError, JournalError) as error:
        click.echo(f"madvet conform: {error}", err=True)
        return exit_codes.HARNESS_FAILED


def _pytest(chosen: list[str], journal: Path, more: tuple[str, ...]) -> int:
    """Run the cases; pytest's exit status. chosen: options of the cases. Raises OutputError where
    no journal can be kept."""
    import pytest

    try:
        journal.write_bytes(b"")
    except OSError as error:
        raise OutputError(f"--run {journal}: {error.strerror}; name another file") from error
    arguments = [
        str(CASES),
        f"--rootdir={CASES.parents[1]}",
        *chosen,
        "-p",
        "no:cacheprovider",  # nothing is left behind in the tree
        "-p",
        RECORDER,
        f"--madvet-journal={journal.absolute()}",
        f"--madvet-version={madvet_version()}",
        *(more or ("-q",)),
    ]
    return int(pytest.main(arguments))


def _reported(journal: Path, wanted: Wanted, status: int) -> int:
    """Write the reports; the exit code. A run without a journal ran no case."""
    if not journal.stat().st_size:
        return exit_codes.CONFORMANT if status == OK else exit_codes.HARNESS_FAILED
    run = read_journal(journal)
    write_reports(run, wanted)
    click.echo(counts_line(run))
    if run.unended and status != NO_TESTS:
        click.echo(f"madvet conform: not complete: {run.unended}", err=True)
    for name, path in wanted.paths():
        click.echo(f"{name}: {path}")
    if status == NO_TESTS:
        return exit_codes.NOTHING_RAN
    code = code_of(run)
    # What pytest calls a failure without a failed case is a failure of the harness.
    return code or (exit_codes.HARNESS_FAILED if status not in (OK, TESTS_FAILED) else code)
