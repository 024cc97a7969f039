"""madvet corpus: folders of programs by what they reach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from ci.cli import exit_codes
from ci.cli.arguments import target_option
from ci.cli.exit_codes import InputError
from ci.cli.opening import opened
from ci.cli.program_files import find_files, is_ledger, read_program_file
from conformance.program.program import Program
from conformance.target.registry import is_guest
from fuzz.engine.exchange import keep_seed
from fuzz.findings.store import FindingsError
from fuzz.guidance.distill import adding, measure, minimised
from fuzz.guidance.seed_pool import Seed

TOLD_EVERY: Final = 1024  # programs
DIRS = click.argument(
    "folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=False)
)
EDGES_ONLY = click.option("--edges-only", is_flag=True, help="Leave the model's marks out.")


@click.group("corpus")
def command() -> None:
    """Folders of programs, by what they reach: edges of the kernel, marks of the model.

    A kernel with KCOV tells the edges (--target uml); elsewhere the marks alone count.
    """


@command.command("stat")
@DIRS
@target_option("uml")
def stat(folders: tuple[Path, ...], targets: tuple[str, ...]) -> int:
    """How many programs there are, and what they reach together."""
    target = _one(targets)
    seeds = _measured(read_programs(folders, target), target)
    edges, marks = _counts(seeds)
    idle = sum(not seed.edges and not seed.marks for seed in seeds)
    click.echo(f"{len(seeds):,} programs reach {len(edges):,} edges and {len(marks):,} marks")
    for words, counts in (("edges", edges), ("marks", marks)):
        once = sum(count == 1 for count in counts.values())
        click.echo(f"  {words} that one program alone reaches: {once:,}")
    click.echo(f"  programs that reach nothing on {target}: {idle:,}")
    click.echo(f"  programs that would do: {len(minimised(seeds)):,}")
    return exit_codes.CONFORMANT


@command.command("minimise")
@DIRS
@target_option("uml")
@EDGES_ONLY
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="For the few."
)
def minimise(
    folders: tuple[Path, ...], targets: tuple[str, ...], edges_only: bool, out: Path
) -> int:
    """Write few programs that reach all that those in DIRS reach."""
    target = _one(targets)
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"--out {out}: there is something in it; madvet corpus merge adds to it")
    seeds = _measured(read_programs(folders, target), target)
    chosen = minimised(seeds, not edges_only)
    if not _keep(out, chosen, ordered=True):
        return exit_codes.HARNESS_FAILED
    edges, marks = _counts(chosen)
    click.echo(
        f"{len(chosen):,} of {len(seeds):,} programs in {out} reach all {len(edges):,} edges"
        + ("" if edges_only else f" and {len(marks):,} marks")
    )
    return exit_codes.CONFORMANT if chosen else exit_codes.NOTHING_RAN


@command.command("merge")
@DIRS
@target_option("uml")
@EDGES_ONLY
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="To add to."
)
def merge(folders: tuple[Path, ...], targets: tuple[str, ...], edges_only: bool, out: Path) -> int:
    """Add programs of DIRS to a folder that reach what none in it reaches."""
    target = _one(targets)
    there = read_programs((out,), target) if out.is_dir() and any(out.iterdir()) else []
    more = read_programs(folders, target)
    seeds = _measured([*there, *more], target)
    added = adding(seeds[: len(there)], seeds[len(there) :], not edges_only)
    if not _keep(out, added):
        return exit_codes.HARNESS_FAILED
    click.echo(
        f"{len(added):,} of {len(more):,} programs were added to the {len(there):,} in {out}"
    )
    return exit_codes.CONFORMANT


def _one(targets: tuple[str, ...]) -> str:
    """Edges of different kernels are different things. Raises InputError."""
    if len(targets) != 1:
        raise InputError(f"--target: one target, not {len(targets)}: what is reached is its own")
    return targets[0]


def read_programs(folders: tuple[Path, ...], target: str) -> list[Program]:
    """Every program, each once. Raises InputError for a file that is none."""
    guest = is_guest(target)
    files = [path for path in find_files(folders) if not is_ledger(path)]
    return list(dict.fromkeys(read_program_file(path, guest).program for path in files))


def _measured(programs: list[Program], target: str) -> list[Seed]:
    with opened((target,)) as opened_targets:
        seeds = measure(opened_targets[0], programs, _teller(len(programs)))
    if not any(seed.edges for seed in seeds):
        click.echo(
            f"{target} has no KCOV, so that only the model's marks count: a kernel that has it is "
            "built by `madvet kernels build uml`, then --target uml",
            err=True,
        )
    return seeds


def _teller(programs: int) -> Callable[[int], None]:
    def tell(done: int) -> None:
        if done % TOLD_EVERY == 0 and done < programs:
            click.echo(f"{done:,} of {programs:,} programs measured", err=True)

    return tell


def _counts(seeds: list[Seed]) -> tuple[Counter[int], Counter[str]]:
    edges: Counter[int] = Counter()
    marks: Counter[str] = Counter()
    for seed in seeds:
        edges.update(seed.edges)
        marks.update(seed.marks)
    return edges, marks


def _keep(out: Path, seeds: list[Seed], ordered: bool = False) -> bool:
    """False, after saying why, when they cannot be written. ordered: names tell their order."""
    try:
        for number, seed in enumerate(seeds):
            keep_seed(out, seed.program, f"{number:04}-" if ordered else "")
    except FindingsError as error:
        click.echo(f"madvet corpus: {error}", err=True)
        return False
    return True
