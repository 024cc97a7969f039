"""Strict reading of one TOML table: every value is taken by name, typed and bounded; what is
left over is an error. Messages say what, where and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from enum import Enum
from typing import Any, Final, TypeVar

from conformance.program.text_places import (
    address_value,
    advice_value,
    length_value,
    pidfd_value,
    short,
)

E = TypeVar("E", bound=Enum)
_ABSENT: Final = object()
NUMBER_TEXT_MAX: Final = 1 << 64  # a message prints no number beyond


class ProgramTextError(Exception):
    """A program file that cannot be used. str() is one line for a person: file, line where it
    is known, place in the program, what is wrong, what is allowed."""


class PlaceError(Exception):
    """What is wrong at a place of the text; the reader of the file adds file and line.

    header: the table header the place lies under ("step", 1 for the second [[step]]), for
    finding its line; key: the key in it, or "".
    """

    def __init__(self, where: str, what: str, header: tuple[str, int], key: str) -> None:
        super().__init__(f"{where}: {what}" if where else what)
        self.header = header
        self.key = key


class Table:
    """A table being read. where: its place in words, "step 2 (madvise)"."""

    def __init__(self, value: object, where: str, header: tuple[str, int], key: str = "") -> None:
        self.where = where
        self._header = header
        self._key = key
        if not isinstance(value, dict):
            raise PlaceError(where, f"must be a table, is {type_words(value)}", header, key)
        self._left: dict[str, Any] = dict(value)
        self._known: list[str] = []

    def fail(self, key: str, what: str) -> PlaceError:
        """The error to raise for a key of this table."""
        where = f"{self.where}: {key}" if self.where else key
        return PlaceError(where, what, self._header, self._key or key)

    def has(self, key: str) -> bool:
        """Is the key there, not yet taken?"""
        return key in self._left

    def _take(self, key: str, default: object) -> Any:
        self._known.append(key)
        value = self._left.pop(key, _ABSENT)
        if value is not _ABSENT:
            return value
        if default is _ABSENT:
            meant = get_close_matches(key, self._left, 1)
            hint = f"; is {short(meant[0])} meant to be it?" if meant else ""
            raise self.fail(key, f"is missing{hint}")
        return default

    def integer(self, key: str, low: int, high: int, default: object = _ABSENT) -> Any:
        """A number in [low, high], or the default."""
        value = self._take(key, default)
        return value if value is default else self._bounded(key, value, low, high)

    def _bounded(self, key: str, value: object, low: int, high: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.fail(key, f"must be a whole number, is {type_words(value)}")
        if not low <= value <= high:
            shown = str(value) if abs(value) < NUMBER_TEXT_MAX else "beyond 64 bits"
            raise self.fail(
                key, f"is {shown}, allowed: {number_words(low)} to {number_words(high)}"
            )
        return value

    def boolean(self, key: str) -> bool:
        """true or false; false when absent."""
        value = self._take(key, False)
        if not isinstance(value, bool):
            raise self.fail(key, f"must be true or false, is {type_words(value)}")
        return value

    def string(self, key: str, default: object = _ABSENT) -> str:
        """A string, or the default."""
        value = self._take(key, default)
        if not isinstance(value, str):
            raise self.fail(key, f"must be a string in quotes, is {type_words(value)}")
        return value

    def choice(self, key: str, kind: type[E], default: object = _ABSENT) -> Any:
        """A member of an Enum of strings, by value, or the default."""
        value = self._take(key, default)
        if value is default:
            return value
        allowed = [member.value for member in kind]
        if not isinstance(value, str) or value not in allowed:
            raise self.fail(key, f"is {short(value)}, allowed: {', '.join(allowed)}")
        return kind(value)

    def address(self, key: str, default: object = _ABSENT) -> Any:
        """An address as text; a bare number is taken too."""
        return self._word(key, default, address_value, 0)

    def length(self, key: str, default: object = _ABSENT) -> Any:
        """A length as text; a bare number of bytes is taken too."""
        return self._word(key, default, length_value, 0)

    def advice(self, key: str, low: int, high: int) -> int:
        """An advice by name or number in [low, high]."""
        value: int = self._word(key, _ABSENT, advice_value, low, high)
        return value

    def pidfd(self, key: str, default: int) -> int:
        """A pidfd by name or number."""
        value: int = self._word(key, default, pidfd_value, -(1 << 31), (1 << 31) - 1)
        return value

    def _word(
        self, key: str, default: object, read: Callable[[Any], int], low: int,
        high: int = (1 << 64) - 1,
    ) -> Any:  # fmt: skip
        value = self._take(key, default)
        if value is default:
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return self._bounded(key, value, low, high)
        if not isinstance(value, str):
            raise self.fail(key, f"must be a string or a number, is {type_words(value)}")
        return self.parsed(key, value, read)

    def parsed(self, key: str, value: str, read: Callable[[Any], Any]) -> Any:
        """What a reader of text_places makes of a string of this key."""
        try:
            return read(value)
        except ValueError as error:
            raise self.fail(key, str(error)) from None

    def items(self, key: str, most: int) -> list[Any]:
        """An array of at most `most` elements; empty when absent."""
        value = self._take(key, [])
        if not isinstance(value, list):
            raise self.fail(key, f"must be an array, is {type_words(value)}")
        if len(value) > most:
            raise self.fail(key, f"has {len(value)} elements, allowed: at most {most}")
        return value

    def strings(self, key: str, most: int) -> list[str]:
        """An array of strings; empty when absent."""
        values = self.items(key, most)
        for value in values:
            if not isinstance(value, str):
                raise self.fail(key, f"must hold strings, holds {type_words(value)}")
        return values

    def inside(self, key: str, value: object, number: int | None = None) -> Table:
        """A table inside this one: the value of a key, or element `number` of it."""
        name = key if number is None else f"{key} {number + 1}"
        where = f"{self.where}: {name}" if self.where else name
        return Table(value, where, self._header, self._key or key)

    def take(self, key: str) -> object:
        """The value of a key, whatever its type. An error when absent."""
        return self._take(key, _ABSENT)

    def end(self) -> None:
        """Raises PlaceError if a key is left that nobody asked for."""
        for key in self._left:
            raise self.fail(
                short(key)[1:-1], f"is not known here, allowed: {', '.join(self._known)}"
            )


def type_words(value: object) -> str:
    """What a TOML value is, in words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    for kind, words in ((int, "a number"), (str, "a string"), (list, "an array"),
                        (dict, "a table"), (float, "a number with a fraction")):  # fmt: skip
        if isinstance(value, kind):
            return words
    return "a date or time"


def number_words(value: int) -> str:
    """A bound of a range: large ones in hexadecimal."""
    return str(value) if abs(value) < 1 << 16 else hex(value)


def line_of(text: str, header: tuple[str, int], key: str) -> int:
    """The line (1..) where a table header, or a key under it, stands; 0 when it is not found."""
    name, number = header
    lines = text.split("\n")
    start = 0
    if name:
        heads = [
            i for i, line in enumerate(lines)
            if re.match(rf"\s*\[\[?\s*{re.escape(name)}\s*\]", line)
        ]  # fmt: skip
        if number >= len(heads):
            return 0
        start = heads[number]
    for i in range(start + bool(name), len(lines)):
        if key and re.match(rf"\s*{re.escape(key)}\s*=", lines[i]):
            return i + 1
        if re.match(r"\s*\[\[?\s*\w+\s*\]", lines[i]):
            break
    return start + 1 if name else 0
