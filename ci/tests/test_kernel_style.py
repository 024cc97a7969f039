"""The kernel's own style checker on kernel/, where an unpacked source tree is at hand.

MADVET_LINUX_TREES names such trees, separated by colons; the last one's checker is used.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "kernel"
TREES = [Path(name) for name in os.environ.get("MADVET_LINUX_TREES", "").split(":") if name]
SOURCES = sorted(FOLDER.glob("*.[ch]"))


def test_there_are_sources() -> None:
    assert "madvise_ranges.c" in [path.name for path in SOURCES]


@pytest.mark.skipif(not TREES, reason="MADVET_LINUX_TREES names no unpacked Linux trees")
@pytest.mark.skipif(shutil.which("perl") is None, reason="no perl, which checkpatch.pl needs")
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_checkpatch_has_nothing_to_say(path: Path) -> None:
    command = [str(TREES[-1] / "scripts/checkpatch.pl"), "--no-tree", "--strict"]
    if path.stem.endswith(("_mutants", "_past")):  # tables that are expanded in several ways
        command.append("--ignore=COMPLEX_MACRO,MACRO_ARG_REUSE")
    command += ["-f", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=TREES[-1])
    assert done.returncode == 0, done.stdout
    assert "0 errors, 0 warnings, 0 checks" in done.stdout
