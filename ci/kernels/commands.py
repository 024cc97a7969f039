"""Runs the programs that fetch, unpack and build kernels, and says what they complained of."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from conformance.target.target import TargetError

# A make that called this one, or the user's shell, must not decide what is built.
FOREIGN: Final = (
    "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ARCH", "SUBARCH", "CROSS_COMPILE",
    "KBUILD_OUTPUT", "KCONFIG_CONFIG", "KCONFIG_ALLCONFIG", "KCFLAGS", "KAFLAGS", "LLVM", "O",
)  # fmt: skip
NO_SPACE: Final = "No space left on device"


class KernelError(TargetError):
    """A kernel could not be had: exit code 3. The message says what failed and what to do."""


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the programs see: messages in English, nothing of a make above."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return {**kept, "LC_ALL": "C", "LANGUAGE": "C", **(more or {})}


def run(
    command: Sequence[str | Path],
    what: str,
    seconds_max: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a command to its end; its standard output.

    what: "unpack the sources", as in "cannot ...". Raises KernelError: it is not there, it
    failed, or it took longer than seconds_max.
    """
    try:
        done = subprocess.run(
            [str(word) for word in command], cwd=cwd, env=environment(env), check=False,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=seconds_max,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise KernelError(f"cannot {what}: there is no {command[0]} on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise KernelError(
            f"cannot {what}: {command[0]} took more than {seconds_max:.0f} s"
        ) from error
    except OSError as error:
        raise KernelError(f"cannot {what}: {command[0]}: {error.strerror}") from error
    if done.returncode:
        raise KernelError(f"cannot {what}: {complaint(done.stdout, done.stderr, done.returncode)}")
    return done.stdout


def complaint(out: str, err: str, code: int) -> str:
    """The telling lines of a program that failed, on one line."""
    lines = [line.strip() for line in (err + "\n" + out).splitlines() if line.strip()]
    if any(NO_SPACE in line for line in lines):
        lines = [line for line in lines if NO_SPACE in line][:1] + ["free some, and run it again"]
    errors = [line for line in lines if line.startswith("E: ")] or lines[:3]
    return "; ".join(errors[:3]) or f"exit code {code}, and no reason given"
