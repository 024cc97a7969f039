"""Where a campaign leaves its findings and its summary, checked before anything runs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from fuzz.findings.atomic_file import write_atomically
from fuzz.findings.finding import Finding
from fuzz.findings.reproducer import reproducer
from fuzz.findings.store import FindingsError, Store

DEFAULT_FOLDER: Final = Path("madvet-findings")


class OutputError(Exception):
    """A place for output cannot be used. The message says which, why, and what to do."""


class FindingFolder:
    """The findings of one campaign: a FindingSink over a Store.

    given: the folder that the user named; it must be usable now. None: a folder is made with
    the first finding, in the current folder or, where that is not writable, in a temporary
    one. If keeping a finding fails, the reproducer is printed, so that it is not lost.
    """

    def __init__(self, given: Path | None) -> None:
        self.paths: dict[str, Path] = {}  # by Finding.slug
        self._store: Store | None = None
        self._options = b""  # of the campaign that has begun
        self._campaign = 0  # its number in the store
        if given is not None:
            try:
                self._store = Store(given)
            except FindingsError as error:
                raise OutputError(str(error)) from error

    @property
    def folder(self) -> Path | None:
        """Where the findings are; None as long as there is no folder."""
        return None if self._store is None else self._store.folder

    def begin(self, options: dict[str, Any]) -> None:
        """A campaign begins: the folder tells of it, if there is one or as soon as there is.
        Raises OutputError."""
        self._options = msgspec.json.encode({"options": options})
        try:
            self._note_begin()
        except FindingsError as error:
            raise OutputError(str(error)) from error

    def end(self, summary: dict[str, Any]) -> None:
        """It has ended. Raises OutputError."""
        if self._store is None:
            return
        try:
            self._store.end_campaign(self._campaign, msgspec.json.encode(summary))
        except FindingsError as error:
            raise OutputError(str(error)) from error

    def _note_begin(self) -> None:
        if self._store is not None and self._options:
            self._campaign = self._store.begin_campaign(self._options)

    def keep(self, finding: Finding) -> None:
        """Store a finding at once. Raises FindingsError after printing the reproducer."""
        try:
            if self._store is None:
                self._store = _default_store()
                self._note_begin()
            self._store.keep(finding)
            self.paths[finding.slug] = self._store.path_of(finding)
        except FindingsError:
            click.echo(reproducer(finding))
            click.echo("The finding above could not be kept in a file.", err=True)
            raise

    def close(self) -> None:
        """May be repeated."""
        if self._store is not None:
            self._store.close()


def _default_store() -> Store:
    try:
        return Store(DEFAULT_FOLDER)
    except FindingsError:
        return Store(Path(tempfile.mkdtemp(prefix="madvet-findings-")))


def prepare_json(path: Path | None) -> None:
    """Fail now, not after the campaign, where --json cannot be written. Raises OutputError."""
    if path is None:
        return
    try:
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            probe.write(b"\0")
    except OSError as error:
        raise OutputError(f"--json {path}: {error.strerror}; name another file") from error


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write JSON that a person can read, whole or not at all. Raises OutputError."""
    data = msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=2)
    try:
        write_atomically(path, data + b"\n")
    except OSError as error:
        raise OutputError(f"--json {path}: {error.strerror}; the summary was printed") from error


def write_text(path: Path, text: str) -> None:
    """Write a page or a picture, whole or not at all. Raises OutputError."""
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}; name another file") from error
