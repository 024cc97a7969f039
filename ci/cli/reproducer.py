"""madvet reproducer: a program as a C file that shows the fault without madvet."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from ci.cli import exit_codes
from ci.cli.arguments import TargetNames, append_option
from ci.cli.exit_codes import InputError
from ci.cli.opening import opened
from ci.cli.output import OutputError
from ci.cli.program_files import read_program_file
from conformance.program.text import Document
from conformance.target.registry import is_guest
from conformance.target.target import Target
from fuzz.findings.atomic_file import write_atomically
from fuzz.findings.c_program import NotInC, Told
from fuzz.findings.c_run import Ran, run_c
from fuzz.findings.emit_c import DEATHS, LOOK, c_reproducer


@click.command("reproducer")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--target",
    "targets",
    type=TargetNames(),
    default="host",
    show_default=True,
    help="The kernel whose facts decide what is expected, and on which it is run.",
)
@append_option()
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it here.  [default: standard output, unless it is run]",
)
@click.option("--run", "run_it", is_flag=True, help="Build it and run it on the target, once.")
def command(
    path: Path, targets: tuple[str, ...], append: str, out: Path | None, run_it: bool
) -> int:
    """Write a program as a C reproducer: one file that needs only a C library.

    Built and run, it says what it expected and what it saw; it exits 1 when the fault shows and 0
    when it does not. With --run that is the exit code of this command, too.
    """
    if len(targets) != 1:
        raise InputError("--target: one target, whose kernel decides what is expected")
    document = read_program_file(path, all(map(is_guest, targets)))
    with opened(targets, append=append) as (target, *_):
        try:
            text = c_text(document, target)
        except NotInC as error:
            raise InputError(f"{path}: cannot be written in C: {error}") from error
        if out is not None:
            try:
                write_atomically(out, text.encode("ascii"))
            except OSError as error:
                raise OutputError(f"--out {out}: {error.strerror}") from error
        elif not run_it:
            click.echo(text, nl=False)
        if not run_it:
            return exit_codes.CONFORMANT
        ran = _run(text, target)
    click.echo(f"{target.name}: {ran.said}", nl=False)
    return ran.code


def c_text(document: Document, target: Target) -> str:
    """The file, for the facts of a target. Raises NotInC, and TargetError."""
    program = document.program
    outside: tuple[int, ...] = ()
    if program.whole:
        (outcome,) = target.run_batch([program], LOOK)
        outside = outcome.outside
    return c_reproducer(program, target.facts, _told(document, target), LOOK, outside)


def _told(document: Document, target: Target) -> Told:
    where = f"Linux {target.facts.release}, target {target.name}"
    finding = document.finding
    if finding is None:
        first = document.comment.partition("\n")[0]
        return Told(first or "A program of madvet's.", where)
    requirements = tuple(part for part in finding.requirement.split(", ") if part)
    return Told(
        f"{finding.verdict}: {finding.title}",
        finding.found_on or where,
        finding.expected,
        finding.observed,
        requirements,
        finding.log.partition("\n")[0],
        "layout: " in finding.title,
        finding.stability,
        finding.verdict in DEATHS or bool(finding.log),
    )


def _run(text: str, target: Target) -> Ran:
    with tempfile.TemporaryDirectory(prefix="madvet-reproducer-") as folder:
        source = Path(folder) / "reproducer.c"
        source.write_text(text, encoding="ascii")
        return run_c(source, target)
