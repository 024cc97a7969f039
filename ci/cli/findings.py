"""madvet findings: what released kernels do that is a mistake, or that no manual page says."""

from __future__ import annotations

from pathlib import Path

import click

from ci.cli import exit_codes
from ci.cli.arguments import TargetNames
from ci.cli.exit_codes import InputError
from ci.cli.opening import opened
from ci.cli.output import OutputError
from ci.gate.findings import Known, load_findings, see_again
from ci.gate.findings_pages import bounds, differing, pages
from ci.gate.history import Seen
from ci.gate.index import IndexFileError, program_at
from conformance.oracle.ledger import LedgerError, load_ledger
from fuzz.findings.atomic_file import write_atomically
from fuzz.findings.merge import bugs, load_folders, merge_into
from fuzz.findings.store import FindingsError

SEEN_WORDS = {Seen.FAILS: "shows", Seen.PASSES: "shows not", Seen.SKIPPED: "cannot run it"}


@click.command("findings")
@click.option(
    "--from",
    "folders",
    type=click.Path(path_type=Path, file_okay=False),
    multiple=True,
    help="List what campaigns found instead, of this folder; more than once for several.",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="With --from: keep all of it in this folder.",
)
@click.option("--target", "targets", type=TargetNames(), help="See which of these kernels show it.")
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Make the pages in this folder anew.",
)
def command(
    folders: tuple[Path, ...],
    into: Path | None,
    targets: tuple[str, ...] | None,
    folder: Path | None,
) -> int:
    """List findings in released kernels; see them again, or write their pages.

    With --target, exit code 1 when a kernel does otherwise than the index says of its release.
    With --from, list the bugs that campaigns found, each once, the most severe first; exit code 1
    when there are any.
    """
    if folders:
        return _merged(folders, into)
    if into is not None:
        raise InputError("--into needs --from: the folders of campaigns")
    try:
        findings = load_findings()
        if folder is not None:
            return _write(findings, folder)
        if targets is not None:
            return _see(findings, targets)
    except (IndexFileError, LedgerError) as error:
        raise InputError(str(error)) from error
    for finding in findings:
        click.echo(f"{finding.id:<36} {finding.kind.value:<13} {bounds(finding)}")
        click.echo(f"    {finding.title}\n    corpus/{finding.program}")
    return exit_codes.CONFORMANT


def _merged(folders: tuple[Path, ...], into: Path | None) -> int:
    """What campaigns found, as bugs."""
    try:
        stored = load_folders(folders)
        new = merge_into(into, stored) if into is not None else 0
    except FindingsError as error:
        raise InputError(str(error)) from error
    found = bugs(stored)
    for bug in found:
        first = bug.findings[0].finding
        marks = f" ({first.marks})" if first.marks else ""
        click.echo(f"[{bug.severity.label}] {first.title}{marks}")
        click.echo(f"    {first.identity}, met {bug.seen:,} times, {first.stability}")
        click.echo(f"    on {', '.join(bug.kernels)}")
        for one in bug.findings:
            click.echo(f"    {one.path}")
    click.echo(f"{len(found)} bugs, {len(stored)} findings")
    if into is not None:
        click.echo(f"{into}: {new} findings are new there")
    return exit_codes.FOUND if found else exit_codes.CONFORMANT


def _write(findings: tuple[Known, ...], folder: Path) -> int:
    wanted = pages(findings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        changed = differing(folder, wanted)
        for name in changed:
            if name in wanted:
                write_atomically(folder / name, wanted[name].encode())
            else:
                (folder / name).unlink()
    except OSError as error:
        raise OutputError(f"--write {folder}: {error.filename}: {error.strerror}") from error
    click.echo(f"{len(wanted)} pages in {folder}, {len(changed)} changed")
    return exit_codes.CONFORMANT


def _see(findings: tuple[Known, ...], targets: tuple[str, ...]) -> int:
    ledger = load_ledger()
    wrong = ran = 0
    for name in targets:
        with opened((name,)) as (target,):
            for finding in findings:
                seen, words = see_again(finding, program_at(finding.program), target, ledger)
                expected = finding.expected(target.facts.release)
                ran += seen is not Seen.SKIPPED
                line = f"{name:<12} {SEEN_WORDS[seen]:<14} {finding.id}"
                if expected not in (None, seen) and seen is not Seen.SKIPPED:
                    wrong += 1
                    line += f"  BUT IT WAS SEEN THAT IT {SEEN_WORDS[expected or seen]}"
                click.echo(f"{line}\n    {words}")
    if wrong:
        click.echo(f"{wrong} are not as the index says")
        return exit_codes.FOUND
    return exit_codes.CONFORMANT if ran else exit_codes.NOTHING_RAN
