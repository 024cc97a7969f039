"""Values that entries of the ledger have in common, read strictly: ids, words, releases, patterns
of identities."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from conformance.oracle.identity import PARTS
from conformance.program.text_table import Table

PATTERNS_MAX: Final = 32  # of one entry
RELEASES_MAX: Final = 64  # of one list
_ID: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_RELEASE: Final = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){1,2}")
_FILE: Final = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*\.toml")


def read_id(table: Table) -> str:
    """The id: words of a-z and 0-9. Raises PlaceError, as all of these do."""
    ident = table.string("id")
    if not _ID.fullmatch(ident):
        raise table.fail("id", f'is "{ident}", allowed: words of a-z and 0-9 joined by "-"')
    return ident


def read_words(table: Table, keys: Sequence[str]) -> list[str]:
    """Texts that must say something."""
    texts = [table.string(key).strip() for key in keys]
    for key, text in zip(keys, texts, strict=True):
        if not text:
            raise table.fail(key, "is empty; what is known says why and where to read it")
    return texts


def read_patterns(table: Table) -> tuple[str, ...]:
    """identity: at least one pattern of five parts."""
    patterns = table.strings("identity", PATTERNS_MAX)
    if not patterns:
        raise table.fail("identity", "must hold at least one pattern")
    for pattern in patterns:
        if pattern.count("/") != PARTS - 1:
            raise table.fail(
                "identity",
                f'"{pattern}" must have {PARTS} parts: surface/advice/kinds/rule/difference',
            )
    return tuple(patterns)


def read_release(table: Table, key: str) -> str:
    """A release, or "" when absent."""
    text = table.string(key, "")
    if text and not _RELEASE.fullmatch(text):
        raise table.fail(key, f'is "{text}", allowed: a release such as "6.18" or "6.12.55"')
    return text


def read_releases(table: Table, key: str) -> tuple[str, ...]:
    """A list of releases, the older first, each once; () when absent."""
    releases = table.strings(key, RELEASES_MAX)
    for text in releases:
        if not _RELEASE.fullmatch(text):
            raise table.fail(key, f'holds "{text}", allowed: releases such as "6.18", "6.12.55"')
    numbers = [numbers_of(text) for text in releases]
    if numbers != sorted(set(numbers)):
        raise table.fail(key, "must name the older release first, each once")
    return tuple(releases)


def read_file(table: Table, key: str, default: str | None = None) -> str:
    """The path of a program below corpus/; default: what stands for none."""
    path = table.string(key) if default is None else table.string(key, default)
    if path != default and not _FILE.fullmatch(path):
        raise table.fail(key, f'is "{path}", allowed: a path below corpus/ such as "seeds/a.toml"')
    return path


def numbers_of(release: str) -> tuple[int, ...]:
    """(6, 18, 44) of "6.18.44-generic"; () of ""."""
    match = re.match(r"[0-9]+(\.[0-9]+)*", release)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def at_least(release: str, bound: str) -> bool:
    """Is a kernel's release the bound or later? As far as the bound is written."""
    wanted = numbers_of(bound)
    return numbers_of(release)[: len(wanted)] >= wanted


def at_most(release: str, bound: str) -> bool:
    """Is a kernel's release the bound or earlier? As far as the bound is written."""
    wanted = numbers_of(bound)
    return numbers_of(release)[: len(wanted)] <= wanted
