"""madvet gate: what changed between two kernels, and was that expected?"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from ci.cli import exit_codes
from ci.cli.arguments import Duration, Integer, TargetNames
from ci.cli.exit_codes import InputError
from ci.cli.output import OutputError, prepare_json, write_json
from ci.cli.report_options import report_options
from ci.gate.ending import Weight, exit_code, keys, verdict_words
from ci.gate.gate_tree import gate_tree
from ci.gate.programs import Programs
from ci.gate.run import NO_BUDGET, Gate, Say, digest_of
from ci.gate.state import Options, State, StateError, load_state
from ci.gate.words import report_lines
from ci.report.outputs import OutputError as ReportError
from ci.report.outputs import Wanted, madvet_version, prepare, write_reports
from conformance.oracle.ledger import Ledger, LedgerError, load_ledger
from conformance.program.text_table import ProgramTextError
from conformance.target.registry import is_guest, open_target
from conformance.target.target import Target, TargetError
from fuzz.engine.budget import SEED_MAX

PROGRAMS: Final = 2000
PROGRAMS_MAX: Final = 10_000_000
FOLDER: Final = Path("madvet-gate")
JSON_FORMAT: Final = 1


@click.command("gate")
@click.option("--base", required=True, type=TargetNames(), help="The kernel as it was.")
@click.option("--head", required=True, type=TargetNames(), help="The kernel as it is now.")
@click.option("--budget", type=Duration(), help="All of it in so much time: 300, 5m.")
@click.option(
    "--programs",
    type=Integer(0, PROGRAMS_MAX),
    default=PROGRAMS,
    show_default=True,
    help="Fresh programs, besides corpus and sweep.",
)
@click.option(
    "--seed", type=Integer(0, SEED_MAX), default=1, show_default=True, help="Of fresh programs."
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER,
    show_default=True,
    help="For state and reproducers.",
)
@click.option("--resume", is_flag=True, help="Go on with what the folder holds.")
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report as JSON to this file (docs/json.md).",
)
@report_options
@click.option("--quiet", is_flag=True, help="No progress; the report comes all the same.")
def command(
    base: tuple[str, ...],
    head: tuple[str, ...],
    budget: float | None,
    programs: int,
    seed: int,
    folder: Path,
    resume: bool,
    json_path: Path | None,
    ktap: Path | None,
    junit: Path | None,
    kcidb: Path | None,
    html: Path | None,
    quiet: bool,
) -> int:
    """Run the same programs on two kernels; say what changed, and whether that was expected.

    BASE and HEAD are targets: host, shim, uml, qemu, kernel:FILE for a bzImage, and so on. What
    only one of them can run is listed as left out. Exit code 1 for a regression and for a change
    that nothing explains; 3 when a kernel does not boot or the harness fails; 4 when there was
    nothing that both can run.
    """
    for option, names in (("--base", base), ("--head", head)):
        if len(names) != 1:
            raise InputError(f"{option} takes one target, not {len(names)}")
    wanted = Wanted(ktap, junit, kcidb, html)
    options = Options(base[0], head[0], seed, programs, "")
    try:
        prepare_json(json_path)
        prepare(wanted, "gate", (base[0], head[0]))
        state, ledger = _run(options, budget, folder, resume, _progress(quiet))
        write_reports(gate_tree(state, madvet_version()), wanted)
        return _report(state, ledger, folder, json_path)
    except (OutputError, ReportError) as error:
        click.echo(f"madvet gate: {error}", err=True)
        return exit_codes.HARNESS_FAILED


def _run(
    options: Options, budget: float | None, folder: Path, resume: bool, say: Say
) -> tuple[State, Ledger]:
    """Everything but the reports. Raises InputError, TargetError."""
    try:
        ledger = load_ledger()
        state = load_state(folder) if resume else None
        options = msgspec.structs.replace(options, digest=digest_of())
        _check_resumed(folder, state, options)
        guests = is_guest(options.base) and is_guest(options.head)
        listed = Programs(options.seed, options.programs, guests)
    except (LedgerError, StateError, ProgramTextError) as error:
        raise InputError(str(error)) from error
    with ExitStack() as stack:
        old, new = _opened(stack, "base", options.base), _opened(stack, "head", options.head)
        try:
            gate = Gate(old, new, ledger, listed, folder, state, options, budget or NO_BUDGET, say)
            return gate.run(), ledger
        except StateError as error:
            raise InputError(str(error)) from error


def _opened(stack: ExitStack, side: str, name: str) -> Target:
    try:
        return stack.enter_context(open_target(name))
    except TargetError as error:
        raise TargetError(f"--{side} {name}: {error}") from error


def _check_resumed(folder: Path, state: State | None, options: Options) -> None:
    """Only the same comparison can go on."""
    if state is None or state.options == options:
        return
    ours, theirs = (msgspec.to_builtins(one) for one in (options, state.options))
    different = ", ".join(f"{k} {theirs[k]}, now {ours[k]}" for k in ours if ours[k] != theirs[k])
    raise InputError(f"{folder} holds another gate ({different}): name another --folder")


def _progress(quiet: bool) -> Say:
    def say(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    return say


def _report(state: State, ledger: Ledger, folder: Path, json_path: Path | None) -> int:
    for line in report_lines(state, ledger, folder):
        click.echo(line)
    code = exit_code(state)
    if json_path is not None:
        write_json(json_path, report_json(state))
    if state.failure:
        click.echo(f"madvet gate: {state.failure}", err=True)
    return code


def report_json(state: State) -> dict[str, Any]:
    """The whole state, and what follows from it."""
    return {
        "format": JSON_FORMAT,
        "exit_code": exit_code(state),
        "verdict": verdict_words(state),
        **{kind.value: keys(state, kind) for kind in Weight},
        "stale": state.stale(),
        "gate": msgspec.to_builtins(state),
    }
