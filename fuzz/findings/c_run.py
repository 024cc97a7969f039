"""Build a reproducer in C and run it, on this machine or in a target's guest."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from conformance.target.executor_build import ExecutorUnavailable, find_compiler
from conformance.target.executor_link import ExecutorLost
from conformance.target.guest import GuestTarget
from conformance.target.target import Target, TargetError

FLAGS: Final = ("-O1", "-Wall", "-Wextra", "-Werror")
# Nothing of its own may lie below the layout: calls on all memory from 0 on would meet it. User
# mode Linux maps from 0x40000000 on, where the heap must find room before.
STATIC: Final = ("-static", "-no-pie", "-Wl,-Ttext-segment=0x38000000")
BUILD_SECONDS_MAX: Final = 120.0  # takes 0.2 s
RUN_SECONDS_MAX: Final = 60.0  # it gives itself 20 s
FAULT_SHOWS: Final = 1
CANNOT_TELL: Final = 3


class Ran(NamedTuple):
    """How a reproducer ended. code: its exit code, see emit_c; said: what it printed."""

    code: int
    said: str


def build_c(source: Path, out: Path, static: bool = False) -> None:
    """Build a reproducer with all warnings as errors. static: needs no C library where it runs.
    Raises TargetError that says what the compiler said."""
    try:
        command = [*find_compiler(), *FLAGS, *(STATIC if static else ())]
        done = subprocess.run(
            [*command, "-o", str(out), str(source)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=BUILD_SECONDS_MAX,
            check=False,
        )
    except (ExecutorUnavailable, OSError, subprocess.TimeoutExpired) as error:
        raise TargetError(f"{source} cannot be built: {error}") from error
    if done.returncode:
        raise TargetError(f"{source} does not build:\n{done.stderr.strip()}")


def run_c(source: Path, target: Target) -> Ran:
    """Build a reproducer and run it once on the kernel of a target: in a new guest if the target
    is one, on this machine if not. Raises TargetError."""
    binary = source.with_suffix("")
    guest = isinstance(target, GuestTarget)
    build_c(source, binary, static=guest)
    if isinstance(target, GuestTarget):
        return _in_guest(target, binary)
    try:
        done = subprocess.run(
            [str(binary.absolute())],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=RUN_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TargetError(f"{binary} cannot be run: {error}") from error
    return Ran(done.returncode, done.stdout.decode(errors="replace"))


def _in_guest(target: GuestTarget, binary: Path) -> Ran:
    try:
        status, said = target.run_binary(binary)
    except ExecutorLost as lost:
        return Ran(FAULT_SHOWS, f"the kernel of the guest: {lost}\n")
    if os.WIFEXITED(status):
        return Ran(os.WEXITSTATUS(status), said.decode(errors="replace"))
    return Ran(CANNOT_TELL, f"it was killed by signal {os.WTERMSIG(status)}\n")
