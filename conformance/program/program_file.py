"""Program files on disk: what a person names on a command line, read with every error in words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from conformance.program.text import FILE_BYTES_MAX, Document, loads
from conformance.program.text_table import ProgramTextError

SUFFIX: Final = ".toml"


def read_program(path: Path, guest: bool = False) -> Document:
    """The document in a file. Raises ProgramTextError for one that cannot be read or used."""
    try:
        # Only a regular file has an end for sure: reading a pipe or a device could wait for ever.
        if not path.is_file():
            what = "is not a file" if path.exists() else "does not exist"
            raise ProgramTextError(f"{path}: {what}; give a program file ({SUFFIX})")
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ProgramTextError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:  # a NUL byte in the name
        raise ProgramTextError(f"{str(path)!r} is no name that a file can have") from None
    return loads(data, str(path), guest)


def program_paths(names: Iterable[Path]) -> list[Path]:
    """The program files that names stand for: files as they are, folders as the program files
    anywhere below them, in order of name. Raises ProgramTextError for a folder without any."""
    out: list[Path] = []
    for name in names:
        if not _is_folder(name):
            out.append(name)
            continue
        found = sorted(path for path in name.rglob("*" + SUFFIX) if path.is_file())
        if not found:
            raise ProgramTextError(f"{name}: holds no program files ({SUFFIX})")
        out += found
    return out


def _is_folder(name: Path) -> bool:
    """Is it one for sure? What cannot be looked at is left for read_program() to explain."""
    try:
        return name.is_dir()
    except OSError:
        return False
