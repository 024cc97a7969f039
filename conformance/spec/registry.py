"""The registry: every requirement, by id, read from the chapters beside this file."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from conformance.spec.requirement import Requirement

FOLDER: Final = Path(__file__).parent / "requirements"
_ID: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SERIES: Final = re.compile(r"[0-9]+\.[0-9]+(\.[0-9]+)?|")


class RegistryError(Exception):
    """A chapter that cannot be read. str() names the file and what is wrong in it."""


class _Chapter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    requirement: tuple[Requirement, ...]


@cache
def chapters(folder: Path = FOLDER) -> dict[str, tuple[Requirement, ...]]:
    """Requirements by the name of their chapter. Raises RegistryError."""
    return {path.stem: read_chapter(path) for path in sorted(folder.glob("*.toml"))}


@cache
def load(folder: Path = FOLDER) -> dict[str, Requirement]:
    """Requirements by id, chapters in order of their names. Raises RegistryError."""
    out: dict[str, Requirement] = {}
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise RegistryError(f"{folder}: holds no chapters (*.toml); is the installation whole?")
    for path in paths:
        for row in read_chapter(path):
            if row.id in out:
                raise RegistryError(f"{path}: the id {row.id} stands twice; ids are unique")
            out[row.id] = row
    return out


def read_chapter(path: Path) -> tuple[Requirement, ...]:
    """The rows of one chapter. Raises RegistryError."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        rows = msgspec.convert(tables, _Chapter).requirement
    except OSError as error:
        raise RegistryError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, msgspec.ValidationError) as error:
        raise RegistryError(f"{path}: {error}") from None
    for row in rows:
        if not _ID.fullmatch(row.id):
            raise RegistryError(f"{path}: {row.id!r} is no id: words of a-z and 0-9, joined by -")
        if not (row.text.strip() and row.source.strip() and row.surfaces):
            raise RegistryError(f"{path}: {row.id} lacks its text, source or surfaces")
        for bound in (row.since, row.until):
            if not _SERIES.fullmatch(bound):
                raise RegistryError(f"{path}: {row.id}: {bound!r} is no release such as 6.13")
    return rows


def text_of(ident: str) -> str:
    """The text of a requirement; "" for an id that has no row. Raises RegistryError."""
    row = load().get(ident)
    return row.text if row else ""
