"""One step of `git bisect run`: build the tree it is called in, boot it, ask the question.

Exits with 0 for good, 1 for bad, 125 for what cannot tell, 128 to stop the bisection.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
import msgspec

from ci.gate.question import Answer, Question
from ci.kernels.build import Wanted
from ci.kernels.build import build as build_kernel
from ci.kernels.catalogue import CATALOGUE
from ci.kernels.own_tree import NotASourceTree
from conformance.oracle.identity import Identity
from conformance.program.kernel_facts import KernelFacts
from conformance.program.text import loads
from conformance.program.text_table import ProgramTextError
from conformance.target.registry import open_target
from conformance.target.target import TargetError, TargetNameError

GOOD, BAD, CANNOT, STOP = 0, 1, 125, 128
GOODS_FILE: Final = "goods"  # beside the job: a byte for each answer "good"
BUILD_SECONDS_MAX: Final = 4 * 3600
SAID_SHOWN: Final = 1000  # characters of a build that failed


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every step asks. program: the file. command, flavour: how to build."""

    program: str
    command: str
    flavour: str
    attempts: int
    good: KernelFacts
    bad: Identity | None


def build(tree: Path, command: str, flavour: str, say: Callable[[str], None]) -> str:
    """Build what is checked out; the target to run. Raises TargetError."""
    if not command:
        try:
            built = build_kernel(CATALOGUE[flavour], Wanted(tree=tree), say)
        except NotASourceTree as error:
            raise TargetError(str(error)) from error
        return f"kernel:{built.image.kernel}"
    try:
        done = subprocess.run(
            ["sh", "-c", command], cwd=tree, capture_output=True, text=True, check=False,
            timeout=BUILD_SECONDS_MAX,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TargetError(f"{command}: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-SAID_SHOWN:]
        raise TargetError(f"{command}: exit code {done.returncode}: {said}")
    lines = done.stdout.split()
    if not lines:
        raise TargetError(f"{command}: its last line must name the target to run; it said nothing")
    name = lines[-1]
    kind, _, path = name.partition(":")
    return f"{kind}:{tree / path}" if kind == "kernel" else name


def main(arguments: list[str]) -> int:
    """The step."""
    job_file = Path(arguments[0])
    try:
        job = msgspec.json.decode(job_file.read_bytes(), type=Job)
        program = loads(Path(job.program).read_bytes(), job.program, guest=True).program
    except (OSError, msgspec.DecodeError, ProgramTextError) as error:
        click.echo(f"madvet bisect: {error}", err=True)
        return STOP
    try:
        name = build(Path.cwd(), job.command, job.flavour, click.echo)
        with open_target(name) as target:
            told = Question(program, job.good, job.bad).ask(target, job.attempts)
    except (TargetError, TargetNameError) as error:
        click.echo(f"cannot tell: {error}")
        return CANNOT
    click.echo(f"{told.answer.value}, {told.shown}/{told.runs} {told.words}")
    if told.answer is Answer.GOOD:
        with (job_file.parent / GOODS_FILE).open("ab") as goods:
            goods.write(b"g")
        return GOOD
    return BAD if told.answer is Answer.BAD else CANNOT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
