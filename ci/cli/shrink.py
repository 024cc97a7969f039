"""madvet shrink: the smallest program that still shows what a file shows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from ci.cli import exit_codes
from ci.cli.arguments import Duration, append_option, canary_option, target_option
from ci.cli.opening import opened
from ci.cli.output import OutputError
from ci.cli.program_files import read_program_file
from conformance.program.program import Program
from conformance.target.registry import is_guest
from conformance.target.target import Target, TargetError
from fuzz.engine.suspects import finding
from fuzz.findings.atomic_file import write_atomically
from fuzz.findings.reproducer import reproducer
from fuzz.triage.examine import still_fails
from fuzz.triage.reducers import MISSING, Reducer, has_hypothesis, reduce_program
from fuzz.triage.shrink import BATCH, ShrinkBudget
from fuzz.triage.stability import DEFLAKE_RUNS, Confirmed, confirm

SECONDS: Final = 60.0
EVALUATIONS_MAX: Final = 1_000_000  # the time is what ends it


@click.command("shrink")
@click.argument("path", type=click.Path(path_type=Path))
@target_option("host,shim")
@append_option()
@click.option("--time", "seconds", type=Duration(), default=SECONDS, help="At most so long.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the smaller program here.  [default: standard output]",
)
@click.option(
    "--reducer",
    type=click.Choice([reducer.value for reducer in Reducer]),
    default=Reducer.BOTH.value,
    show_default=True,
    help="Ours, Hypothesis', or both: whichever ends smaller.",
)
@canary_option()
def command(
    path: Path,
    targets: tuple[str, ...],
    append: str,
    seconds: float,
    out: Path | None,
    reducer: str,
    canary: bool,
) -> int:
    """Make a program that diverges as small as it can be.

    The first of the targets on which it diverges is used. The smaller program shows a
    divergence of the same surface, rule and class of difference. Exit code 1 when it did, since
    a divergence was found; 0 when nothing diverges.
    """
    program = read_program_file(path, all(map(is_guest, targets))).program
    chosen = _chosen(Reducer(reducer))
    with opened(targets, canary, append) as open_targets:
        for target in open_targets:
            seen = confirm(target, program)
            if seen is not None:
                text = _smaller(target, program, seen, seconds, chosen)
                break
        else:
            click.echo(f"{path}: does as predicted on {', '.join(targets)}: nothing to shrink")
            return exit_codes.CONFORMANT
    if out is None:
        click.echo(text, nl=False)
    else:
        try:
            write_atomically(out, text.encode())
        except OSError as error:
            click.echo(text, nl=False)
            raise OutputError(f"--out {out}: {error.strerror}; it is printed instead") from error
    return exit_codes.FOUND


def _chosen(reducer: Reducer) -> Reducer:
    """The reducer, or ours where there is no other. Raises TargetError when it cannot be had."""
    if reducer is Reducer.OURS or has_hypothesis():
        return reducer
    if reducer is Reducer.HYPOTHESIS:
        raise TargetError(MISSING)
    click.echo(MISSING, err=True)
    return Reducer.OURS


def _smaller(
    target: Target, program: Program, seen: Confirmed, seconds: float, reducer: Reducer
) -> str:
    """The text of the reproducer."""
    crashes = bool(seen.verdict.log)
    runs = DEFLAKE_RUNS if seen.flaky and not crashes else 1
    ask = still_fails(target, seen.identity, seen.observe, runs)
    batch = 1 if crashes else BATCH
    reduced = reduce_program(program, ask, ShrinkBudget(EVALUATIONS_MAX, seconds, batch), reducer)
    small = reduced.program
    again = confirm(target, small)
    if again is None or not again.identity.alike(seen.identity):
        click.echo("what is left of it does not show it reliably: kept as it was", err=True)
        small, again = program, seen
    steps = f"{len(program.steps)} to {len(small.steps)}"
    mappings = f"{len(program.layout)} to {len(small.layout)}"
    how = f"by {reduced.by.value} in {reduced.seconds:.1f} s"
    click.echo(f"steps: {steps}, mappings: {mappings}; {again.shown}/{again.runs}; {how}", err=True)
    return reproducer(finding(target, small, again, 0, -1))
