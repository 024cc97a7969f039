"""What several campaigns found, as bugs: each once, however often, where and as what it was met."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from conformance.oracle.identity import PARTS, Identity
from fuzz.findings.severity import Severity
from fuzz.findings.store import FindingsError, Store, Stored


class Bug(NamedTuple):
    """Findings that are taken to be one bug: of one surface, rule and class of difference, with
    whatever advice and memory, on whatever kernel; of reports, those whose titles are alike.

    findings: the one with the smallest program first. seen: how often they were met in all.
    """

    findings: tuple[Stored, ...]
    severity: Severity
    seen: int

    @property
    def kernels(self) -> tuple[str, ...]:
        """ "uml (Linux 7.3.4)", each once."""
        named = [f"{one.finding.target} (Linux {one.finding.release})" for one in self.findings]
        return tuple(dict.fromkeys(sorted(named)))


def load_folders(folders: Sequence[Path]) -> list[Stored]:
    """The findings of every folder. Raises FindingsError, for a folder that has none as well."""
    out: list[Stored] = []
    for folder in folders:
        if not folder.is_dir():
            raise FindingsError(f"{folder}: no such folder; madvet fuzz --out FOLDER makes one")
        with Store(folder) as store:
            out += store.findings()
    return out


def bugs(stored: Iterable[Stored]) -> list[Bug]:
    """The bugs behind findings, the most severe first."""
    groups: list[tuple[Identity, list[Stored]]] = []
    for one in stored:
        identity = parsed(one.finding.identity)
        mine = next((group for known, group in groups if known.alike(identity)), None)
        if mine is None:
            groups.append((identity, [one]))
        else:
            mine.append(one)
    out = []
    for _, group in groups:
        group.sort(key=lambda one: (_size(one), one.finding.slug))
        worst = min(one.finding.severity for one in group)
        out.append(Bug(tuple(group), worst, sum(one.seen for one in group)))
    return sorted(out, key=lambda bug: (bug.severity, bug.findings[0].finding.identity))


def merge_into(folder: Path, stored: Iterable[Stored]) -> int:
    """Keep findings of elsewhere in one folder; how many it did not have. Raises FindingsError."""
    new = 0
    with Store(folder) as store:
        for one in stored:
            new += store.adopt(one)
    return new


def parsed(identity: str) -> Identity:
    """The parts of an identity's text; all of it as the difference where it has others."""
    parts = identity.split("/")
    if len(parts) != PARTS:
        return Identity("", "", "", "", identity)
    return Identity(*parts)


def _size(one: Stored) -> int:
    program = one.finding.program
    return len(program.steps) + len(program.layout)
