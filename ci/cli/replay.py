"""madvet replay: program files run again, each judged; reproducers must show their finding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from ci.cli import exit_codes
from ci.cli.arguments import Integer, append_option, canary_option, target_option
from ci.cli.exit_codes import InputError
from ci.cli.opening import opened
from ci.cli.program_files import (
    check_ledger_file,
    find_files,
    is_for_guests,
    is_ledger,
    read_program_file,
)
from conformance.oracle.ledger import LedgerError, load_ledger
from conformance.oracle.verdict import VerdictKind
from conformance.target.registry import is_guest
from fuzz.engine.replay import Case, Replayed, replay

TIMES_MAX: Final = 10_000
LOG_LINES_SHOWN: Final = 40  # of a kernel's log: to the end of the first stack
FILES_SHOWN: Final = 20  # of more, only those are named that something is to be said of


class _Files:
    """The cases of some files; what cannot be read is complained about and counted. named: by the
    user, one by one; what was found in a folder and is for guests only is left out elsewhere."""

    def __init__(self, paths: list[Path], named: tuple[Path, ...], guest: bool) -> None:
        self.paths = paths
        self.named = named
        self.guest = guest
        self.programs = 0
        self.bad = 0
        self.left_out = 0  # programs for guests, where not all targets are
        self.known = 0  # entries of ledger files, which are checked and not run

    def __iter__(self) -> Iterator[Case]:
        for path in self.paths:
            try:
                if is_ledger(path):
                    self.known += check_ledger_file(path)
                    continue
                document = read_program_file(path, self.guest)
            except InputError as error:
                if not self.guest and path not in self.named and is_for_guests(path):
                    self.left_out += 1
                    continue
                self.bad += 1
                click.echo(f"madvet replay: {error}", err=True)
                continue
            self.programs += 1
            yield Case(str(path), document.program, document.finding)


@click.command("replay")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@target_option("host,shim")
@append_option()
@click.option(
    "--times",
    type=Integer(1, TIMES_MAX),
    help="Run each program alone so often.  [default: 5 for reproducers, others once]",
)
@click.option(
    "--all", "show_all", is_flag=True, help="Name every file, also of many that do as predicted."
)
@canary_option()
def command(
    paths: tuple[Path, ...],
    targets: tuple[str, ...],
    append: str,
    times: int | None,
    show_all: bool,
    canary: bool,
) -> int:
    """Run program files again and judge each.

    Folders are searched for *.toml. A file with a table [finding] is a reproducer: it is run
    several times, alone, and "reproduced k/n" says how often it showed a divergence. Exit code
    0 means that nothing diverged but what the ledger knows.
    """
    files = _Files(find_files(paths), paths, all(map(is_guest, targets)))
    show_all = show_all or len(files.paths) <= FILES_SHOWN
    try:
        ledger = load_ledger()
    except LedgerError as error:
        raise InputError(str(error)) from error
    counts: Counter[str] = Counter()
    with opened(targets, canary, append) as open_targets:
        for one in replay(files, open_targets, ledger, times):
            word = _word(one)
            counts[word] += 1
            if show_all or word != VerdictKind.CONFORMANT.value or one.case.finding is not None:
                click.echo(_line(one, word))
                for line in _details(one):
                    click.echo(f"    {line}")
    return _end(files, targets, counts)


def _word(one: Replayed) -> str:
    return "known" if one.known is not None else one.verdict.kind.value


def _line(one: Replayed, word: str) -> str:
    line = f"{word:<15} {one.target:<5} {one.case.name}"
    if one.case.finding is not None:
        line += f"  reproduced {one.shown}/{one.runs}"
    elif one.runs:
        line += f"  diverged {one.shown}/{one.runs}"
    return line


def _details(one: Replayed) -> Iterator[str]:
    if one.known is not None:
        yield f"known: {one.known.id}: {' '.join(one.known.reason.split()).split('. ')[0]}"
    finding = one.case.finding
    if finding is not None and not one.shown:
        yield f"expected: {finding.title}"
    elif finding is not None and not one.same and one.known is None:
        yield f"another finding than the file's: {finding.title}"
    if one.verdict.reason and not one.verdict.log:
        yield one.verdict.reason
    for difference in one.verdict.differences:
        yield difference.words
    log = one.verdict.log.splitlines()[1:]  # its title was in the words
    yield from (f"| {line}" for line in log[:LOG_LINES_SHOWN])
    if len(log) > LOG_LINES_SHOWN:
        yield f"| ... {len(log) - LOG_LINES_SHOWN} more lines"


def _end(files: _Files, targets: tuple[str, ...], counts: Counter[str]) -> int:
    """The last line, and the exit code."""
    words = ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "nothing ran"
    click.echo(f"{files.programs} programs on {', '.join(targets)}: {words}")
    if files.left_out:
        click.echo(f"{files.left_out} programs were left out: only guests are to run them")
    if files.known:
        click.echo(f"{files.known} known divergences in the ledger files are well-formed")
    if files.bad:
        click.echo(f"madvet replay: {files.bad} files could not be read", err=True)
        return exit_codes.BAD_INPUT
    quiet = {VerdictKind.CONFORMANT.value, VerdictKind.SKIPPED.value, "known"}
    if set(counts) - quiet - {VerdictKind.HARNESS_ERROR.value}:
        return exit_codes.FOUND
    if counts[VerdictKind.HARNESS_ERROR.value]:
        return exit_codes.HARNESS_FAILED
    if set(counts) <= {VerdictKind.SKIPPED.value} and not files.known:
        return exit_codes.NOTHING_RAN
    return exit_codes.CONFORMANT
