"""madvet mutants: planted faults, and whether a random campaign finds each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from ci.cli import exit_codes
from ci.cli.arguments import Duration, Integer, Names, target_option
from ci.cli.exit_codes import InputError
from ci.cli.kill_comparison import compared, curve_of
from ci.cli.output import prepare_json, write_json, write_text
from conformance.program.text import dumps
from fuzz.engine.budget import RANDOM
from fuzz.mutants.catalogue import Mutant, MutantNameError, chosen
from fuzz.mutants.demo import Demonstration, demonstrate
from fuzz.mutants.hunters import ENGINES
from fuzz.mutants.kill_score import SEED, Plan, Score, kill_all, seconds_for

WORKERS_MAX: Final = 256
JSON_FORMAT: Final = 1
SICK_SHOWN: Final = 10
DEMO_MUTANTS: Final = ("shim/gap_counted_twice", "kernel/gap_counted_twice")


@click.command("mutants")
@click.argument("names", nargs=-1)
@target_option("shim")
@click.option(
    "--time",
    "given_seconds",
    type=Duration(),
    help="For each mutant.  [default: 60; 600 on qemu-debug]",
)
@click.option("--seed", type=Integer(), default=SEED, show_default=True, help="Of the programs.")
@click.option(
    "--workers", type=Integer(1, WORKERS_MAX), help="Processes.  [default: one for each CPU]"
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the scores as JSON to this file (docs/json.md).",
)
@click.option(
    "--engine",
    "engines",
    type=Names(lambda: ENGINES, "engine"),
    default=RANDOM,
    show_default=True,
    help="Where programs come from: random, guided, corpus; several are compared.",
)
@click.option(
    "--svg",
    "svg_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Picture of how many live how long.",
)
@click.option("--list", "only_list", is_flag=True, help="Say what mutants there are; run none.")
@click.option("--demo", is_flag=True, help="Plant one fault; find, shrink and replay it.")
def command(
    names: tuple[str, ...],
    targets: tuple[str, ...],
    given_seconds: float | None,
    seed: int,
    workers: int | None,
    json_path: Path | None,
    engines: tuple[str, ...],
    svg_path: Path | None,
    only_list: bool,
    demo: bool,
) -> int:
    """Plant faults, one at a time, and see whether each is found.

    A fault is a plausible mistake of a kernel, in the shim's madvise_ranges() or in the model; on
    the targets uml and qemu-debug it is one in the kernel itself, and those that corrupt memory
    or break locking must be reported by that kernel. It is killed by a program that diverges
    with it and not without it. NAMES: only mutants whose name contains one of these. Exit code 1
    when one survives.
    """
    try:
        mutants = chosen(names, targets[0])
    except MutantNameError as error:
        raise InputError(str(error)) from error
    if only_list:
        for mutant in mutants:
            click.echo(f"{mutant.id:<36} {mutant.requirement:<28} {mutant.what}")
        return exit_codes.CONFORMANT
    seconds = seconds_for(mutants) if given_seconds is None else given_seconds
    plan = Plan(seconds, seed, engines[0])
    if demo:
        demo_mutant = next((m for m in mutants if m.id in DEMO_MUTANTS and not names), mutants[0])
        return _demo(demo_mutant, plan)
    prepare_json(json_path)
    by_id = {mutant.id: mutant for mutant in mutants}
    by_engine: dict[str, list[Score]] = {}
    for engine in engines:
        if len(engines) > 1:
            click.echo(f"engine {engine}:")
        plan = Plan(seconds, seed, engine)
        scores = by_engine[engine] = []
        for score in kill_all(mutants, plan, workers or len(os.sched_getaffinity(0))):
            scores.append(score)
            click.echo(_line(score, by_id[score.id]))
        for line in _summary(scores):
            click.echo(line)
    for line in compared(by_engine):
        click.echo(line)
    if json_path is not None:
        write_json(json_path, _json(by_engine, by_id, plan))
    if svg_path is not None:
        write_text(svg_path, curve_of(by_engine, len(mutants), seconds))
    every = [score for scores in by_engine.values() for score in scores]
    if any(score.broken for score in every):
        return exit_codes.HARNESS_FAILED
    return exit_codes.CONFORMANT if all(s.killed for s in every) else exit_codes.FOUND


def _line(score: Score, mutant: Mutant) -> str:
    if score.broken:
        return f"BROKEN   {score.id:<36} {score.words}"
    if score.killed:
        return f"killed   {score.id:<36} {score.seconds:6.1f} s  {score.words}"
    words = f"{mutant.what} ({mutant.requirement})" + (f"; {score.words}" if score.words else "")
    return f"SURVIVED {score.id:<36} {score.seconds:6.1f} s  {words}"


def _summary(scores: list[Score]) -> Iterator[str]:
    killed = sorted(score.seconds for score in scores if score.killed)
    yield f"{len(killed)} of {len(scores)} mutants killed"
    if killed:
        fast = sum(seconds <= 2 for seconds in killed)
        yield (
            f"time to kill: median {killed[len(killed) // 2]:.1f} s, longest {killed[-1]:.1f} s, "
            f"{fast} within 2 s"
        )
    for score in sorted(scores, key=lambda score: score.id):
        if score.broken:
            yield f"broken: {score.id}: {score.words}"
        elif not score.killed:
            yield f"survived: {score.id} ({score.programs:,} programs)"
    sick = sorted({words for score in scores for words in score.sick})
    if sick:
        yield f"{len(sick)} programs fail without a fault as well, and killed nothing:"
        yield from (f"  {words}" for words in sick[:SICK_SHOWN])


def _json(
    by_engine: dict[str, list[Score]], mutants: dict[str, Mutant], plan: Plan
) -> dict[str, Any]:
    """The first engine's mutants, and what the others came to."""
    scores = next(iter(by_engine.values()))
    return {
        "format": JSON_FORMAT,
        "seconds_each": plan.seconds,
        "seed": plan.seed,
        "killed": sum(score.killed for score in scores),
        "mutants": [
            {
                **msgspec.to_builtins(score),
                "killed": score.killed,
                "where": mutants[score.id].where,
                "requirement": mutants[score.id].requirement,
                "what": mutants[score.id].what,
            }
            for score in sorted(scores, key=lambda score: score.id)
        ],
        "engines": {
            engine: {
                score.id: {
                    "killed": score.killed,
                    "seconds": score.seconds,
                    "programs": score.killer + 1 if score.killed else score.programs,
                }
                for score in sorted(scores, key=lambda score: score.id)
            }
            for engine, scores in by_engine.items()
        },
    }


def _demo(mutant: Mutant, plan: Plan) -> int:
    """One fault, from planting to replay, told step by step."""
    click.echo(f"planted: {mutant.id}: {mutant.what} (breaks {mutant.requirement})")
    shown: Demonstration | None = demonstrate(mutant, plan)
    if shown is None:
        click.echo(f"NOT FOUND within {plan.seconds:.0f} s")
        return exit_codes.FOUND
    click.echo(
        f"found: program {shown.number} after {shown.seconds:.2f} s: "
        f"{len(shown.found.steps)} steps, {len(shown.found.layout)} mappings"
    )
    click.echo(f"shrunk: {len(shown.small.steps)} steps, {len(shown.small.layout)} mappings\n")
    click.echo("".join(f"    {line}\n" for line in dumps(shown.small).splitlines()))
    click.echo(f"verdict: {shown.verdict.kind.value}")
    for difference in shown.verdict.differences:
        click.echo(f"    {difference.words}")
    click.echo(f"reproduced {shown.shown}/{shown.runs} with the fault, ", nl=False)
    click.echo(f"{shown.shown_clean}/{shown.runs} without it")
    good = shown.shown == shown.runs and not shown.shown_clean
    return exit_codes.CONFORMANT if good else exit_codes.FOUND
