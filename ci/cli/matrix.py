"""madvet matrix: what every advice does to every kind of VMA, on one kernel after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from ci.cli import exit_codes
from ci.cli.arguments import Names, TargetNames, advice_names
from ci.cli.exit_codes import InputError
from ci.matrix.build import Column, build, differences
from ci.matrix.page import write_page
from ci.matrix.run import sweep
from ci.matrix.table import Kernel, MatrixError, read_matrix, write_matrix
from conformance.oracle.ledger import Ledger, LedgerError, load_ledger
from conformance.sweep.cells import Cell, cells
from conformance.target.guest_images import find_stock
from conformance.target.registry import open_target, stock_release
from conformance.target.target import TargetError

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "matrix"
SHOWN: Final = 20  # cells that are told; of more, their number


@click.command("matrix")
@click.option(
    "--targets",
    type=TargetNames(),
    help="The kernels, oldest first, with commas between them: debian:6.12,debian:7.3.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER,
    help="Of the table.  [default: docs/matrix]",
)
@click.option("--check", is_flag=True, help="Write nothing: compare with the table that is there.")
@click.option(
    "--advice",
    "names",
    type=Names(advice_names, "advice"),
    help="With --check: only these, such as DONTFORK,COLD.",
)
@click.option("--page", is_flag=True, help="Run nothing: write index.html anew from the data.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(
    targets: tuple[str, ...] | None,
    folder: Path,
    check: bool,
    names: tuple[str, ...] | None,
    page: bool,
    quiet: bool,
) -> int:
    """Run the sweep on each kernel, and write the table of what really happens.

    Each advice on each part of each kind of VMA: what is returned, which flags change, what is in
    memory after. Kernels that differ stand beside each other, with the facts that the model tells
    them apart by. Everything is judged: exit code 1, and nothing is written, where a kernel does
    not do as the model says and the ledger does not know it; 3 when a kernel does not run.
    """
    _check_usage(targets, check, names, page)
    try:
        if targets is None:
            matrix = read_matrix(folder)
            click.echo(f"{write_page(matrix, folder)}: written from {len(matrix.rows)} files")
            return exit_codes.CONFORMANT
        wanted = [cell for cell in cells() if names is None or cell.advice in names]
        columns = _columns(targets, wanted, _ledger(), quiet)
        bad = [f"{c.kernel.name} {words}" for c in columns for words in c.swept.bad]
        if bad:
            _tell(bad, "cells are not as the model has them; nothing is written")
            return exit_codes.FOUND
        if check:
            return _compare(folder, columns, wanted)
        matrix = build(columns, wanted)
        write_matrix(matrix, folder)
        click.echo(f"{write_page(matrix, folder)}: {len(wanted)} cells on {len(columns)} kernels")
    except MatrixError as error:
        raise TargetError(str(error)) from error
    return exit_codes.CONFORMANT


def _check_usage(
    targets: tuple[str, ...] | None, check: bool, names: tuple[str, ...] | None, page: bool
) -> None:
    """Raises InputError for options that do not go together."""
    if page == (targets is not None) or (page and check):
        raise InputError("name the kernels with --targets, or write the page alone with --page")
    if names is not None and not check:
        raise InputError("--advice is for --check: a table of some advices only would be no table")


def _ledger() -> Ledger:
    try:
        return load_ledger()
    except LedgerError as error:
        raise InputError(str(error)) from error


def _columns(
    targets: tuple[str, ...], wanted: Sequence[Cell], ledger: Ledger, quiet: bool
) -> list[Column]:
    """One kernel after the other. Raises TargetError."""
    out = []
    for name in targets:
        release = stock_release(name)
        package = "" if release is None else find_stock(release).manifest.source

        def say(words: str, name: str = name) -> None:
            if not quiet:
                click.echo(f"{name}: {words}", err=True)

        with open_target(name) as target:
            swept = sweep(target, wanted, ledger, say)
        out.append(Column(Kernel(name, swept.facts.release, package, swept.facts), swept))
    return out


def _compare(folder: Path, columns: Sequence[Column], wanted: Sequence[Cell]) -> int:
    found = list(differences(read_matrix(folder), columns, wanted))
    if found:
        _tell(found, "cells are not as the table has them; write it anew without --check")
        return exit_codes.FOUND
    click.echo(f"{len(wanted)} cells on {len(columns)} kernels are as the table has them")
    return exit_codes.CONFORMANT


def _tell(paragraphs: list[str], what: str) -> None:
    for paragraph in paragraphs[:SHOWN]:
        click.echo(paragraph)
    if len(paragraphs) > SHOWN:
        click.echo(f"and {len(paragraphs) - SHOWN} more")
    click.echo(f"{len(paragraphs)} {what}")
