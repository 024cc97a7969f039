"""Does a kernel do with a program what the good one does? The question of every bisection.

The rules are those of the good kernel, as its facts select them, on the machine of the one asked:
so a behaviour that the model knows in two forms can be bisected as well as a plain mistake.
"""

from __future__ import annotations

import math
from collections import Counter
from enum import Enum
from typing import Final

import msgspec

from ci.gate.compare import FULL_LOOK
from ci.gate.fact_kinds import as_base_would
from conformance.model.predict import predict
from conformance.oracle.identity import Identity, identify
from conformance.oracle.judge import judge
from conformance.oracle.verdict import VerdictKind
from conformance.program.kernel_facts import KernelFacts
from conformance.program.program import Program
from conformance.target.target import Target

MEASURE_RUNS: Final = 20  # of each end
MISSED_MAX: Final = 0.001  # how likely a kernel that has it may pass for good
ATTEMPTS_MIN: Final = 2
ATTEMPTS_MAX: Final = 500  # enough for what shows in 1.4 % of runs


class Answer(str, Enum):
    """A closed list."""

    GOOD = "good"
    BAD = "bad"
    OTHER = "differs in another way"
    CANNOT = "cannot run it"


class Told(msgspec.Struct, frozen=True):
    """What one kernel answers. shown of runs: that were bad. words: how, or why it cannot."""

    answer: Answer
    shown: int = 0
    runs: int = 0
    words: str = ""
    identity: Identity | None = None


class Question(msgspec.Struct, frozen=True):
    """program, the facts of the good kernel, and what is bad: None before it is known."""

    program: Program
    good: KernelFacts
    bad: Identity | None = None

    def ask(self, target: Target, runs: int) -> Told:
        """Run it so often, each time alone. Raises TargetError."""
        rules = as_base_would(self.good, target.facts)
        outcomes = target.run_batch([self.program] * runs, FULL_LOOK)
        seen: list[tuple[Identity, str]] = []
        for outcome in outcomes:
            own = predict(
                self.program, target.facts, outside=outcome.outside, observe=int(FULL_LOOK)
            )
            if own.skip:
                return Told(Answer.CANNOT, 0, runs, f"it lacks {own.skip}")
            prediction = predict(
                self.program, rules, outside=outcome.outside, observe=int(FULL_LOOK)
            )
            verdict = judge(self.program, outcome, prediction)
            if verdict.kind in (VerdictKind.SKIPPED, VerdictKind.HARNESS_ERROR):
                return Told(Answer.CANNOT, 0, runs, verdict.reason)
            if verdict.bad:
                words = verdict.differences[0].words.replace("model ", "the good one ", 1)
                seen.append((identify(self.program, verdict), words))
        return self._told(seen, runs)

    def _told(self, seen: list[tuple[Identity, str]], runs: int) -> Told:
        if not seen:
            return Told(Answer.GOOD, 0, runs)
        alike = [one for one in seen if self.bad is None or one[0].alike(self.bad)]
        if not alike:
            return Told(Answer.OTHER, len(seen), runs, seen[0][1], seen[0][0])
        (identity, _), *_ = Counter(one[0] for one in alike).most_common(1)
        words = next(one[1] for one in alike if one[0] == identity)
        return Told(Answer.BAD, len(alike), runs, words, identity)


class Odds(msgspec.Struct, frozen=True):
    """How surely a bad kernel is told from a good one. hits of runs: measured on the bad end."""

    hits: int
    runs: int

    @property
    def rate(self) -> float:
        """How likely one run is to show it: the measured rate, half a run to either side, since
        20 of 20 is no proof of always."""
        return (self.hits + 0.5) / (self.runs + 1)

    @property
    def attempts(self) -> int:
        """Runs after which a bad kernel has not shown it with MISSED_MAX at the most."""
        wanted = math.ceil(math.log(MISSED_MAX) / math.log(1 - self.rate))
        return min(ATTEMPTS_MAX, max(ATTEMPTS_MIN, wanted))

    @property
    def missed(self) -> float:
        """How likely a bad kernel is to pass for good."""
        return float((1 - self.rate) ** self.attempts)

    def error(self, goods: int) -> float:
        """How likely at least one of so many answers "good" is wrong."""
        return float(1 - (1 - self.missed) ** goods)


def percent(share: float) -> str:
    """A probability for a person."""
    return f"{share * 100:.2g} %" if share >= 1e-6 else "less than 0.0001 %"
