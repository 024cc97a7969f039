"""Programs that a test puts in front of the machine's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest


def put_programs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, programs: Mapping[str, str]
) -> Path:
    """Shell scripts by name, found first on the path for the rest of the test."""
    bin_folder = folder / "bin"
    bin_folder.mkdir(exist_ok=True)
    for name, script in programs.items():
        path = bin_folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
    return bin_folder
