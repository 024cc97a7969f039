"""madvet bisect: which of a row of kernels, or which commit, was the first to do it?"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from ci.cli import exit_codes
from ci.cli.arguments import TargetNames
from ci.cli.exit_codes import InputError
from ci.cli.program_files import read_program_file
from ci.gate.bisect import BisectError, Interval, bisect
from ci.gate.question import percent
from ci.gate.tree_bisect import TreeBisect, TreeError, TreeResult
from conformance.target.guest_images import stock_releases
from conformance.target.registry import is_guest, open_target

STOCK: Final = "debian:"
TREE_FLAVOURS: Final = ("uml", "lean", "debug")


@click.command("bisect")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--good", required=True, help="A target, or with --tree a commit, that is right.")
@click.option("--bad", required=True, help="One that is not.")
@click.option(
    "--kernels",
    type=TargetNames(),
    help="The row of targets, in order.  [default: Debian's that were fetched, by release]",
)
@click.option(
    "--tree",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A git checkout of Linux: bisect its commits.",
)
@click.option(
    "--flavour",
    type=click.Choice(TREE_FLAVOURS),
    default="lean",
    show_default=True,
    help="With --tree: which kernel is built of each commit.",
)
@click.option(
    "--build",
    "build_command",
    default="",
    help="With --tree: builds in its place, and names the target on its last line.",
)
def command(
    path: Path,
    good: str,
    bad: str,
    kernels: tuple[str, ...] | None,
    tree: Path | None,
    flavour: str,
    build_command: str,
) -> int:
    """Find the first kernel that does not do with a program what the good one does.

    Both ends are verified first, and how often the bad one shows it is measured; from that
    follow the attempts on each kernel on the way. GOOD may be the newer one: then it is the end
    of a mistake that is found. With --tree, `git bisect run` builds, boots and asks; what cannot
    be built or booted is skipped.
    """
    program = read_program_file(path, guest=True).program
    try:
        if tree is not None:
            if kernels is not None:
                raise InputError("--kernels and --tree are two ways to bisect: name one")
            work = TreeBisect(tree, path, build_command, flavour, open_target, click.echo)
            return _tell_commits(work.run(program, good, bad))
        row = _row(good, bad, kernels)
        _check_guests(path, row)
        return _tell(bisect(program, row, open_target, click.echo))
    except (BisectError, TreeError) as error:
        raise InputError(str(error)) from error


def _row(good: str, bad: str, kernels: tuple[str, ...] | None) -> list[str]:
    """From the good end to the bad one. Raises InputError, TargetNameError."""
    names = list(kernels or (f"{STOCK}{release}" for release in stock_releases()))
    for option, name in (("--good", good), ("--bad", bad)):
        if name not in names:
            there = ", ".join(names) or "none; madvet kernels fetch"
            raise InputError(f"{option} {name} is none of the kernels in the row: {there}")
    first, last = names.index(good), names.index(bad)
    if first == last:
        raise InputError(f"--good and --bad are both {good}")
    return names[first : last + 1] if first < last else names[last : first + 1][::-1]


def _check_guests(path: Path, row: list[str]) -> None:
    """What only a kernel that can be thrown away survives must not run here."""
    if not all(map(is_guest, row)):
        read_program_file(path)


def _tell(found: Interval) -> int:
    click.echo(f"last good:  {found.good.name} ({found.good.release})")
    for one in found.between:
        click.echo(f"cannot tell: {one.name}: {one.told.answer.value}: {one.told.words}")
    click.echo(f"first bad:  {found.bad.name} ({found.bad.release})")
    click.echo(f"    {found.bad.told.words}")
    click.echo(
        f"it came in between {found.good.release} and {found.bad.release}; {found.asked} kernels "
        f"asked, this is wrong with a probability of {percent(found.error)}"
    )
    return exit_codes.CONFORMANT


def _tell_commits(found: TreeResult) -> int:
    many = len(found.commits) > 1
    click.echo("the first bad commit is one of:" if many else "the first bad commit is:")
    for commit, subject in zip(found.commits, found.subjects, strict=True):
        click.echo(f"    {commit} {subject}")
    click.echo(f"this is wrong with a probability of {percent(found.error)}")
    return exit_codes.CONFORMANT
