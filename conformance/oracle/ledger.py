"""The ledger: divergences that are known, each with its reason, and the kernels it is known of.

    format = 1

    [[known]]
    id = "empty-vector-advice"
    identity = ["process_madvise/invalid/*/process-madvise-advice-invalid/result.0-not-*"]
    reason = "why the kernel does it, and that it is no mistake of ours"
    reference = "the commit, mail or source that shows it"
    since = "6.13"
    until = "6.18"

identity: patterns (*, ?) of identities. On which kernels: since and until (releases, both
included, compared as far as they are written), or facts = { name = value }, all of which must
hold. An entry that names neither is an error: nothing is known of every kernel for ever.
"""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import msgspec

from conformance.oracle.identity import PARTS, identify
from conformance.oracle.verdict import Verdict
from conformance.program.kernel_facts import KernelFacts
from conformance.program.program import Program
from conformance.program.text_table import PlaceError, Table, line_of

FORMAT: Final = 1
ENTRIES_MAX: Final = 1000  # of one file
PATTERNS_MAX: Final = 32  # of one entry
FACTS: Final = frozenset(KernelFacts.__struct_fields__) - {"release"}
FOLDER: Final = Path(__file__).parents[2] / "corpus" / "ledger"
_ID: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_RELEASE: Final = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){1,2}")

FactValue = bool | int | str


class LedgerError(Exception):
    """A ledger that cannot be used: exit code 2. str() names file, line and what is allowed."""


class Entry(msgspec.Struct, frozen=True):
    """One known divergence. since, until: "" for no bound. reproducer: a file in corpus/, or "".
    file: where it was read from."""

    id: str
    reason: str
    reference: str
    identity: tuple[str, ...]
    since: str = ""
    until: str = ""
    facts: dict[str, FactValue] = {}
    reproducer: str = ""
    file: str = ""

    def applies(self, facts: KernelFacts) -> bool:
        """Is it known of this kernel?"""
        release = _numbers(facts.release)
        if self.since:
            since = _numbers(self.since)
            if release[: len(since)] < since:
                return False
        if self.until:
            until = _numbers(self.until)
            if release[: len(until)] > until:
                return False
        return all(getattr(facts, name) == value for name, value in self.facts.items())

    def names(self, identity: str) -> bool:
        """Does one of its patterns match?"""
        return any(fnmatchcase(identity, pattern) for pattern in self.identity)


class Ledger:
    """All entries; their ids differ."""

    def __init__(self, entries: tuple[Entry, ...] = ()) -> None:
        self.entries = entries

    def match(self, program: Program, verdict: Verdict, facts: KernelFacts) -> Entry | None:
        """The entry that knows what a bad verdict found on this kernel, or None."""
        candidates = [entry for entry in self.entries if entry.applies(facts)]
        if not candidates or not verdict.differences:
            return None
        identity = str(identify(program, verdict))
        return next((entry for entry in candidates if entry.names(identity)), None)


def load_ledger(folder: Path = FOLDER) -> Ledger:
    """Every *.toml of a folder, in order of name. Raises LedgerError."""
    entries: list[Entry] = []
    places: dict[str, str] = {}
    try:
        paths = sorted(folder.glob("*.toml"))
        if not paths and not folder.is_dir():
            raise LedgerError(f"{folder}: no such folder; the ledger lies in corpus/ledger")
        for path in paths:
            for entry in parse_ledger(path.read_bytes(), str(path)):
                if entry.id in places:
                    raise LedgerError(
                        f"{path}: the id {entry.id} is taken by {places[entry.id]}; ids are unique"
                    )
                places[entry.id] = str(path)
                entries.append(entry)
    except OSError as error:
        raise LedgerError(f"{error.filename}: cannot be read: {error.strerror}") from error
    return Ledger(tuple(entries))


def parse_ledger(data: bytes, name: str) -> list[Entry]:
    """The entries of one file. Raises LedgerError for anything else than a ledger."""
    try:
        text = data.decode("utf-8")
        top = Table(tomllib.loads(text), "", ("", 0))
    except UnicodeDecodeError as error:
        raise LedgerError(f"{name}: byte {error.start} is not UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise LedgerError(f"{name}: not TOML: {error}") from None
    try:
        if top.integer("format", 0, 1 << 31) != FORMAT:
            raise top.fail("format", f"this version of madvet reads only format = {FORMAT}")
        entries = [
            _entry(Table(value, f"known {i + 1}", ("known", i)), name)
            for i, value in enumerate(top.items("known", ENTRIES_MAX))
        ]
        top.end()
    except PlaceError as error:
        line = line_of(text, error.header, error.key)
        raise LedgerError(f"{name}:{line}: {error}" if line else f"{name}: {error}") from None
    return entries


def _entry(table: Table, name: str) -> Entry:
    ident = table.string("id")
    if not _ID.fullmatch(ident):
        raise table.fail("id", f'is "{ident}", allowed: words of a-z and 0-9 joined by "-"')
    texts = {key: table.string(key) for key in ("reason", "reference")}
    for key, text in texts.items():
        if not text.strip():
            raise table.fail(key, "is empty; a known divergence says why and where to read it")
    patterns = table.strings("identity", PATTERNS_MAX)
    if not patterns:
        raise table.fail("identity", "must hold at least one pattern")
    for pattern in patterns:
        if pattern.count("/") != PARTS - 1:
            raise table.fail(
                "identity",
                f'"{pattern}" must have {PARTS} parts: surface/advice/kinds/rule/difference',
            )
    bounds = {key: _release(table, key) for key in ("since", "until")}
    since, until = _numbers(bounds["since"]), _numbers(bounds["until"])
    if since and until and since[: len(until)] > until:
        raise table.fail("until", f"{bounds['until']} is before since = {bounds['since']}")
    facts = _facts(table)
    if not (since or until or facts):
        raise table.fail("since", "is missing: give since, until or facts; no kernel is for ever")
    reproducer = table.string("reproducer", "")
    table.end()
    return Entry(
        ident, texts["reason"], texts["reference"], tuple(patterns), bounds["since"],
        bounds["until"], facts, reproducer, name,
    )  # fmt: skip


def _release(table: Table, key: str) -> str:
    text = table.string(key, "")
    if text and not _RELEASE.fullmatch(text):
        raise table.fail(key, f'is "{text}", allowed: a release such as "6.18" or "6.12.55"')
    return text


def _facts(table: Table) -> dict[str, FactValue]:
    if not table.has("facts"):
        return {}
    value = table.take("facts")
    if not isinstance(value, dict) or not value:
        raise table.fail("facts", "must be a table such as { self_any_advice = true }")
    hints = KernelFacts.__annotations__
    for name, wanted in value.items():
        if name not in FACTS:
            raise table.fail("facts", f'knows no fact "{name}"; see kernel_facts.py')
        kind = str(hints[name])
        if type(wanted).__name__ != kind:
            raise table.fail("facts", f"{name} is a {kind}, not a {type(wanted).__name__}")
    return dict(value)


def _numbers(release: str) -> tuple[int, ...]:
    """(6, 18, 44) of "6.18.44-generic"; () of ""."""
    match = re.match(r"[0-9]+(\.[0-9]+)*", release)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
