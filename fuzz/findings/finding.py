"""Finding: a confirmed bad verdict, with what is needed to see it again."""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

from conformance.oracle.verdict import Verdict
from conformance.program.kernel_facts import KernelFacts
from conformance.program.outcome import Outcome
from conformance.program.program import Program
from fuzz.findings.severity import Severity, marks_of, severity

SLUG_CHARACTERS_MAX: Final = 120  # with hash and suffix well under NAME_MAX, 255 bytes


class Evidence(msgspec.Struct, frozen=True):
    """A run that showed a finding: what was seen, with which look (program.wire.Observe), on a
    kernel of which facts. Reports draw it."""

    outcome: Outcome
    observe: int
    facts: KernelFacts


class Finding(msgspec.Struct, frozen=True):
    """What was found, how surely, and where.

    identity: what tells it from others (conformance.oracle.identity; a crash: its title).
    verdict: of the run with the fullest look. shown of runs: how many runs alone, in a fresh
    process each, showed it. target, release: whose kernel it is. seed, index: the generator's
    seed and the number of the program it came from, -1 where it came from a file. evidence:
    None of a crash or a hang, and of what did not show again when it was to be kept. facts: of
    that kernel; None only in what an older version kept.
    """

    identity: str
    verdict: Verdict
    program: Program
    shown: int
    runs: int
    target: str
    release: str
    seed: int = 0
    index: int = -1
    evidence: Evidence | None = None
    facts: KernelFacts | None = None

    @property
    def title(self) -> str:
        """One line for a person."""
        if self.verdict.differences:
            return self.verdict.differences[0].words
        return self.verdict.reason or self.verdict.kind.value

    @property
    def flaky(self) -> bool:
        """Did not every run show it?"""
        return self.shown < self.runs

    @property
    def stability(self) -> str:
        """ "5 of 5 runs"."""
        return f"{self.shown} of {self.runs} runs"

    @property
    def severity(self) -> Severity:
        """What is at stake."""
        return severity(self.identity, self.verdict.kind.value)

    @property
    def marks(self) -> str:
        """What a reader has to know of its title: that the report behind it was cut short, or tells
        of a limit and not of a mistake. "" for nothing."""
        return marks_of(self.identity, self.verdict.log)

    @property
    def slug(self) -> str:
        """A file name without suffix: readable, and unique to target and identity."""
        plain = re.sub(r"[^A-Za-z0-9.+_-]+", ".", f"{self.target}.{self.identity}").strip(".")
        full = hashlib.sha256(f"{self.target}\0{self.identity}".encode()).hexdigest()
        return f"{plain[:SLUG_CHARACTERS_MAX]}-{full[:8]}"
