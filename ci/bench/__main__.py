"""python -m ci.bench [--guests] [--json FILE]: measure, print a table, exit 1 if a requirement is
missed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from ci.compiled.activate import activate


@click.command()
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write JSON there."
)
@click.option("--guests", is_flag=True, help="Measure guests, beside the host, and nothing else.")
def main(json_file: Path | None, guests: bool) -> None:
    """Measure the speed of this checkout on this machine."""
    code = activate()
    from ci.bench.campaign_speed import campaign_figures
    from ci.bench.command_times import command_figures
    from ci.bench.executor_costs import executor_figures
    from ci.bench.guest_speed import guest_figures
    from ci.bench.guided_speed import guided_figures
    from ci.bench.python_costs import python_figures
    from ci.report.bench_table import as_json, table
    from ci.report.figure import Figure

    figures: list[Figure] = []
    everything: tuple[tuple[Callable[[], list[Figure]], str], ...] = (
        (executor_figures, "the executor against a bare loop"),
        (campaign_figures, "whole campaigns, on one core and on two"),
        (command_figures, "commands"),
        (python_figures, "the verbs of Python"),
    )
    if guests:
        everything = (
            (guest_figures, "guests, beside the host"),
            (guided_figures, "guided programs beside random ones"),
        )
    for measure, what in everything:
        click.echo(f"measuring {what} ...", err=True)
        figures += measure()
    wide = None if sys.stdout.isatty() else 120  # a file has no edge to wrap at
    Console(width=wide).print(table(figures, f"madvet bench, {code}"))
    if json_file is not None:
        json_file.write_text(as_json(figures, code), encoding="utf-8")
    missed = [figure.name for figure in figures if figure.meets is False]
    if missed:
        click.echo(f"madvet: missed: {', '.join(missed)}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
