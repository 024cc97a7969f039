"""madvet history: past mistakes of the kernel, and which kernels still have them."""

from __future__ import annotations

import click

from ci.cli import exit_codes
from ci.cli.arguments import TargetNames
from ci.cli.exit_codes import InputError
from ci.cli.opening import opened
from ci.gate.history import Bug, Checked, Seen, check, load_history, planted_in
from ci.gate.index import IndexFileError, program_at
from fuzz.mutants.shim_mutants import MutantTableError


@click.command("history")
@click.option("--target", "targets", type=TargetNames(), help="Try these kernels, by their names.")
def command(targets: tuple[str, ...] | None) -> int:
    """List past mistakes of the kernel; with --target, see whether a kernel has them.

    Each is a program in corpus/history. Exit code 1 when a kernel does otherwise than the index
    says of its release: it fails where it was seen to pass, or the other way round. Mistakes
    that no stock kernel has any more are brought back by guests with planted faults
    (uml:mutant=201; kernel/madvise_ranges_past.h lists them).
    """
    try:
        bugs = load_history()
        programs = {bug.id: program_at(bug.program) for bug in bugs}
        planted = {name: planted_in(name) for name in targets or ()}
    except (IndexFileError, MutantTableError) as error:
        raise InputError(str(error)) from error
    if targets is None:
        for bug in bugs:
            click.echo(_row(bug))
        return exit_codes.CONFORMANT
    wrong = ran = 0
    for name in targets:
        with opened((name,)) as (target,):
            for bug in bugs:
                checked = check(bug, programs[bug.id], target)
                expected = bug.expected(target.facts.release, planted[name])
                as_known = expected is None or checked.seen in (expected, Seen.SKIPPED)
                ran += checked.seen is not Seen.SKIPPED
                wrong += not as_known
                click.echo(_line(name, bug, checked, expected))
    if wrong:
        click.echo(f"{wrong} are not as the index says")
        return exit_codes.FOUND
    return exit_codes.CONFORMANT if ran else exit_codes.NOTHING_RAN


def _row(bug: Bug) -> str:
    brought_back = f"brought back by the mutant {bug.mutant}"
    fails = f"fails on {', '.join(bug.fails)}" if bug.fails else brought_back
    fixed = f"fixed in {bug.fixed}" if bug.fixed else "not fixed"
    return f"{bug.id:<32} {fixed:<14} {fails}\n    {bug.title}\n    corpus/{bug.program}"


def _line(name: str, bug: Bug, checked: Checked, expected: Seen | None) -> str:
    line = f"{name:<12} {checked.seen.value:<12} {checked.shown}/{checked.runs}  {bug.id}"
    if expected is not None and checked.seen not in (expected, Seen.SKIPPED):
        line += f"  BUT IT WAS SEEN THAT IT {expected.value}"
    return f"{line}\n    {checked.words}" if checked.words else line
