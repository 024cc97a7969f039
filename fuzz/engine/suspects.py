"""Suspects: programs that were not as predicted are run again, alone, before they count.

What shows again is counted under its identity. The first of an identity is examined: how
often it shows, and by which smallest program. Shrinking may end at a plainer advice or kind
of memory, and so at another identity; that one names the finding, and everything of the first
identity is counted under it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from conformance.oracle.ledger import Ledger, load_ledger
from conformance.oracle.verdict import Verdict, VerdictKind
from conformance.program.program import Program
from conformance.target.target import Target, TargetError
from fuzz.engine import messages as m
from fuzz.engine.budget import CampaignOptions, Clock
from fuzz.engine.lane import Lane, Suspect
from fuzz.engine.statistics import KNOWN, NOT_REPRODUCED, Tally, count, note
from fuzz.findings.finding import Evidence, Finding
from fuzz.triage.examine import examine, outcome_of, still_fails
from fuzz.triage.reducers import second_opinion
from fuzz.triage.shrink import ShrinkBudget, shrink
from fuzz.triage.stability import DEFLAKE_RUNS, Confirmed, confirm

# A worker that shrinks runs nothing new. Bugs of one rule and one class of difference often
# are one bug, met with many advices on many kinds of memory: three of them are shrunk, the
# others kept as they came.
SHRINK_BUDGET: Final = ShrinkBudget(evaluations=4000, seconds=5.0)
SHRINKS_ALIKE_MAX: Final = 3
SHRINKS_MAX: Final = 40  # of one worker: 200 s at the most, all in all
# A crash of the kernel: one candidate at a time, so that each step down costs one new guest (some
# 20 steps: 6 s on uml). Seeing it again and confirming it before and after have cost five.
CRASH_SHRINK_BUDGET: Final = ShrinkBudget(evaluations=500, seconds=20.0, batch=1)
CRASH_SHRINKS_MAX: Final = 5  # of one worker: 100 s at the most


class _NoEvidence(Exception):
    """A run alone was a harness error; str() says why."""


class Suspects:
    """Settles what a worker's lanes suspect, and knows which findings are old news."""

    def __init__(self, options: CampaignOptions) -> None:
        self.ledger: Ledger = load_ledger()
        self._options = options
        self._named: dict[tuple[str, str], str] = {}  # target, first identity -> the finding's
        self._shrunk: Counter[tuple[str, str, str]] = Counter()
        self._crashes_shrunk = 0
        self._hurried = False

    def seen(self, news: m.Seen) -> None:
        """Another worker has examined this identity."""
        self._named.setdefault((news.target, news.origin), news.identity)

    def hurry(self) -> None:
        """The campaign wants to end: shrink nothing more."""
        self._hurried = True

    def settle(self, lane: Lane, listen: Callable[[], None]) -> Iterator[m.Found]:
        """Run each suspect again, count it, and give those that are new.

        listen: called between suspects, so that news and a stop are heard. Nothing may be in
        flight on the lane's target. Raises TargetError.
        """
        suspects, lane.suspects = lane.suspects, []
        for suspect in suspects:
            found = self._settle(lane.target, lane.tally, suspect)
            if found is not None:
                yield found
            listen()

    def _settle(self, target: Target, tally: Tally, suspect: Suspect) -> m.Found | None:
        try:
            seen = self._see_again(target, suspect)
        except TargetError:
            raise
        except Exception as error:  # noqa: BLE001 - costs this program, not the campaign
            count(tally.verdicts, VerdictKind.HARNESS_ERROR.value)
            what = str(error) if isinstance(error, _NoEvidence) else repr(error)
            note(tally.harness_errors, f"program {suspect.number}, run alone: {what}")
            return None
        if seen is None:
            count(tally.verdicts, NOT_REPRODUCED)
            note(tally.not_reproduced, _once(suspect))
            return None
        entry = self.ledger.match(suspect.program, seen.verdict, target.facts)
        if entry is not None:
            count(tally.known, entry.id)
            count(tally.verdicts, KNOWN)
            return None
        count(tally.verdicts, seen.verdict.kind.value)
        origin = str(seen.identity)
        named = self._named.get((target.name, origin))
        found = None
        if named is None:
            finding = self._examine(target, suspect, seen)
            named = self._named[target.name, origin] = finding.identity
            found = m.Found(finding, origin)
        count(tally.findings, named)
        return found

    def _see_again(self, target: Target, suspect: Suspect) -> Confirmed | None:
        """One run is enough for what shows every time; what does not gets more chances.

        Raises _NoEvidence when a harness error is one again.
        """
        program = suspect.program
        if suspect.verdict.kind is VerdictKind.HARNESS_ERROR:
            (verdict,) = examine(target, [program])
            if verdict.kind is VerdictKind.HARNESS_ERROR:
                raise _NoEvidence(verdict.reason)
        return confirm(target, program, runs=1) or confirm(target, program, DEFLAKE_RUNS)

    def _examine(self, target: Target, suspect: Suspect, seen: Confirmed) -> Finding:
        """How often it shows, and the smallest program that shows it."""
        program = suspect.program
        seen = confirm(target, program, DEFLAKE_RUNS) or seen
        small = self._shrink(target, program, seen)
        if small is not program:
            again = confirm(target, small, DEFLAKE_RUNS)
            if again is not None and again.identity.alike(seen.identity):
                program, seen = small, again
        found = finding(target, program, seen, self._options.seed, suspect.number)
        return msgspec.structs.replace(found, evidence=_evidence(target, program, seen))

    def _shrink(self, target: Target, program: Program, seen: Confirmed) -> Program:
        identity = seen.identity
        alike = (identity.surface, identity.rule, identity.difference)
        if (
            not self._options.shrink
            or self._hurried
            or seen.verdict.kind is VerdictKind.HANG  # each try waits for its deadline
            or self._shrunk[alike] >= SHRINKS_ALIKE_MAX
            or self._shrunk.total() >= SHRINKS_MAX
        ):
            return program
        self._shrunk[alike] += 1
        if seen.verdict.log:
            if self._crashes_shrunk >= CRASH_SHRINKS_MAX:
                return program
            self._crashes_shrunk += 1
            ask = still_fails(target, identity, seen.observe)
            return shrink(program, ask, CRASH_SHRINK_BUDGET)
        ask = still_fails(target, identity, seen.observe, seen.runs_to_see)
        clock = Clock(SHRINK_BUDGET.seconds)
        small = shrink(program, ask, SHRINK_BUDGET)
        left = clock.left(SHRINK_BUDGET.seconds)
        return second_opinion(small, ask, msgspec.structs.replace(SHRINK_BUDGET, seconds=left))


def finding(target: Target, program: Program, seen: Confirmed, seed: int, index: int) -> Finding:
    """A finding of what was confirmed. index: -1 for a program that was not generated."""
    return Finding(
        identity=str(seen.identity),
        verdict=seen.verdict,
        program=program,
        shown=seen.shown,
        runs=seen.runs,
        target=target.name,
        release=target.facts.release,
        seed=seed,
        index=index,
        facts=target.facts,
    )


def _evidence(target: Target, program: Program, seen: Confirmed) -> Evidence | None:
    """What reports draw; not worth a guest or a deadline."""
    if seen.verdict.log or seen.verdict.kind in (VerdictKind.CRASH, VerdictKind.HANG):
        return None
    outcome = outcome_of(target, program, seen.identity, seen.observe, seen.runs_to_see)
    return Evidence(outcome, int(seen.observe), target.facts) if outcome is not None else None


def words_of(verdict: Verdict) -> str:
    """A verdict in a few words."""
    return verdict.differences[0].words if verdict.differences else verdict.reason


def _once(suspect: Suspect) -> str:
    """What was seen only the first time."""
    how = f", {suspect.observe.name}" if suspect.observe else ""
    kind = suspect.verdict.kind.value
    return f"program {suspect.number}{how}: {kind}: {words_of(suspect.verdict)}"
