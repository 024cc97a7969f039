"""Stability: a mismatch counts only when it shows again in a fresh process, and how often."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from conformance.model.policy import DEFAULT_POLICY, Policy
from conformance.oracle.identity import Identity, identify
from conformance.oracle.verdict import Verdict
from conformance.program.program import Program
from conformance.program.race import has_race
from conformance.program.wire import Observe
from conformance.target.target import Target
from fuzz.triage.examine import ALONE, FULL_LOOK, examine_again

# A finding that shows in 4 of 5 runs is seen at least once in 5 with 99.97 %, one that shows in
# every second run with 97 %, one in ten with 41 %; each is then reported with its k of n.
DEFLAKE_RUNS: Final = 5


# A race goes another way each time: what one run in thirty shows is seen in 100 with 97 %.
RACE_RUNS: Final = 100
SEEN_AGAIN: Final = 3  # runs divided by how many are expected to show it: 95 % show at least one


class Confirmed(msgspec.Struct, frozen=True):
    """A mismatch that showed again. shown of runs: how often the same bug was seen; observe:
    the look that shows it."""

    identity: Identity
    verdict: Verdict
    shown: int
    runs: int
    observe: Observe

    @property
    def flaky(self) -> bool:
        """Did not every run show it?"""
        return self.shown < self.runs

    @property
    def runs_to_see(self) -> int:
        """Runs of which one shows it: nearly always, where not every run does."""
        if not self.flaky:
            return 1
        return max(DEFLAKE_RUNS, min(RACE_RUNS, SEEN_AGAIN * self.runs // self.shown))


def confirm(
    target: Target,
    program: Program,
    runs: int = DEFLAKE_RUNS,
    policy: Policy = DEFAULT_POLICY,
) -> Confirmed | None:
    """Run a suspect alone, `runs` times (fewer if it takes the kernel down: see examine_again())
    with the fullest look; if that shows nothing, as often
    with the usual one, since looking may itself hide a bug. None: not reproduced, to be
    counted as such. Raises TargetError."""
    if has_race(program.steps):
        runs = max(runs, RACE_RUNS)
    for observe in (FULL_LOOK, ALONE):
        verdicts = examine_again(target, program, runs, observe, policy)
        bad = [verdict for verdict in verdicts if verdict.bad]
        if bad:
            return _most_frequent(program, bad, len(verdicts), observe)
    return None


def _most_frequent(program: Program, bad: list[Verdict], runs: int, observe: Observe) -> Confirmed:
    """Runs may show several bugs: the one seen most often, the first seen among equals."""
    identities = [identify(program, verdict) for verdict in bad]
    (identity, shown), *_ = Counter(identities).most_common(1)
    verdict = bad[identities.index(identity)]
    return Confirmed(identity, verdict, shown, runs, observe)
