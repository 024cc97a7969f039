"""Asking the executor what it finds out about its kernel: `executor --facts` prints JSON."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from conformance.program.kernel_facts import KernelFacts
from conformance.target.limits import FACTS_SECONDS_MAX
from conformance.target.target import TargetError

FIELDS: Final = frozenset(KernelFacts.__struct_fields__)


class Probed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The facts, and for each that this machine or its rights gave no way to find out, why;
    such a fact holds the value that asks least of the kernel."""

    facts: KernelFacts
    undetermined: dict[str, str]


class _Fields(msgspec.Struct, frozen=True):
    facts: dict[str, msgspec.Raw]


def probe_facts(command: Sequence[str], tmp: Path) -> Probed:
    """Run the probes, as the executor of `command` would run programs, with files in `tmp`.

    Raises TargetError when they do not end, fail, or do not answer for every fact.
    """
    full = [*command, "--facts", "--tmp", str(tmp)]
    try:
        done = subprocess.run(
            full,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=FACTS_SECONDS_MAX,
            check=False,
        )
    except OSError as error:
        raise TargetError(f"cannot start the executor {full[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise TargetError(
            f"probing this kernel did not end within {FACTS_SECONDS_MAX:.0f} s; "
            f"try by hand: {' '.join(full)}"
        ) from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise TargetError(
            f"probing this kernel failed ({_ending(done.returncode)}): "
            f"{said or 'nothing was said why'}"
        )
    return parse_facts(done.stdout)


def parse_facts(data: bytes) -> Probed:
    """The JSON of `executor --facts`, strictly: every fact, and no other. TargetError if not."""
    try:
        present = msgspec.json.decode(data, type=_Fields).facts.keys()
        probed = msgspec.json.decode(data, type=Probed)
    except msgspec.MsgspecError as error:
        raise TargetError(f"the executor's facts cannot be read: {error}") from error
    for names, what in (
        (FIELDS - present, "does not answer for"),
        (probed.undetermined.keys() - FIELDS, "excuses itself for the unknown facts"),
    ):
        if names:
            raise TargetError(
                f"the executor {what} {', '.join(sorted(names))}: "
                "its sources and conformance/program/kernel_facts.py differ"
            )
    return probed


def _ending(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
