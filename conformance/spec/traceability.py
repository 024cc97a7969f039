"""From requirement to the line that decides it, the case that proves it, the programs that
exercise it: what is cut off anywhere on this way is a problem.

Nothing here knows model, cases or sweeps: who asks hands in the sources and what was counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from conformance.spec.requirement import Requirement

RULE_PART: Final = 3  # of an identity "surface/advice/kinds/rule/difference"
WILD: Final = frozenset("*?[")
LEFT_OUT: Final = "left out:"  # starts held_by of what no kernel offers yet

Places = Mapping[str, tuple[str, ...]]


class Problem(NamedTuple):
    """rule: which of the checks here. where: file and line, case, entry, or the id itself."""

    rule: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} [{self.rule}]"


class Trace(NamedTuple):
    """Everything that speaks of requirements, by id unless another key is said.

    cited: lines of model and oracle. marked: cases. exercised: programs of sweeps, and of a
    fuzzer, whose prediction met it. reasons: of each alternative that the model allows, by its
    reason: the id, "" for none. unnamed: reasons used that no table has, by place. ledger:
    patterns of the rule that an entry names, by entry.
    """

    cited: Places
    marked: Places
    exercised: Mapping[str, int]
    reasons: Mapping[str, str]
    unnamed: Places
    ledger: Places


def problems(rows: Mapping[str, Requirement], trace: Trace) -> Iterator[Problem]:
    """Whatever is cut off."""
    yield from _unknown(rows, trace)
    yield from _citations(rows, trace)
    yield from _unexercised(rows, trace)
    yield from _alternatives(rows, trace)
    yield from _ledger(rows, trace)


def unmet(rows: Mapping[str, Requirement], marks: tuple[str, ...], met: set[str]) -> list[str]:
    """The rules that a case is marked with and that its own programs did not meet: it proves
    something else than it says. What no branch of the model decides is met nowhere."""
    return [ident for ident in marks if ident not in met and not rows[ident].held_by]


def _unknown(rows: Mapping[str, Requirement], trace: Trace) -> Iterator[Problem]:
    for speaks, places in (("is cited", trace.cited), ("marks a case", trace.marked)):
        for ident, where in places.items():
            if ident not in rows:
                words = f"{ident!r} {speaks} and is no requirement"
                yield Problem("unknown-id", where[0], words)


def _citations(rows: Mapping[str, Requirement], trace: Trace) -> Iterator[Problem]:
    for row in rows.values():
        if row.id not in trace.cited and not row.held_by:
            words = (
                "no branch of the model or the oracle cites it, and no held_by says what proves it"
            )
            yield Problem("never-cited", row.id, words)
        if row.id in trace.cited and row.held_by:
            words = f"held_by says that no branch decides it, but {trace.cited[row.id][0]} cites it"
            yield Problem("cited-and-held", row.id, words)


def _unexercised(rows: Mapping[str, Requirement], trace: Trace) -> Iterator[Problem]:
    for row in rows.values():
        if row.id not in trace.marked and not trace.exercised.get(row.id):
            yield Problem(
                "never-exercised", row.id, "no case, no sweep and no fuzzed program has it"
            )
        if row.id not in trace.marked:
            yield Problem("no-case", row.id, "no directed case is marked with it")


def _alternatives(rows: Mapping[str, Requirement], trace: Trace) -> Iterator[Problem]:
    for reason, ident in trace.reasons.items():
        if not ident:
            yield Problem("alternative-without-id", reason, "no requirement allows it")
        elif ident not in rows:
            words = f"{ident!r}, which is to allow it, is no requirement"
            yield Problem("alternative-without-id", reason, words)
    for reason, where in trace.unnamed.items():
        words = f"the kernel may choose because of {reason!r}, which is no reason that there is"
        yield Problem("alternative-without-id", where[0], words)


def _ledger(rows: Mapping[str, Requirement], trace: Trace) -> Iterator[Problem]:
    for entry, patterns in trace.ledger.items():
        for pattern in patterns:
            if not any(fnmatchcase(ident, pattern) for ident in rows):
                words = f"{pattern!r} names no requirement"
                yield Problem("ledger-unknown-id", entry, words)


def rule_of(identity: str) -> str:
    """The pattern of the rule in a pattern of identities."""
    return identity.split("/")[RULE_PART]
