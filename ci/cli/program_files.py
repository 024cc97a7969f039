"""Program files named on the command line: found, read, and told apart from other TOML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ci.cli.exit_codes import InputError
from conformance.oracle.ledger import LedgerError, parse_ledger
from conformance.program.text import FILE_BYTES_MAX, Document, loads
from conformance.program.text_table import ProgramTextError

SUFFIX: Final = ".toml"
LEDGER_FOLDER: Final = "ledger"  # its files are no programs; they are checked, not run
INDEX_NAME: Final = "index.toml"  # says what is known of the programs beside it
STANDARD_INPUT: Final = "-"


def find_files(paths: tuple[Path, ...]) -> list[Path]:
    """The files named, and every *.toml below the folders named, in order of name, each once.

    Raises InputError for what does not exist, and when there is nothing at all.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found.update(dict.fromkeys(sorted(_below(path))))
        elif path.exists() or str(path) == STANDARD_INPUT:
            found[path] = None
        else:
            raise InputError(f"{path}: no such file or folder")
    if not found:
        where = ", ".join(map(str, paths))
        raise InputError(f"{where}: no program files; a program is a *{SUFFIX} file")
    return list(found)


def _below(folder: Path) -> Iterator[Path]:
    return (
        path
        for path in folder.rglob(f"*{SUFFIX}")
        if not path.name.startswith(".") and path.name != INDEX_NAME
    )


def is_for_guests(path: Path) -> bool:
    """Is it a program that only guests are to run? Of one that other targets refuse."""
    try:
        read_program_file(path, guest=True)
    except InputError:
        return False
    return True


def is_ledger(path: Path) -> bool:
    """Does a file hold known divergences, by its place?"""
    return path.parent.name == LEDGER_FOLDER


def check_ledger_file(path: Path) -> int:
    """How many entries a ledger file has. Raises InputError when it is not one."""
    try:
        return len(parse_ledger(read_bytes(path), str(path)))
    except LedgerError as error:
        raise InputError(str(error)) from error


def read_program_file(path: Path, guest: bool = False) -> Document:
    """The document in a file. guest: only kernels that can be thrown away are to run it. Raises
    InputError that says what is wrong, where."""
    try:
        return loads(read_bytes(path), str(path), guest)
    except ProgramTextError as error:
        raise InputError(str(error)) from error


def read_bytes(path: Path) -> bytes:
    """A file's bytes; one too many of a file that is too large, whatever its size. Raises
    InputError when it cannot be read."""
    try:
        if str(path) == STANDARD_INPUT:
            path = Path("/dev/stdin")
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
