"""Builds native code of the hot modules into the cache, beside the key of its sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from ci.compiled.activate import native_folder
from ci.compiled.sources import (
    CHECKOUT,
    KEYED,
    cache_folders,
    module_name,
    python_files,
    source_key,
)

BUILD_SECONDS_MAX: Final = 900  # takes about 60 on one slow core
KEPT: Final = 3  # builds that stay: a campaign may still start workers from the one before


class BuildError(Exception):
    """Native code could not be built; the text says why and what to do."""


def build(root: Path = CHECKOUT) -> tuple[Path, bool]:
    """The folder with native code of the present sources, and whether it was built just now.

    Raises BuildError. Nothing in the source tree is touched; a build that is interrupted leaves
    nothing that activate() would take.
    """
    there = native_folder(root)
    if there is not None:
        return there, False
    cache = _writable(cache_folders(root))
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as name:
        work = Path(name)
        _copy_sources(root, work)
        key = source_key(work)  # of the copy: somebody may be editing the sources
        _run(work)
        ready = work / "ready"
        ready.mkdir()
        for path in sorted((work / "built").rglob("*.so")):
            inside = path.relative_to(work / "built")
            module = module_name(inside.parent / (inside.name.split(".")[0] + ".py"))
            path.rename(ready / f"{module}.so")
        try:
            ready.rename(cache / key)
        except OSError:  # somebody built the same at the same time: theirs is as good
            if not (cache / key).is_dir():
                raise
    _drop_old(cache, key)
    return cache / key, True


def _writable(folders: tuple[Path, ...]) -> Path:
    """The first folder that can be written to, made if need be."""
    why = ""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
            why = f"{folder}: not writable"
        except OSError as error:
            why = f"{folder}: {error.strerror}"
    raise BuildError(f"nowhere to put native code ({why}); set XDG_CACHE_HOME to a folder of yours")


def _copy_sources(root: Path, work: Path) -> None:
    """What the compiler reads: it writes beside its sources, so they are copied."""
    for package in ("conformance", "fuzz"):
        (work / package).mkdir()
        shutil.copy(root / package / "__init__.py", work / package)
    for path in python_files(root, KEYED):
        (work / path.parent).mkdir(parents=True, exist_ok=True)
        shutil.copy(root / path, work / path)


def _run(work: Path) -> None:
    command = [sys.executable, "-m", "ci.compiled.extension"]
    environment = dict(os.environ, PYTHONPATH=str(CHECKOUT), PYTHONSAFEPATH="1")
    try:
        done = subprocess.run(
            command,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"the compiler took more than {BUILD_SECONDS_MAX} s") from error
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise BuildError(f"the compiler failed with status {done.returncode}:\n{tail}")


def _drop_old(cache: Path, key: str) -> None:
    """Remove all but the newest few builds of this cache."""
    builds = [path for path in cache.iterdir() if len(path.name) == len(key) and path.is_dir()]
    builds.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in builds[KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
