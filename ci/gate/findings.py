"""What released kernels do that is a mistake, or that no manual page says: read, and seen again.

    format = 1

    [[finding]]
    id = "guard-flag-stays"
    title = "MADV_GUARD_REMOVE leaves the guard flag of the VMA set"
    kind = "undocumented"
    program = "findings/guard-flag-stays.toml"
    what = "what happens, and whom it hurts"
    manual = "what the manual page says, or that it is silent"
    cause = "why the kernel does it"
    reference = "where in the source"
    requirements = ["madvise-guard-remove"]
    since = "6.19"
    shows = ["6.19", "7.3"]
    shows_not = ["6.18"]
    facts = { guard_flag = true }
    results = ["0", "0"]

kind: bug or undocumented. since, until: releases, "" for no bound known. shows, shows_not: where
the program was seen to show it, and not to. results: of each step, in words, on a kernel that
shows it. facts: what such a kernel is, where the model knows two ways; ledger: the entry that
knows of it, where the model does not do as such a kernel does.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Final

import msgspec

from ci.gate.compare import FULL_LOOK
from ci.gate.history import Seen
from ci.gate.index import is_among, load_index, not_for, read_facts
from ci.gate.programs import CORPUS
from conformance.model.predict import predict
from conformance.oracle.expected_change import FactValue, with_facts
from conformance.oracle.explain import result_words
from conformance.oracle.judge import judge
from conformance.oracle.ledger import Ledger
from conformance.oracle.ledger_values import (
    at_most,
    read_file,
    read_id,
    read_release,
    read_releases,
    read_words,
)
from conformance.oracle.verdict import VerdictKind
from conformance.program.program import Program
from conformance.program.text_table import Table
from conformance.spec.registry import text_of
from conformance.target.target import Target

FOLDER: Final = CORPUS / "findings"
TEXTS: Final = ("title", "what", "manual", "cause", "reference")
STEPS_MAX: Final = 8
REQUIREMENTS_MAX: Final = 8


class Kind(str, Enum):
    """A closed list."""

    BUG = "bug"
    UNDOCUMENTED = "undocumented"


class Known(msgspec.Struct, frozen=True):
    """One finding; the members are those of the file."""

    id: str
    title: str
    kind: Kind
    program: str
    what: str
    manual: str
    cause: str
    reference: str
    requirements: tuple[str, ...]
    since: str
    until: str
    shows: tuple[str, ...]
    shows_not: tuple[str, ...]
    facts: dict[str, FactValue]
    ledger: str
    results: tuple[str, ...]

    def expected(self, release: str) -> Seen | None:
        """FAILS where it was seen to show, PASSES where not; None: nobody has looked."""
        if is_among(release, self.shows):
            return Seen.FAILS
        return Seen.PASSES if is_among(release, self.shows_not) else None


def load_findings(folder: Path = FOLDER) -> tuple[Known, ...]:
    """All findings, in order of the file. Raises IndexFileError."""
    return load_index(folder, "finding", read_finding, lambda finding: finding.id)


def read_finding(table: Table) -> Known:
    """One [[finding]]. Raises PlaceError."""
    ident = read_id(table)
    title, what, manual, cause, reference = read_words(table, TEXTS)
    kind: Kind = table.choice("kind", Kind)
    requirements = tuple(table.strings("requirements", REQUIREMENTS_MAX))
    unknown = [name for name in requirements if not text_of(name)]
    if unknown or not requirements:
        raise table.fail("requirements", f"must name requirements; unknown: {', '.join(unknown)}")
    since, until = read_release(table, "since"), read_release(table, "until")
    if since and until and not at_most(since, until):
        raise table.fail("until", f"{until} is before since = {since}")
    shows, shows_not = (read_releases(table, key) for key in ("shows", "shows_not"))
    both = sorted(set(shows) & set(shows_not))
    if both or not shows:
        raise table.fail("shows", f"must name releases, and not those of shows_not: {both}")
    results = tuple(table.strings("results", STEPS_MAX))
    finding = Known(
        ident, title, kind, read_file(table, "program"), what, manual, cause, reference,
        requirements, since, until, shows, shows_not, read_facts(table),
        table.string("ledger", ""), results,
    )  # fmt: skip
    table.end()
    return finding


def shown_results(program: Program, results: tuple[int, ...]) -> tuple[str, ...]:
    """Results of the steps of a program, without those of its layout, in words."""
    first = len(program.setup())
    steps = zip(program.steps, results[first:], strict=False)
    return tuple(result_words(step, result) for step, result in steps)


def see_again(finding: Known, program: Program, target: Target, ledger: Ledger) -> tuple[Seen, str]:
    """Does a kernel show it? FAILS: it does, by its results and by everything that the model says
    of such a kernel. Raises TargetError."""
    harmful = not_for(program, target.name)
    if harmful:
        return Seen.SKIPPED, harmful
    (outcome,) = target.run_batch([program], FULL_LOOK)
    own = predict(program, target.facts, outside=outcome.outside, observe=int(FULL_LOOK))
    if own.skip:
        return Seen.SKIPPED, own.skip
    such = with_facts(target.facts, finding.facts)
    prediction = predict(program, such, outside=outcome.outside, observe=int(FULL_LOOK))
    verdict = judge(program, outcome, prediction)
    if verdict.kind in (VerdictKind.SKIPPED, VerdictKind.HARNESS_ERROR):
        return Seen.SKIPPED, verdict.reason
    results = shown_results(program, outcome.results)
    words = ", ".join(results)
    if verdict.bad:
        entry = ledger.match(program, verdict, target.facts)
        if not finding.ledger or entry is None or entry.id != finding.ledger:
            return Seen.PASSES, verdict.differences[0].words
    elif finding.ledger:
        return Seen.PASSES, words
    return (Seen.FAILS if results == finding.results else Seen.PASSES), words
