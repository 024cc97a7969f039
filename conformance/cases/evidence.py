"""Evidence: what a case has seen of a kernel, for whoever writes the report of the run.

A case leaves it with its pytest item, under EVIDENCE; nothing here decides whether it passes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import pytest

from conformance.program.kernel_facts import KernelFacts
from conformance.program.outcome import Outcome
from conformance.program.program import Program
from conformance.program.wire import Observe


class Run(NamedTuple):
    """One program, how it was looked at, and what it did."""

    program: Program
    observe: Observe
    outcome: Outcome


class Swept(NamedTuple):
    """One program of a sweep. word: "conformant", "known", or the kind of its verdict."""

    id: str
    run: Run
    word: str


class Evidence:
    """What one case has seen so far.

    runs: programs to be shown if it fails, the last one last. unspecified: steps that the model
    leaves open. swept: every program of a case that is a sweep. known: ids of the ledger's
    entries that explain what was not conformant.
    """

    def __init__(self, target: str, facts: KernelFacts) -> None:
        self.target = target
        self.facts = facts
        self.runs: list[Run] = []
        self.unspecified = 0
        self.swept: list[Swept] = []
        self.known: tuple[str, ...] = ()


EVIDENCE: Final = pytest.StashKey[Evidence]()
