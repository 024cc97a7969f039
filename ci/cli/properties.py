"""madvet fuzz --engine atheris --property: a property test of madvet's own under libFuzzer."""

from __future__ import annotations

import subprocess
import sys
from math import ceil
from pathlib import Path
from typing import Final

from ci.cli import exit_codes

MODULE: Final = "fuzz.engine.fuzz_properties"
SAID: Final = (exit_codes.CONFORMANT, exit_codes.BAD_INPUT, exit_codes.HARNESS_FAILED)


def run_property(
    name: str, seconds: float | None, inputs: int | None, corpus: str, out: Path | None
) -> int:
    """Run libFuzzer on a property, in a process of its own, which it may end. The exit code: FOUND
    for whatever libFuzzer ended with. out: where it leaves the input that broke the property."""
    words = [sys.executable, "-m", MODULE, name]
    if seconds is not None:
        words.append(f"-max_total_time={ceil(seconds)}")
    if inputs is not None:
        words.append(f"-runs={inputs}")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        words.append(f"-artifact_prefix={out}/")
    if corpus:
        Path(corpus).mkdir(parents=True, exist_ok=True)
        words.append(corpus)
    code = subprocess.run(words, check=False).returncode
    return code if code in SAID else exit_codes.FOUND
