"""How long commands take, as a person waits for them: wall time of whole processes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from ci.report.figure import AT_MOST, Figure
from conformance.program.text import dumps
from fuzz.generate.programs import ProgramSource

HELP_SECONDS: Final = 0.2
REPLAY_SECONDS: Final = 2.0
REPLAY_FILES: Final = 1000
ROUNDS: Final = 5
SEED: Final = 3
MADVET: Final = Path(sys.executable).with_name("madvet")


def command_figures() -> list[Figure]:
    """--help, and the replay of many corpus files; the best of a few rounds.

    Raises CalledProcessError when a command fails.
    """
    how = f"best of {ROUNDS}"
    with tempfile.TemporaryDirectory() as folder:
        source = ProgramSource(SEED)
        for index in range(REPLAY_FILES):
            text = dumps(source.program(index), f"Program {index} of seed {SEED}.")
            (Path(folder) / f"program-{index:04}.toml").write_text(text, encoding="utf-8")
        replay = _best_seconds(["replay", folder])
    return [
        Figure("madvet --help", _best_seconds(["--help"]), "s", AT_MOST, HELP_SECONDS, how),
        Figure(f"replay of {REPLAY_FILES} files", replay, "s", AT_MOST, REPLAY_SECONDS, how),
    ]


def _best_seconds(arguments: list[str]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.monotonic()
        subprocess.run(
            [str(MADVET), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        best = min(best, time.monotonic() - start)
    return best
