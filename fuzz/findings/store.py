"""The store: what a campaign found, in one sqlite file per folder, and a reproducer for each,
in C too where that can be.

Several campaigns may share a folder, at the same time too. Every finding is in the database
before its file is written, with its whole text, so that a file lost to a crash or a full disk
is written again when the folder is next opened.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from conformance.program.text import dumps
from fuzz.findings.atomic_file import write_atomically
from fuzz.findings.c_program import NotInC
from fuzz.findings.emit_c import c_of_finding
from fuzz.findings.finding import Finding
from fuzz.findings.reproducer import reproducer

DATABASE: Final = "findings.sqlite"
FOLDER: Final = "findings"  # inside the campaign's folder: the reproducers
BUSY_SECONDS_MAX: Final = 30.0  # how long one campaign waits for another to finish writing
FINDINGS_MAX: Final = 1000  # different ones in a folder; what comes after is counted
SCHEMA_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS finding (
    slug TEXT PRIMARY KEY,      -- also the name of the reproducer
    identity TEXT NOT NULL,
    target TEXT NOT NULL,
    verdict TEXT NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL,         -- the reproducer
    data BLOB NOT NULL,         -- the Finding as MessagePack
    seen INTEGER NOT NULL,      -- how often it was found
    first REAL NOT NULL,        -- seconds since 1970
    last REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS campaign (
    number INTEGER PRIMARY KEY,
    began REAL NOT NULL,        -- seconds since 1970
    ended REAL,                 -- NULL: it runs, or it died
    summary BLOB NOT NULL       -- JSON: its options, or once it has ended what `fuzz --json` says
) STRICT;
CREATE TABLE IF NOT EXISTS dropped (identity TEXT PRIMARY KEY, seen INTEGER NOT NULL) STRICT;
"""


class FindingsError(Exception):
    """A finding could not be kept, or the folder cannot be used. str() says what, where, and
    what to do; Store.unwritten still holds what is not in the database."""


class Kept(Enum):
    """What became of a finding."""

    NEW = "new"
    AGAIN = "again"  # known already: counted
    SMALLER = "smaller"  # known already, but by a larger program: replaced
    DROPPED = "dropped"  # the folder is full of findings: counted


class Stored(msgspec.Struct, frozen=True):
    """A finding as the store has it. seen: how often it was found."""

    finding: Finding
    seen: int
    path: Path


class Campaign(msgspec.Struct, frozen=True):
    """One campaign that kept its findings here. began, ended: seconds since 1970; ended is None
    of one that runs or died. summary: JSON, see the schema."""

    began: float
    ended: float | None
    summary: bytes


class Store:
    """The findings of one folder. Not for use from several threads."""

    def __init__(self, folder: Path, findings_max: int = FINDINGS_MAX) -> None:
        """Open or create. Raises FindingsError when nothing could be kept here."""
        self.folder = folder
        self.unwritten: list[Finding] = []
        self._fileless: dict[str, str] = {}  # slug -> text: in the database, file not yet written
        self._findings_max = findings_max
        self._reproducers = folder / FOLDER
        with _told(folder, "cannot be used for findings"):
            self._reproducers.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                folder / DATABASE, timeout=BUSY_SECONDS_MAX, isolation_level=None
            )
        try:
            with _told(folder, "cannot be used for findings"):
                self._prepare()
                self._find_missing()
                self._write_files()
        except BaseException:
            self._database.close()
            raise

    def keep(self, finding: Finding) -> Kept:
        """Keep a finding, and those that could not be kept before. Raises FindingsError when the
        disk refuses; the finding then stays in `unwritten` and is tried again next time."""
        self.unwritten.append(finding)
        kept = Kept.NEW
        while self.unwritten:
            with _told(self.folder, "a finding could not be kept"):
                kept = self._keep(self.unwritten[0])
            del self.unwritten[0]
        with _told(self.folder, "a finding is kept, but its reproducer could not be written"):
            self._write_files()
        return kept

    def adopt(self, stored: Stored) -> bool:
        """Keep a finding of another folder, with how often it was met there. Is it new here?
        Raises FindingsError."""
        kept = self.keep(stored.finding)
        if kept is not Kept.DROPPED and stored.seen > 1:
            with _told(self.folder, "a finding could not be counted"), self._transaction():
                self._database.execute(
                    "UPDATE finding SET seen = seen + ? WHERE slug = ?",
                    (stored.seen - 1, stored.finding.slug),
                )
        return kept is Kept.NEW

    def findings(self) -> Iterator[Stored]:
        """All findings, the first found first. Raises FindingsError."""
        with _told(self.folder, "cannot be read"):
            rows = self._database.execute(
                "SELECT data, seen, slug FROM finding ORDER BY first, slug"
            ).fetchall()
        for data, seen, slug in rows:
            try:
                finding = msgspec.msgpack.decode(data, type=Finding)
            except msgspec.MsgspecError as error:
                raise FindingsError(
                    f"{self.folder / DATABASE}: {slug} cannot be read: {error}; "
                    "it was written by another version of madvet, its reproducer still works"
                ) from error
            yield Stored(finding, seen, self._path(slug))

    def begin_campaign(self, options: bytes) -> int:
        """A campaign begins; its number. options: JSON. Raises FindingsError."""
        with _told(self.folder, "cannot be written"):
            cursor = self._database.execute(
                "INSERT INTO campaign (began, summary) VALUES (?, ?)", (time.time(), options)
            )
        return int(cursor.lastrowid or 0)

    def end_campaign(self, number: int, summary: bytes) -> None:
        """A campaign has ended. summary: JSON. Raises FindingsError."""
        with _told(self.folder, "cannot be written"):
            self._database.execute(
                "UPDATE campaign SET ended = ?, summary = ? WHERE number = ?",
                (time.time(), summary, number),
            )

    def campaigns(self) -> list[Campaign]:
        """All campaigns, the first first. Raises FindingsError."""
        with _told(self.folder, "cannot be read"):
            rows = self._database.execute(
                "SELECT began, ended, summary FROM campaign ORDER BY number"
            ).fetchall()
        return [Campaign(*row) for row in rows]

    def dropped(self) -> int:
        """How many findings were not kept for want of room."""
        with _told(self.folder, "cannot be read"):
            (count,) = self._database.execute("SELECT count(*) FROM dropped").fetchone()
        return int(count)

    def path_of(self, finding: Finding) -> Path:
        """Where the reproducer of a finding lies."""
        return self._path(finding.slug)

    def close(self) -> None:
        """May be repeated."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _path(self, slug: str) -> Path:
        return self._reproducers / f"{slug}.toml"

    def _prepare(self) -> None:
        database = self._database
        # Where WAL is not to be had (some network file systems) sqlite keeps its older journal,
        # which is as safe and only slower.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version not in (0, SCHEMA_VERSION):
                raise FindingsError(
                    f"{self.folder / DATABASE}: written by another version of madvet "
                    f"(schema {version}, this one knows {SCHEMA_VERSION}); choose another folder"
                )
            for statement in _SCHEMA.split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """IMMEDIATE: the lock is taken before anything is read, so that no other campaign can
        come between reading and writing."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _keep(self, finding: Finding) -> Kept:
        slug, now = finding.slug, time.time()
        with self._transaction():
            row = self._database.execute(
                "SELECT data FROM finding WHERE slug = ?", (slug,)
            ).fetchone()
            if row is None and self._full():
                self._database.execute(
                    "INSERT INTO dropped VALUES (?, 1) "
                    "ON CONFLICT (identity) DO UPDATE SET seen = seen + 1",
                    (finding.identity,),
                )
                return Kept.DROPPED
            text = reproducer(finding)
            if row is not None:
                self._database.execute(
                    "UPDATE finding SET seen = seen + 1, last = ? WHERE slug = ?", (now, slug)
                )
                if _program_size(row[0]) <= len(dumps(finding.program)):
                    return Kept.AGAIN
            self._insert(finding, slug, text, now)
        self._fileless[slug] = text
        return Kept.NEW if row is None else Kept.SMALLER

    def _full(self) -> bool:
        (count,) = self._database.execute("SELECT count(*) FROM finding").fetchone()
        return bool(count >= self._findings_max)

    def _insert(self, finding: Finding, slug: str, text: str, now: float) -> None:
        data = msgspec.msgpack.encode(finding)
        self._database.execute(
            "INSERT INTO finding VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT (slug) DO "
            "UPDATE SET verdict = excluded.verdict, title = excluded.title, "
            "text = excluded.text, data = excluded.data",
            (
                slug, finding.identity, finding.target, finding.verdict.kind.value,
                finding.title, text, data, now, now,
            ),
        )  # fmt: skip

    def _find_missing(self) -> None:
        """Reproducers whose file a crash or a full disk has kept from being written."""
        rows = self._database.execute("SELECT slug, text FROM finding").fetchall()
        self._fileless = {slug: text for slug, text in rows if not self._path(slug).exists()}

    def _write_files(self) -> None:
        for slug in list(self._fileless):
            write_atomically(self._path(slug), self._fileless[slug].encode())
            self._write_c(slug)
            del self._fileless[slug]

    def _write_c(self, slug: str) -> None:
        """The same in C beside it; a program that cannot be said in C has none."""
        path = self._path(slug).with_suffix(".c")
        (data,) = self._database.execute(
            "SELECT data FROM finding WHERE slug = ?", (slug,)
        ).fetchone()
        try:
            text = c_of_finding(msgspec.msgpack.decode(data, type=Finding))
        except (NotInC, msgspec.MsgspecError):
            path.unlink(missing_ok=True)  # that of a larger program
        else:
            write_atomically(path, text.encode("ascii"))


def _program_size(data: bytes) -> int:
    """Characters of a stored finding's program; 0 when another version of madvet wrote it."""
    try:
        return len(dumps(msgspec.msgpack.decode(data, type=Finding).program))
    except msgspec.MsgspecError:
        return 0


@contextmanager
def _told(folder: Path, what: str) -> Iterator[None]:
    """What the system says, as a FindingsError that says where and what to do."""
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        reason = error.strerror or str(error)
        raise FindingsError(f"{folder}: {what}: {place}: {reason}; {_remedy(folder)}") from error
    except sqlite3.Error as error:
        raise FindingsError(f"{folder}: {what}: {DATABASE}: {error}; {_remedy(folder)}") from error


def _remedy(folder: Path) -> str:
    """What to do about it."""
    place = folder if folder.exists() else folder.parent
    if place.exists() and not os.access(place, os.W_OK | os.X_OK):
        return "it is not writable for this user: choose another folder with --out"
    return "make room there or choose another folder with --out"
