"""Files that are whole or not there: written beside, synced, renamed into place, folder synced."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

MODE: int = 0o644


def write_atomically(path: Path, data: bytes) -> None:
    """Make or replace a file. After a return it survives a power cut; after an error, or a kill at
    any point, the old file is there unchanged, or none. Raises OSError."""
    descriptor, name = tempfile.mkstemp(
        prefix=f".{path.name[:80]}.", suffix=".tmp", dir=path.parent
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), MODE)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
