"""Builds by what went into them: found again, published whole or not at all, old ones removed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from ci.kernels.catalogue import Flavour
from ci.kernels.commands import KernelError
from conformance.target.guest_images import (
    CONFIG_FILE,
    DIGEST_LENGTH,
    IMAGE_FILE,
    MANIFEST_FILE,
    Image,
    Manifest,
    read_image,
)
from conformance.target.target import TargetError

KEPT: Final = 5  # builds of a flavour: of checkouts side by side, of campaigns still running
LEFTOVER_SECONDS: Final = 86400
BUILD_RULES: Final = ("catalogue.py", "make.py")  # of this room: how a kernel is built


def build_digest(flavour: Flavour, source: str, kernel_digest: str, compiler: str) -> str:
    """A name for what will come out: sources, the call in them, configuration, how it is built,
    compiler. Another byte anywhere: another name."""
    room = Path(__file__).parent
    digest = hashlib.sha256(repr((flavour, source, kernel_digest, compiler)).encode())
    for path in [*flavour.fragment_paths, *(room / name for name in BUILD_RULES)]:
        data = path.read_bytes()
        digest.update(f"\n{path.name} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:DIGEST_LENGTH]


def build_folder(kernels: Path, flavour: Flavour, digest: str) -> Path:
    """Where a build lies, or will."""
    return kernels / f"{flavour.name}-{digest}"


def cached(folder: Path) -> Image | None:
    """The build in a folder, if it is there and whole. A damaged one is built again."""
    try:
        return read_image(folder) if folder.is_dir() else None
    except TargetError:
        return None


def publish(folder: Path, image: Path, config: Path | None, manifest: Manifest) -> Image:
    """Put a build into its folder and make it the current one of its flavour. config: None if
    what it was built with is not known.

    Raises KernelError; then nothing is published, and what was current still is.
    """
    kernels = folder.parent
    try:
        with tempfile.TemporaryDirectory(prefix=".building-", dir=kernels) as work:
            ready = Path(work) / "ready"
            ready.mkdir(mode=0o755)
            shutil.copyfile(image, ready / IMAGE_FILE)
            (ready / IMAGE_FILE).chmod(0o755)
            if config is not None:
                shutil.copyfile(config, ready / CONFIG_FILE)
            data = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
            (ready / MANIFEST_FILE).write_bytes(data + b"\n")
            if folder.exists():
                folder.rename(Path(work) / "damaged")
            ready.rename(folder)
    except OSError as error:
        raise KernelError(f"cannot keep the kernel in {folder}: {error.strerror}") from error
    make_current(folder)
    return Image(folder, manifest)


def make_current(folder: Path) -> None:
    """The newest of its flavour from now on; older ones than the newest few are removed."""
    kernels, flavour = folder.parent, folder.name.rpartition("-")[0]
    try:
        os.utime(folder)
        with tempfile.TemporaryDirectory(prefix=".current-", dir=kernels) as work:
            pointer = Path(work) / "current"
            pointer.write_text(f"{folder.name}\n", encoding="utf-8")
            pointer.rename(kernels / f"current-{flavour}")
    except OSError as error:
        raise KernelError(f"cannot make {folder} the current build: {error.strerror}") from error
    for path in builds(kernels, flavour)[KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


def builds(kernels: Path, flavour: str) -> list[Path]:
    """The folders of a flavour's builds, newest first."""
    pattern = f"{flavour}-{'[0-9a-f]' * DIGEST_LENGTH}"
    return sorted(kernels.glob(pattern), key=_age, reverse=True)


def remove_leftovers(kernels: Path) -> None:
    """Remove what builders that were killed left behind: none works that long on one thing."""
    oldest = time.time() - LEFTOVER_SECONDS
    for prefix in (".building-", ".fetching-", ".current-"):
        for path in kernels.glob(f"{prefix}*"):
            if _age(path) < oldest:
                shutil.rmtree(path, ignore_errors=True)


def size_bytes(top: Path) -> int:
    """Of all files below, as they lie on the disk; 0 if there is nothing."""
    total = 0
    for folder, _, names in os.walk(top):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total


def _age(path: Path) -> float:
    """When it was last changed, in seconds since 1970; long ago if it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
