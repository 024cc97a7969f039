"""What a run came to: the one thing that every report is rendered from.

A case has one id everywhere. It is made of words and dots and holds no seed, address or pid;
the target it ran on stands beside it.
"""

from __future__ import annotations

import re
from collections import Counter
from enum import Enum
from typing import Any, Final

import msgspec

ID: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")  # as kcidb wants its paths
COMPLETE: Final = "run.complete"  # stands for a run that ended before its end
NOT_RUN: Final = "was not run: the run ended before its turn"


class State(str, Enum):
    """What became of a case. Only PASS is a pass."""

    PASS = "pass"
    FAIL = "fail"  # the kernel does what it must not
    SKIP = "skip"  # the target lacks what the case needs
    ERROR = "error"  # no judgement: the harness failed, or the case was not run


WORST_FIRST: Final = (State.FAIL, State.ERROR, State.PASS, State.SKIP)


class Shown(msgspec.Struct, frozen=True, omit_defaults=True):
    """A program, as its file, and what it did. outcome: a program.outcome.Outcome as
    MessagePack, empty where only the program is known. observe: how it was looked at. facts:
    of the kernel, where they are not the run's."""

    program: str
    outcome: bytes = b""
    observe: int = 0
    facts: dict[str, Any] = {}


class Cell(msgspec.Struct, frozen=True, array_like=True):
    """One program of a sweep. id: "advice/kind/place", or as the sweep calls it. word: the
    verdict, or "known". observed: what the kernel did, in a few words."""

    id: str
    word: str
    observed: str = ""


class CaseResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One case on one target.

    seconds: of its run, with getting ready. message: one line that says why it is no pass.
    output: all that is to be said of it, for a person. unspecified: steps that the model
    leaves open. known: ids of the ledger's entries that explain what is not conformant. cells:
    of a case that is a sweep. shown: programs of a case that failed. identity: of a campaign's
    finding.
    """

    id: str
    target: str
    state: State
    requirements: tuple[str, ...] = ()
    seconds: float = 0.0
    message: str = ""
    output: str = ""
    unspecified: int = 0
    known: tuple[str, ...] = ()
    cells: tuple[Cell, ...] = ()
    shown: tuple[Shown, ...] = ()
    identity: str = ""

    @property
    def suite(self) -> str:
        """The first word of the id."""
        return self.id.partition(".")[0]


class RunResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole run.

    what: the command that made it ("conform", "fuzz"). started: as ISO 8601, UTC. seconds: how
    long it took. targets: the facts of each target that answered, by its name, as
    program.kernel_facts has them. unended: "" for a run that came to its end, else why it did
    not, in words. notes: what else a reader must know, each a line.
    """

    what: str
    started: str
    seconds: float
    madvet_version: str
    targets: dict[str, dict[str, Any]]
    cases: tuple[CaseResult, ...]
    unended: str = ""
    notes: tuple[str, ...] = ()

    def counts(self, target: str | None = None) -> dict[State, int]:
        """How many cases came to what, on one target or all; every state is there."""
        found = Counter(
            case.state for case in self.cases if target is None or case.target == target
        )
        return {state: found[state] for state in State}

    @property
    def unspecified(self) -> int:
        """Steps that the model left open."""
        return sum(case.unspecified for case in self.cases)

    @property
    def target_names(self) -> tuple[str, ...]:
        """Every target, those that never answered too; in the order of the cases."""
        return tuple(dict.fromkeys([*(case.target for case in self.cases), *self.targets]))

    def release(self, target: str) -> str:
        """The kernel's release, "" where the target did not say."""
        return str(self.targets.get(target, {}).get("release", ""))


def summed(states: list[State]) -> State:
    """What several cases come to together: skipped only if all were, passed only if nothing
    failed. Nothing at all is an error."""
    return next((state for state in WORST_FIRST if state in states), State.ERROR)


def closed(run: RunResult, planned: list[tuple[str, str]]) -> RunResult:
    """A run in which every planned case, given as (id, target), has its result, and which no
    report can show as a pass if it did not come to its end."""
    have = {(case.id, case.target) for case in run.cases}
    left = [
        CaseResult(ident, target, State.ERROR, message=NOT_RUN)
        for ident, target in dict.fromkeys(planned)
        if (ident, target) not in have
    ]
    unended = run.unended
    if left and not unended:
        unended = f"{len(left)} of {len(have) + len(left)} cases were not run"
    if not unended and not have:
        unended = "no case was chosen"
    for target in run.targets or ("run",):
        if unended or not any(case.target == target for case in (*run.cases, *left)):
            why = unended or "no case was chosen for it"
            left.append(CaseResult(COMPLETE, target, State.ERROR, message=why))
    return msgspec.structs.replace(run, cases=(*run.cases, *left), unended=unended)
