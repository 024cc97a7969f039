"""madvet spec: the requirements, and what decides, proves and exercises each."""

from __future__ import annotations

import textwrap
from collections import Counter
from difflib import get_close_matches
from itertools import repeat
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from ci.cli import exit_codes
from ci.cli.arguments import Integer
from ci.cli.exit_codes import InputError
from ci.cli.output import OutputError, prepare_json, write_json
from ci.report.spec_trace import (
    SweepCount,
    count_met,
    count_sweeps,
    problems_of_tree,
    trace_of_tree,
)
from conformance.oracle.ledger import LedgerError
from conformance.program.kernel_facts import KernelFacts
from conformance.spec.registry import RegistryError, chapters, load
from conformance.spec.requirement import Requirement
from conformance.spec.traceability import Problem, Trace
from conformance.sweep.reference_facts import NEWEST
from conformance.target.registry import is_guest
from fuzz.engine.budget import CampaignOptions
from fuzz.engine.schedule import BATCH, target_of
from fuzz.generate.options import GenerateOptions
from fuzz.generate.programs import ProgramSource

JSON_FORMAT: Final = 1
SEED: Final = 1
PROGRAMS: Final = 2000
PROGRAMS_OF_CAMPAIGN: Final = 20_000  # half a millisecond each
CASES_SHOWN: Final = 10
WIDTH: Final = 78


class Fuzzed:
    """Programs that a fuzzer made, as far as they were looked at. of: whose they are, in words.
    met: how many met each requirement; None where none were asked for."""

    def __init__(self, programs: int = 0, of: str = "", met: Counter[str] | None = None) -> None:
        self.programs = programs
        self.of = of
        self.met = met

    def count(self, ident: str) -> int | None:
        """Programs that met a requirement."""
        return None if self.met is None else self.met[ident]


@click.command("spec")
@click.argument("ident", metavar="[ID]", required=False)
@click.option(
    "--programs",
    type=Integer(0),
    help="Count this many programs of the fuzzer as well.  [default: 2000]",
)
@click.option(
    "--campaign",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Count those of this campaign, from the JSON of `madvet fuzz --json`; the first 20,000 "
    "unless --programs says more.",
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write all of it as JSON to this file (docs/json.md).",
)
def command(
    ident: str | None, programs: int | None, campaign: Path | None, json_path: Path | None
) -> int:
    """List the requirements: how many cases prove each, and how many programs exercise it.

    ID: show this one whole. Which programs meet a requirement, the model tells without a kernel.
    Exit code 1 if a requirement is proved or exercised by nothing.
    """
    try:
        prepare_json(json_path)
        if ident is not None and ident not in load():
            near = get_close_matches(ident, load(), 3)
            words = f"; near it are: {', '.join(near)}" if near else "; madvet spec lists them"
            raise InputError(f"no requirement is called {ident!r}{words}")
        sweeps = count_sweeps()
        fuzzed = _fuzzed(programs, campaign)
        trace = trace_of_tree(sweeps.programs + (fuzzed.met or Counter()))
        found = problems_of_tree(trace)
        if json_path is not None:
            write_json(json_path, _json(trace, sweeps, fuzzed, found))
    except (RegistryError, LedgerError, OutputError) as error:
        click.echo(f"madvet spec: {error}", err=True)
        return exit_codes.HARNESS_FAILED
    if ident is not None:
        _show(load()[ident], trace, sweeps, fuzzed)
        return exit_codes.CONFORMANT
    _list(trace, sweeps, fuzzed)
    for problem in found:
        click.echo(f"madvet spec: {problem}", err=True)
    return exit_codes.FOUND if found else exit_codes.CONFORMANT


def _fuzzed(programs: int | None, campaign: Path | None) -> Fuzzed:
    """Count what the fuzzer made. Raises InputError for a campaign that cannot be read."""
    if campaign is None:
        programs = PROGRAMS if programs is None else programs
        if not programs:
            return Fuzzed()
        source = ProgramSource(SEED, GenerateOptions(poison=True))
        met = count_met(map(source.program, range(programs)), repeat(NEWEST, programs))
        return Fuzzed(programs, f"programs of seed {SEED}", met)
    options, done, kernels = _read_campaign(campaign)
    count = min(done, PROGRAMS_OF_CAMPAIGN if programs is None else programs)
    # As the workers draw them: see fuzz.engine.worker.
    source = ProgramSource(
        options.seed,
        GenerateOptions(
            surfaces=frozenset(options.surfaces),
            advices=options.advices,
            poison=all(map(is_guest, options.targets)),
        ),
    )
    facts = (kernels[target_of(index // BATCH, len(kernels))] for index in range(count))
    met = count_met(map(source.program, range(count)), facts)
    return Fuzzed(count, f"of the {done:,} programs of {campaign}", met)


def _read_campaign(path: Path) -> tuple[CampaignOptions, int, list[KernelFacts]]:
    try:
        value = msgspec.json.decode(path.read_bytes())
        options = msgspec.convert(value["options"], CampaignOptions)
        facts = [
            msgspec.convert(value["targets"][t]["facts"], KernelFacts) for t in options.targets
        ]
        return options, int(value["account"]["done"]), facts
    except OSError as error:
        raise InputError(f"--campaign {path}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise InputError(
            f"--campaign {path}: {error}: name the JSON that `madvet fuzz --json FILE` wrote"
        ) from error


def _list(trace: Trace, sweeps: SweepCount, fuzzed: Fuzzed) -> None:
    width = max(map(len, load()))
    for chapter, rows in chapters().items():
        click.echo(f"{chapter.replace('_', ' '):<{width}}  cases   sweep    fuzz  since  surfaces")
        for row in rows:
            fuzz = fuzzed.count(row.id)
            numbers = f"{len(trace.marked.get(row.id, ())):>5} {sweeps.programs[row.id]:>7,}"
            numbers += f" {'-' if fuzz is None else f'{fuzz:,}':>7}"
            surfaces = ", ".join(surface.value for surface in row.surfaces)
            until = f" to {row.until}" if row.until else ""
            click.echo(
                f"  {row.id:<{width - 2}}  {numbers}  {row.since or '-':<5}{until}  {surfaces}"
            )
    proved = sum(ident in trace.marked for ident in load())
    click.echo(f"{len(load())} requirements, {proved} with a directed case")
    if fuzzed.met is not None:
        missed = sum(not fuzzed.met[ident] for ident in load())
        click.echo(f"fuzz: {fuzzed.programs:,} {fuzzed.of}; {missed} requirements were not met")


def _show(row: Requirement, trace: Trace, sweeps: SweepCount, fuzzed: Fuzzed) -> None:
    chapter = next(name for name, rows in chapters().items() if row in rows)
    click.echo(row.id)
    click.echo(textwrap.indent(textwrap.fill(row.text, WIDTH - 2), "  "))
    lines = {
        "source": row.source,
        "surfaces": ", ".join(surface.value for surface in row.surfaces),
        "chapter": f"conformance/spec/requirements/{chapter}.toml",
        "releases": f"{row.since or 'all'}{f' to {row.until}' if row.until else ' on'}"
        if row.since or row.until
        else "all",
        "held by": row.held_by,
        "decided in": ", ".join(trace.cited.get(row.id, ())),
    }
    for name, words in lines.items():
        if words:
            click.echo(f"{name + ':':<12}{words}")
    cases = trace.marked.get(row.id, ())
    click.echo(f"{'cases:':<12}{len(cases)}")
    for case in cases[:CASES_SHOWN]:
        click.echo(f"  {case}")
    if len(cases) > CASES_SHOWN:
        click.echo(f"  and {len(cases) - CASES_SHOWN} more")
    first = sweeps.first.get(row.id)
    more = f", such as {first}" if first else ""
    click.echo(f"{'sweep:':<12}{sweeps.programs[row.id]:,} programs{more}")
    count = fuzzed.count(row.id)
    if count is not None:
        click.echo(f"{'fuzz:':<12}{count:,} of {fuzzed.programs:,} {fuzzed.of}")


def _json(trace: Trace, sweeps: SweepCount, fuzzed: Fuzzed, found: list[Problem]) -> dict[str, Any]:
    return {
        "format": JSON_FORMAT,
        "fuzz": {"programs": fuzzed.programs, "of": fuzzed.of},
        "requirements": [
            {
                "id": row.id,
                "chapter": chapter,
                "text": row.text,
                "source": row.source,
                "surfaces": [surface.value for surface in row.surfaces],
                "since": row.since,
                "until": row.until,
                "held_by": row.held_by,
                "decided_in": trace.cited.get(row.id, ()),
                "cases": trace.marked.get(row.id, ()),
                "sweep_programs": sweeps.programs[row.id],
                "fuzz_programs": fuzzed.count(row.id),
            }
            for chapter, rows in chapters().items()
            for row in rows
        ],
        "problems": [
            {"rule": problem.rule, "where": problem.where, "what": problem.what}
            for problem in found
        ],
    }
