"""index.toml of a folder of the corpus: what is known of the programs beside it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from ci.gate.programs import CORPUS, INDEX
from conformance.oracle.expected_change import FLAT_NAMES, FactValue
from conformance.oracle.ledger_values import at_least, at_most
from conformance.program.program import Program
from conformance.program.text import loads
from conformance.program.text_table import PlaceError, ProgramTextError, Table, line_of, type_words
from conformance.program.validate import validate
from conformance.target.registry import is_guest

T = TypeVar("T")
FORMAT: Final = 1
ENTRIES_MAX: Final = 1000


class IndexFileError(Exception):
    """An index, or a program it names, cannot be used. str() says where, and what is allowed."""


def load_index(
    folder: Path, key: str, read_one: Callable[[Table], T], id_of: Callable[[T], str]
) -> tuple[T, ...]:
    """All [[key]] of a folder's index, in order of the file. Raises IndexFileError."""
    path = folder / INDEX
    try:
        text = path.read_text(encoding="utf-8")
        top = Table(tomllib.loads(text), "", ("", 0))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise IndexFileError(f"{path}: {error}") from error
    try:
        if top.integer("format", 0, 1 << 31) != FORMAT:
            raise top.fail("format", f"this version of madvet reads only format = {FORMAT}")
        entries = tuple(
            read_one(Table(value, f"{key} {i + 1}", (key, i)))
            for i, value in enumerate(top.items(key, ENTRIES_MAX))
        )
        top.end()
    except PlaceError as error:
        line = line_of(text, error.header, error.key)
        raise IndexFileError(f"{path}:{line}: {error}" if line else f"{path}: {error}") from None
    ids = [id_of(entry) for entry in entries]
    twice = sorted({ident for ident in ids if ids.count(ident) > 1})
    if twice:
        raise IndexFileError(f"{path}: {', '.join(twice)} stands twice; ids are unique")
    return entries


def read_facts(table: Table) -> dict[str, FactValue]:
    """facts: by flat name; {} when absent. Raises PlaceError."""
    if not table.has("facts"):
        return {}
    value = table.take("facts")
    if not isinstance(value, dict) or not value:
        raise table.fail("facts", "must be a table such as { populate_stops_at_gap = true }")
    for name, wanted in value.items():
        if name not in FLAT_NAMES:
            raise table.fail("facts", f'knows no fact "{name}"; see docs/facts.md')
        if not isinstance(wanted, bool | int | str):
            raise table.fail("facts", f"{name} cannot be {type_words(wanted)}")
    return dict(value)


def program_at(name: str, corpus: Path = CORPUS) -> Program:
    """A program of the corpus, by its path below it; not_for() says where it may run. Raises
    IndexFileError."""
    path = corpus / name
    try:
        return loads(path.read_bytes(), str(path), guest=True).program
    except OSError as error:
        raise IndexFileError(f"{path}: cannot be read: {error.strerror}") from error
    except ProgramTextError as error:
        raise IndexFileError(str(error)) from error


def not_for(program: Program, target_name: str) -> str:
    """Why a program must not be run there; "" if it may: some would harm a machine that people
    use."""
    problems = [] if is_guest(target_name) else validate(program)
    return problems[0].what if problems else ""


def is_among(release: str, known: tuple[str, ...]) -> bool:
    """Is a kernel's release one of these, as far as they are written?"""
    return any(at_least(release, one) and at_most(release, one) for one in known)
