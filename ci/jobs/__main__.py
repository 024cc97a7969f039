"""python -m ci.jobs: what ci/jobs/run starts. The exit codes are madvet's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from ci.cli import exit_codes
from ci.cli.arguments import Duration, Integer
from ci.jobs.gate_job import TreeError, gate
from ci.jobs.guests import BUILD, CHOICES, IF_BUILT
from ci.jobs.nightly import nightly
from ci.jobs.on_change import on_change
from ci.jobs.step import CHECKOUT
from fuzz.engine.budget import SEED_MAX

F = TypeVar("F", bound=Callable[..., Any])

OUT: Final = Path("madvet-ci")
MARK: Final = ".madvet-ci"  # in it: a job made this folder
CHANGE_SECONDS: Final = 60.0
NIGHT_SECONDS: Final = 4 * 3600.0
GATE_SECONDS: Final = 1200.0
SEED_DIGITS: Final = 12  # of the commit's hash: 48 bits


@click.group()
def cli() -> None:
    """What a CI runs. Logs and reports go to --out; exit codes are those of madvet."""


def out_option(command: F) -> F:
    """--out, for all jobs."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        default=OUT,
        show_default=True,
        help="Folder for logs, reports, findings and summary.json.",
    )(command)


def fuzz_options(seconds: float, guest: str) -> Callable[[F], F]:
    """--seconds, --seed and --guest, for jobs that fuzz."""

    def add(command: F) -> F:
        command = click.option(
            "--guest", type=click.Choice(CHOICES), default=guest, show_default=True,
            help="Build the kernels of guests, take them if they are built, or do without.",
        )(command)  # fmt: skip
        command = click.option(
            "--seed", type=Integer(0, SEED_MAX), help="Of the programs.  [default: the commit]"
        )(command)
        return click.option(
            "--time", "seconds", type=Duration(), default=seconds, show_default=True,
            help="Of fuzzing: 60, 5m, 4h.",
        )(command)  # fmt: skip

    return add


@cli.command("on-change")
@click.option("--base", default="", help="What the change is compared with.  [default: the CI's]")
@fuzz_options(CHANGE_SECONDS, IF_BUILT)
@out_option
def on_change_command(base: str, seconds: float, seed: int | None, guest: str, out: Path) -> int:
    """Minutes: cases, corpus and a short fuzz, here and on a guest.

    --time is of each fuzz. Only findings that the base does not show make it fail.
    """
    return on_change(base, guest, seconds, commit_seed(seed), made(out))


@cli.command("nightly")
@click.option(
    "--corpus",
    type=click.Path(path_type=Path, file_okay=False),
    help="The merged corpus that the night before left.",
)
@fuzz_options(NIGHT_SECONDS, BUILD)
@out_option
def nightly_command(
    corpus: Path | None, seconds: float, seed: int | None, guest: str, out: Path
) -> int:
    """Hours: everything, on every target that boots.

    --time is of all fuzzes together. OUT/corpus is the corpus with what was found in it.
    """
    return nightly(guest, seconds, commit_seed(seed), corpus, made(out))


@cli.command("gate")
@click.option(
    "--tree",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A git checkout of Linux: base and head are commits of it, and are built.",
)
@click.option("--base", required=True, help="A commit, or without --tree a target.")
@click.option("--head", default="", help="The same.  [default with --tree: HEAD]")
@click.option(
    "--build",
    "build_with",
    default="",
    help="Builds the tree it is run in, and names the target on its last line, such as "
    "kernel:arch/x86/boot/bzImage.  [default: as madvet builds its guests]",
)
@click.option(
    "--flavour",
    type=click.Choice(["uml", "lean", "debug"]),
    default="lean",
    show_default=True,
    help="Which kernel is built without --build.",
)
@click.option("--budget", type=Duration(), default=GATE_SECONDS, show_default=True)
@out_option
def gate_command(
    tree: Path | None,
    base: str,
    head: str,
    build_with: str,
    flavour: str,
    budget: float,
    out: Path,
) -> int:
    """Between two kernels: builds both, if they are commits, and says what changed."""
    if not head:
        if tree is None:
            raise click.UsageError("--head is missing: without --tree it has to be a target")
        head = "HEAD"
    return gate(tree, base, head, build_with, flavour, budget, made(out))


def made(out: Path) -> Path:
    """The folder for all that a job leaves, with nothing of an earlier job in it, which must not
    be taken for this one's. A folder that no job has made is not emptied."""
    path = out.absolute()
    mark = path / MARK
    if path.is_dir() and any(path.iterdir()):
        if not mark.is_file():
            raise click.UsageError(f"--out {out}: is not empty, and no job made it; name another")
        shutil.rmtree(path)
    path.mkdir(parents=True, exist_ok=True)
    mark.touch()
    return path


def commit_seed(given: int | None) -> int:
    """Every commit fuzzes other programs, and each can be run again."""
    if given is not None:
        return given
    command = ["git", "-c", "safe.directory=*", "-C", str(CHECKOUT), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(done.stdout[:SEED_DIGITS], 16) if done.returncode == 0 else 1


def main() -> int:
    """The exit code; no traceback for what a person did wrong."""
    try:
        code = cli.main(prog_name="ci/jobs/run", standalone_mode=False)
        return code if isinstance(code, int) else exit_codes.CONFORMANT
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return exit_codes.BAD_INPUT
    except click.ClickException as error:
        error.show()
        return exit_codes.BAD_INPUT
    except TreeError as error:
        click.echo(f"ci/jobs/run: {error}", err=True)
        return exit_codes.BAD_INPUT
    except OSError as error:
        click.echo(f"ci/jobs/run: {error}", err=True)
        return exit_codes.HARNESS_FAILED
    except click.Abort:
        click.echo("ci/jobs/run: interrupted", err=True)
        return exit_codes.HARNESS_FAILED


if __name__ == "__main__":
    sys.exit(main())
