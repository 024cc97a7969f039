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

log: for what a kernel says of itself, words that its log must have, all of them, since the title
alone names the caller of the function that is wrong. fail_nth = true: only for programs in which
an allocation fails.

[[change]] is what kernels do otherwise from some release on, on purpose: see expected_change.
"""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import msgspec

from conformance.oracle.expected_change import Change, FactValue, read_change
from conformance.oracle.identity import identify
from conformance.oracle.ledger_values import (
    at_least,
    at_most,
    read_file,
    read_id,
    read_patterns,
    read_release,
    read_words,
)
from conformance.oracle.verdict import Verdict
from conformance.program.kernel_facts import KernelFacts
from conformance.program.plan import plan_of
from conformance.program.program import Program
from conformance.program.text_table import PlaceError, Table, line_of

FORMAT: Final = 1
ENTRIES_MAX: Final = 1000  # of one kind, in one file
WORDS_MAX: Final = 8
FACTS: Final = frozenset(KernelFacts.__struct_fields__) - {"release"}
FOLDER: Final = Path(__file__).parents[2] / "corpus" / "ledger"


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
    log: tuple[str, ...] = ()
    fail_nth: bool = False

    def applies(self, facts: KernelFacts) -> bool:
        """Is it known of this kernel?"""
        if self.since and not at_least(facts.release, self.since):
            return False
        if self.until and not at_most(facts.release, self.until):
            return False
        return all(getattr(facts, name) == value for name, value in self.facts.items())

    def names(self, identity: str) -> bool:
        """Does one of its patterns match?"""
        return any(fnmatchcase(identity, pattern) for pattern in self.identity)

    def knows(self, program: Program, verdict: Verdict) -> bool:
        """Is it what a program showed?"""
        if self.fail_nth and plan_of(program).fault < 0:
            return False
        if not all(words in verdict.log for words in self.log):
            return False
        return self.names(str(identify(program, verdict)))


class Ledger:
    """All entries and changes; their ids differ."""

    def __init__(self, entries: tuple[Entry, ...] = (), changes: tuple[Change, ...] = ()) -> None:
        self.entries = entries
        self.changes = changes

    def match(self, program: Program, verdict: Verdict, facts: KernelFacts) -> Entry | None:
        """The entry that knows what a bad verdict found on this kernel, or None."""
        candidates = [entry for entry in self.entries if entry.applies(facts)]
        if not candidates or not verdict.differences:
            return None
        return next((entry for entry in candidates if entry.knows(program, verdict)), None)


class Pages(msgspec.Struct, frozen=True):
    """What one file of the ledger holds."""

    known: tuple[Entry, ...] = ()
    changes: tuple[Change, ...] = ()


def load_ledger(folder: Path = FOLDER) -> Ledger:
    """Every *.toml of a folder, in order of name. Raises LedgerError."""
    entries: list[Entry] = []
    changes: list[Change] = []
    places: dict[str, str] = {}
    try:
        paths = sorted(folder.glob("*.toml"))
        if not paths and not folder.is_dir():
            raise LedgerError(f"{folder}: no such folder; the ledger lies in corpus/ledger")
        for path in paths:
            pages = parse_pages(path.read_bytes(), str(path))
            entries += pages.known
            changes += pages.changes
            names = [entry.id for entry in pages.known] + [change.id for change in pages.changes]
            for ident in names:
                if ident in places:
                    raise LedgerError(
                        f"{path}: the id {ident} is taken by {places[ident]}; ids are unique"
                    )
                places[ident] = str(path)
    except OSError as error:
        raise LedgerError(f"{error.filename}: cannot be read: {error.strerror}") from error
    return Ledger(tuple(entries), tuple(changes))


def parse_ledger(data: bytes, name: str) -> list[Entry]:
    """The known divergences of one file. Raises LedgerError for anything else than a ledger."""
    return list(parse_pages(data, name).known)


def parse_pages(data: bytes, name: str) -> Pages:
    """All that one file holds. Raises LedgerError for anything else than a ledger."""
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
        known = [_entry(table, name) for table in _tables(top, "known")]
        changes = [read_change(table, name) for table in _tables(top, "change")]
        top.end()
    except PlaceError as error:
        line = line_of(text, error.header, error.key)
        raise LedgerError(f"{name}:{line}: {error}" if line else f"{name}: {error}") from None
    return Pages(tuple(known), tuple(changes))


def _tables(top: Table, key: str) -> list[Table]:
    values = top.items(key, ENTRIES_MAX)
    return [Table(value, f"{key} {i + 1}", (key, i)) for i, value in enumerate(values)]


def _entry(table: Table, name: str) -> Entry:
    ident = read_id(table)
    reason, reference = read_words(table, ("reason", "reference"))
    patterns = read_patterns(table)
    since, until = read_release(table, "since"), read_release(table, "until")
    if since and until and not at_most(since, until):
        raise table.fail("until", f"{until} is before since = {since}")
    facts = _facts(table)
    if not (since or until or facts):
        raise table.fail("since", "is missing: give since, until or facts; no kernel is for ever")
    reproducer = read_file(table, "reproducer", "")
    log = tuple(table.strings("log", WORDS_MAX))
    fail_nth = table.boolean("fail_nth")
    table.end()
    return Entry(
        ident, reason, reference, patterns, since, until, facts, reproducer, name, log, fail_nth
    )


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
