"""madvet mail: a finding as the text of a mail to those who can act on it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from ci.cli import exit_codes
from ci.cli.arguments import TargetNames, append_option
from ci.cli.exit_codes import InputError
from ci.cli.opening import opened
from ci.cli.program_files import read_program_file
from ci.cli.reproducer import c_text
from conformance.oracle.ledger import Ledger, LedgerError, load_ledger
from conformance.program.call import MadviseRanges
from conformance.program.kernel_facts import RangesCall
from conformance.program.text import Document
from conformance.target.guest_images import stock_releases
from conformance.target.registry import is_guest, opener
from conformance.target.target import Target, TargetError, TargetNameError
from fuzz.engine.replay import Case, replay
from fuzz.findings.c_program import NotInC
from fuzz.findings.mail import SHOWS, Kernel, mail_text

BEHIND: Final = ", target "  # in found_on: what stands before the target's name


@click.command("mail")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--target",
    "targets",
    type=TargetNames(),
    help="Kernels to try it on, with commas between.  [default: that where it was found]",
)
@click.option(
    "--stock",
    is_flag=True,
    help="Try it on Debian's kernels too, as far as they are fetched (madvet kernels fetch).",
)
@append_option()
def command(path: Path, targets: tuple[str, ...] | None, stock: bool, append: str) -> int:
    """Write a finding as the text of a mail.

    PATH is the program file of a finding. It is run again on each of the targets, five times, and
    the mail says which kernels show it. The C reproducer is that which lies beside the file, else
    it is written for the first of the targets that can be run.
    """
    document = read_program_file(path, guest=True)
    finding = document.finding
    if finding is None:
        raise InputError(f"{path}: has no table [finding]: it is a program, not a finding")
    try:
        ledger = load_ledger()
    except LedgerError as error:
        raise InputError(str(error)) from error
    beside = path.with_suffix(".c")
    code = beside.read_text(encoding="ascii", errors="replace") if beside.is_file() else ""
    why_not = "none of the targets could be run"
    kernels = []
    names = dict.fromkeys(targets or _found_on(finding.found_on))
    if stock:
        names |= dict.fromkeys(_stock())
    for name in names:
        try:
            with opened((name,), append=append) as (target, *_):
                kernels.append(_tried(path, document, target, ledger))
                if not code:
                    code = c_text(document, target)
        except NotInC as error:
            why_not = str(error)
        except TargetError as error:
            kernels.append(Kernel(name, "", f"not run: {str(error).splitlines()[0]}"))
    click.echo(mail_text(document.program, finding, kernels, code, why_not), nl=False)
    return exit_codes.CONFORMANT


def _stock() -> tuple[str, ...]:
    """The stock kernels that are here, the oldest first. Says so when there is none."""
    releases = stock_releases()
    if not releases:
        click.echo("--stock: none is fetched: madvet kernels fetch debian:6.12", err=True)
    return tuple(f"debian:{release}" for release in releases)


def _found_on(text: str) -> tuple[str, ...]:
    """The target where it was found, if there is one of that name."""
    name = text.partition(BEHIND)[2]
    try:
        opener(name)
    except TargetNameError:
        return ()
    return (name,)


def _tried(path: Path, document: Document, target: Target, ledger: Ledger) -> Kernel:
    """What a kernel does with it. Raises TargetError."""
    calls = any(isinstance(step, MadviseRanges) for step in document.program.steps)
    if calls and is_guest(target.name) and target.facts.ranges_call is not RangesCall.KERNEL:
        return Kernel(target.name, "", f"Linux {target.facts.release} has no madvise_ranges()")
    (one,) = replay([Case(str(path), document.program, document.finding)], [target], ledger)
    release = target.facts.release
    if one.verdict.bad:
        which = SHOWS if one.same else "shows another fault"
        return Kernel(target.name, release, f"{which}, {one.shown} of {one.runs} runs")
    words = "as expected" if not one.verdict.reason else one.verdict.reason
    return Kernel(target.name, release, words)
