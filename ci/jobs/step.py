"""One step of a job: a command with a time limit, its output in a file, and what it came to."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click

from ci.cli import exit_codes

CHECKOUT: Final = Path(__file__).resolve().parents[2]
MADVET: Final = (sys.executable, "-m", "ci.cli.main")
TAIL_LINES: Final = 15  # of the output of a step that did not end well
TIMED_OUT: Final = 124  # as timeout(1) has it
WORDS: Final = {
    exit_codes.CONFORMANT: "ok",
    exit_codes.FOUND: "FOUND SOMETHING",
    exit_codes.BAD_INPUT: "bad input",
    exit_codes.HARNESS_FAILED: "the harness failed",
    exit_codes.NOTHING_RAN: "nothing could run",
    TIMED_OUT: "more than its time",
}


class Bad(NamedTuple):
    """Something that a step found. name: of the case, the program file, or the finding's
    identity. program: its file, None for a case. times: how often to run it to see it again."""

    step: str
    target: str
    name: str
    program: Path | None = None
    times: int = 5


class Done(NamedTuple):
    """A step. code: its exit code; None for one that was left out, for the reason `words`."""

    name: str
    code: int | None
    words: str
    seconds: float = 0.0
    bad: tuple[Bad, ...] = ()


def run_step(
    name: str, command: Sequence[str], log: Path, seconds_max: float, tree: Path = CHECKOUT
) -> Done:
    """Run a command of the checkout `tree`, and say so. Its output goes to `log`."""
    click.echo(f"== {name}")
    began = time.monotonic()
    code = run_logged(command, log, seconds_max, tree)
    seconds = time.monotonic() - began
    words = WORDS.get(code, f"ended with {code}")
    click.echo(f"-- {name}: {words}, {seconds:.0f} s")
    if code not in (exit_codes.CONFORMANT, exit_codes.NOTHING_RAN):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        click.echo("\n".join(f"   | {line}" for line in lines[-TAIL_LINES:]))
    return Done(name, code, words, seconds)


def left_out(name: str, reason: str) -> Done:
    """A step that is not run, in one line."""
    click.echo(f"== {name}: left out: {reason}")
    return Done(name, None, reason)


def run_logged(command: Sequence[str], log: Path, seconds_max: float, tree: Path = CHECKOUT) -> int:
    """The exit code; TIMED_OUT when it had to be ended. Nothing that it started is left."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=environment(tree), cwd=tree, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(seconds_max)
        except subprocess.TimeoutExpired:
            code = TIMED_OUT
        finally:
            _end_group(process)
    return code if code >= 0 else 128 - code


def environment(tree: Path) -> Mapping[str, str]:
    """The packages of `tree` come first, whichever checkout the interpreter belongs to."""
    return {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended, and all that it started
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
