"""madvet report: the reports of a run or a campaign that was kept."""

from __future__ import annotations

from pathlib import Path

import click

from ci.cli import exit_codes
from ci.cli.exit_codes import InputError
from ci.cli.report_options import code_of, counts_line, report_options
from ci.gate.gate_tree import gate_tree, is_gate
from ci.gate.state import StateError, load_state
from ci.report.campaign_tree import campaign_tree, is_campaign
from ci.report.journal import JournalError, read_journal
from ci.report.outputs import OutputError, Wanted, madvet_version, write_reports
from ci.report.result_tree import RunResult
from fuzz.findings.store import FindingsError


@click.command("report")
@click.argument("source", type=click.Path(path_type=Path))
@report_options
def command(
    source: Path, ktap: Path | None, junit: Path | None, kcidb: Path | None, html: Path | None
) -> int:
    """Write the reports of what was kept.

    SOURCE is the file of `madvet conform --run`, the folder of `madvet fuzz --out`, or that of
    `madvet gate`. The exit code is that which the run deserves: one that did not come to its end is
    no pass.
    """
    run = _read(source)
    wanted = Wanted(ktap, junit, kcidb, html)
    try:
        write_reports(run, wanted)
    except OutputError as error:
        click.echo(f"madvet report: {error}", err=True)
        return exit_codes.HARNESS_FAILED
    click.echo(counts_line(run))
    if run.unended:
        click.echo(f"madvet report: not complete: {run.unended}", err=True)
    for name, path in wanted.paths():
        click.echo(f"{name}: {path}")
    return code_of(run)


def _read(source: Path) -> RunResult:
    """The run. Raises InputError."""
    try:
        if is_campaign(source):
            return campaign_tree(source, madvet_version())
        state = load_state(source) if is_gate(source) else None
        if state is not None:
            return gate_tree(state, madvet_version())
        if source.is_dir():
            raise InputError(
                f"{source}: nothing was kept here (madvet fuzz --out FOLDER, madvet gate)"
            )
        return read_journal(source)
    except (JournalError, FindingsError, StateError) as error:
        raise InputError(str(error)) from error
