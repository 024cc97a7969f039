"""madvet show: a program drawn, before and after each call, by the model and by the kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
from rich.console import Console

from ci.cli import exit_codes
from ci.cli.arguments import TargetNames
from ci.cli.opening import opened
from ci.cli.program_files import read_program_file
from ci.report.draw import draw
from conformance.model.predict import predict
from conformance.oracle.judge import judge
from conformance.program.text import Document
from conformance.program.wire import Observe
from conformance.target.registry import is_guest

LOOK: Final = Observe.EACH_STEP | Observe.ISOLATED | Observe.SMAPS
WIDTH_MIN: Final = 60  # columns


@click.command("show")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--target",
    "targets",
    type=TargetNames(),
    help="Run it there: host, shim.  [default: where the file says it was found, else shim]",
)
@click.option("--no-run", is_flag=True, help="Draw the layout and the calls only.")
@click.option("--ascii", "ascii_only", is_flag=True, help="No line-drawing characters.")
def command(path: Path, targets: tuple[str, ...] | None, no_run: bool, ascii_only: bool) -> int:
    """Draw a program: its layout, its calls, and what is mapped after each.

    It is run once, and drawn as the model has it and, where that differs, as the kernel does.
    """
    document = read_program_file(path, bool(targets) and all(map(is_guest, targets or ())))
    console = Console(highlight=False)
    for line in document.comment.splitlines():
        console.print(line, markup=False, soft_wrap=True)
    width = max(WIDTH_MIN, console.width)
    ascii_only = ascii_only or "utf" not in (console.encoding or "").lower()
    if no_run:
        console.print(draw(document.program, width=width, ascii_only=ascii_only), end="")
        return exit_codes.CONFORMANT
    with opened(targets or (_target_of(document),)) as (target, *_):
        (outcome,) = target.run_batch([document.program], LOOK)
        prediction = predict(
            document.program, target.facts, outside=outcome.outside, observe=int(LOOK)
        )
        name, release = target.name, target.facts.release
    verdict = judge(document.program, outcome, prediction)
    picture = draw(document.program, prediction, outcome, width=width, ascii_only=ascii_only)
    console.print(picture, end="")
    console.print(f"{name}, Linux {release}: {verdict.kind.value}", markup=False)
    if verdict.reason and not verdict.log:
        console.print(f"  {verdict.reason}", markup=False)
    for difference in verdict.differences:
        console.print(f"  {difference.words}", markup=False)
    for line in verdict.log.splitlines()[1:]:
        console.print(f"  | {line}", markup=False)
    return exit_codes.CONFORMANT


def _target_of(document: Document) -> str:
    """Where a reproducer was found, if that can be had here without a planted fault."""
    found_on = document.finding.found_on if document.finding else ""
    return "host" if found_on.endswith("target host") else "shim"
