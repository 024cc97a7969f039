"""Fragments of a kernel configuration: what is wanted, and what of it a kernel gave.

Kconfig drops a symbol whose dependencies are not met without a word, and a sanitizer that is
not there finds nothing: what was wanted is always compared with what came out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

_SET: Final = re.compile(r"(CONFIG_[A-Za-z0-9_]+)=(.+)")
_UNSET: Final = re.compile(r"# (CONFIG_[A-Za-z0-9_]+) is not set")
_ESSENTIAL: Final = "# Essential"
_WANTED: Final = "# Wanted"
OFF: Final = "n"


class FragmentError(Exception):
    """A fragment does not read as one. The message names file and line."""


class Wish(NamedTuple):
    """A value that a symbol should have; essential: a kernel without it is of no use."""

    value: str
    essential: bool


class Missed(NamedTuple):
    """A wish that was not met. got: the value that came out, "n" for a symbol that is not set."""

    symbol: str
    wanted: str
    got: str
    essential: bool

    @property
    def words(self) -> str:
        """As in a list of them."""
        return f"{self.symbol}={self.wanted} (got {self.got})"


def read_fragments(paths: Iterable[Path]) -> dict[str, Wish]:
    """The wishes of several fragments; a later one replaces an earlier one.

    Raises FragmentError; OSError for a file that cannot be read.
    """
    wishes: dict[str, Wish] = {}
    for path in paths:
        essential: bool | None = None
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            text = line.strip()
            if text in (_ESSENTIAL, _WANTED):
                essential = text == _ESSENTIAL
            elif text and not text.startswith("#"):
                found = _SET.fullmatch(text)
                if found is None:
                    raise FragmentError(f"{path}:{number}: neither CONFIG_X=value nor a comment")
                if essential is None:
                    raise FragmentError(
                        f"{path}:{number}: stands under neither '{_ESSENTIAL}' nor '{_WANTED}'"
                    )
                wishes[found[1]] = Wish(found[2], essential)
    return wishes


def read_config(text: str) -> dict[str, str]:
    """The symbols of a .config that are set, and their values."""
    return {found[1]: found[2] for found in map(_SET.fullmatch, text.splitlines()) if found}


def with_wishes(text: str, wishes: Mapping[str, Wish]) -> str:
    """A .config in which each wish replaces what was said about its symbol."""
    kept = []
    for line in text.splitlines():
        found = _SET.fullmatch(line) or _UNSET.fullmatch(line)
        if found is None or found[1] not in wishes:
            kept.append(line)
    for symbol, wish in wishes.items():
        kept.append(f"# {symbol} is not set" if wish.value == OFF else f"{symbol}={wish.value}")
    return "".join(f"{line}\n" for line in kept)


def missed(wishes: Mapping[str, Wish], text: str) -> tuple[Missed, ...]:
    """The wishes that a .config does not meet, in their order."""
    got = read_config(text)
    return tuple(
        Missed(symbol, wish.value, got.get(symbol, OFF), wish.essential)
        for symbol, wish in wishes.items()
        if got.get(symbol, OFF) != wish.value
    )
