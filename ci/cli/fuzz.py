"""madvet fuzz: a campaign, its summary, and the exit code that follows from it."""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click
import msgspec

from ci.cli import exit_codes
from ci.cli.arguments import (
    Duration,
    Integer,
    Names,
    advice_names,
    append_option,
    canary_option,
    surface_names,
    target_option,
)
from ci.cli.coverage import prepare_coverage, write_coverage
from ci.cli.exit_codes import InputError
from ci.cli.opening import CANARY_ONE_IN
from ci.cli.output import FindingFolder, OutputError, prepare_json, write_json
from ci.cli.program_files import find_files, read_program_file
from ci.cli.properties import run_property
from ci.cli.summary import exit_code, print_summary, summary_json
from ci.compiled.worker import MODULE as WORKER_MODULE
from conformance.abi.advice import ADVICES
from conformance.oracle.interleave import MISSING
from conformance.oracle.verdict import BAD_KINDS
from conformance.program.program import Program
from conformance.target.registry import is_guest
from fuzz.engine.budget import GUIDED, RANDOM, SEED_MAX, CampaignOptions
from fuzz.engine.engines import ENGINES, NEEDS
from fuzz.engine.loop import Campaign
from fuzz.engine.progress import choose_progress

WORKERS_MAX: Final = 256
CANARY_WRAPPER: Final = "fuzz.mutants.canary:wrap_target"
NOT_REPRODUCED: Final = "not-reproduced"
FAIL_ON: Final = tuple(sorted(kind.value for kind in BAD_KINDS))


def _fail_on_names() -> tuple[str, ...]:
    return (*FAIL_ON, NOT_REPRODUCED, "nothing")


@click.command("fuzz")
@target_option("host")
@append_option()
@click.option(
    "--surface",
    "surfaces",
    type=Names(surface_names, "surface"),
    help="Which calls to make: madvise, process_madvise, madvise_ranges.  [default: all]",
)
@click.option(
    "--advice",
    "advices",
    type=Names(advice_names, "advice"),
    help="Advices to prefer, such as DONTNEED,COLD.  [default: all]",
)
@click.option("--time", "seconds", type=Duration(), help="Stop after this: 90, 90s, 5m, 8h.")
@click.option("--programs", type=Integer(1), help="Stop after this many programs.")
@click.option(
    "--seed", type=Integer(0, SEED_MAX), help="Same seed, same programs.  [default: random]"
)
@click.option(
    "--workers", type=Integer(1, WORKERS_MAX), help="Processes.  [default: one for each CPU]"
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for what is found.  [default: madvet-findings, made when there is something]",
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the summary as JSON to this file (docs/json.md).",
)
@click.option(
    "--fail-on",
    type=Names(_fail_on_names, "class of finding"),
    default=",".join(FAIL_ON),
    show_default=True,
    help="Classes that make the exit code 1; also: not-reproduced, nothing.",
)
@click.option(
    "--engine",
    type=click.Choice(list(ENGINES)),
    default=RANDOM,
    show_default=True,
    help="Where programs come from (docs/guidance.md); fail-nth: random ones, of whose calls every "
    "allocation fails once; signals: random ones, with signals during each call (docs/faults.md).",
)
@click.option(
    "--database",
    help="Examples of the engine hypothesis: a folder, or redis://HOST:PORT/N to share them.",
)
@click.option(
    "--corpus",
    type=click.Path(path_type=Path, file_okay=False),
    help="Of guided and atheris: what reached something new, kept in this folder and begun with.",
)
@click.option("--races", is_flag=True, help="Only programs whose calls are made at the same time.")
@click.option(
    "--coverage",
    "coverage_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Page of what was reached, by line.  [default of guided: madvet-coverage.html]",
)
@click.option(
    "--property",
    "tested",
    metavar="MODULE:TEST",
    help="With --engine atheris: run this property test of madvet's own, and no programs.",
)
@click.option("--no-shrink", is_flag=True, help="Keep programs as they were found.")
@click.option("--quiet", is_flag=True, help="No progress; the summary comes all the same.")
@canary_option()
def command(
    targets: tuple[str, ...],
    append: str,
    surfaces: tuple[str, ...] | None,
    advices: tuple[str, ...] | None,
    seconds: float | None,
    programs: int | None,
    seed: int | None,
    workers: int | None,
    out: Path | None,
    json_path: Path | None,
    fail_on: tuple[str, ...],
    engine: str,
    database: str | None,
    corpus: Path | None,
    races: bool,
    coverage_path: Path | None,
    tested: str | None,
    no_shrink: bool,
    quiet: bool,
    canary: bool,
) -> int:
    """Run random programs and judge what the kernel does.

    Without --time and --programs it runs until Ctrl-C, which lets the batches that run finish
    and then reports; a second Ctrl-C leaves at once.
    """
    values = {advice.name: advice.value for advice in ADVICES}
    options = CampaignOptions(
        targets=targets,
        append=append,
        seed=secrets.randbits(32) if seed is None else seed,
        workers=workers or _workers(races),
        surfaces=surface_names() if surfaces is None else surfaces,
        advices=tuple(values[name] for name in advices or ()),
        programs=programs,
        seconds=seconds,
        wrapper=CANARY_WRAPPER if canary else "",
        canary=CANARY_ONE_IN if canary else 0,
        shrink=not no_shrink,
        engine=engine,
        database=database or "",
        corpus=str(corpus.absolute()) if corpus else "",
        races=races,
        measure=coverage_path is not None,
    )
    try:
        _prepare_engine(options, tested)
        if tested is not None:
            return run_property(tested, seconds, programs, options.corpus, out)
        given = _given(options)
        prepare_json(json_path)
        prepare_coverage(coverage_path)
        folder = FindingFolder(out)
        return _run(options, folder, json_path, fail_on, quiet, given, coverage_path)
    except OutputError as error:
        click.echo(f"madvet fuzz: {error}", err=True)
        return exit_codes.HARNESS_FAILED


def _prepare_engine(options: CampaignOptions, tested: str | None) -> None:
    """Raises OutputError when the engine, or what it was given, cannot be had; InputError."""
    for name, given, engines in (
        ("database", options.database, ("hypothesis",)),
        ("corpus", options.corpus, (GUIDED, "atheris")),
        ("property", tested, ("atheris",)),
    ):
        if given and options.engine not in engines:
            raise InputError(f"--{name} is for --engine {' or '.join(engines)}")
    if options.races and options.engine != RANDOM:
        raise InputError(f"--races is for --engine {RANDOM}")
    if options.races and find_spec("greenlet") is None:
        raise OutputError(f"--races: {MISSING}")
    missing = NEEDS[options.engine].missing() if options.engine in NEEDS else ""
    if missing:
        raise OutputError(f"--engine {options.engine}: {missing}")


def _given(options: CampaignOptions) -> tuple[Program, ...]:
    """The programs of a guided campaign's corpus; none of one that is still to be made. Raises
    InputError."""
    folder = Path(options.corpus)
    if options.engine != GUIDED or not options.corpus or not folder.is_dir():
        return ()
    if not any(folder.iterdir()):
        return ()
    guest = all(map(is_guest, options.targets))
    return tuple(read_program_file(path, guest).program for path in find_files((folder,)))


def _workers(races: bool) -> int:
    """One for each CPU; but the actors of a race run on CPUs of their own."""
    cpus = len(os.sched_getaffinity(0))
    return max(1, cpus // 2) if races else cpus


def _run(
    options: CampaignOptions,
    folder: FindingFolder,
    json_path: Path | None,
    fail_on: Sequence[str],
    quiet: bool,
    given: Sequence[Program] = (),
    coverage_path: Path | None = None,
) -> int:
    if not quiet:
        click.echo(f"seed {options.seed}: {again(options)}", err=True)
    folder.begin(msgspec.to_builtins(options))
    with choose_progress(quiet, sys.stderr) as show:
        result = Campaign(options, folder, show, WORKER_MODULE, given).run()
    code = exit_code(result, fail_on)
    print_summary(options, result, folder, code)
    if result.reached:
        write_coverage(coverage_path, options, result)
    summary = summary_json(options, result, folder, code)
    folder.end(summary)
    if json_path is not None:
        write_json(json_path, summary)
    return code


def again(options: CampaignOptions) -> str:
    """The command that runs the same programs again."""
    names = {advice.value: advice.name for advice in ADVICES}
    words = ["madvet", "fuzz", "--target", ",".join(options.targets), "--seed", str(options.seed)]
    if options.append:
        words += ["--append", options.append]
    if options.surfaces != surface_names():
        words += ["--surface", ",".join(options.surfaces)]
    if options.advices:
        words += ["--advice", ",".join(names[value] for value in options.advices)]
    if options.races:
        words += ["--races"]
    if options.programs is not None:
        words += ["--programs", str(options.programs)]
    if options.seconds is not None:
        words += ["--time", f"{options.seconds:g}"]
    if options.engine != "random":
        words += ["--engine", options.engine]
    for name in ("database", "corpus"):
        if getattr(options, name):
            words += [f"--{name}", getattr(options, name)]
    if options.canary:
        words += ["--canary"]
    return shlex.join(words)
