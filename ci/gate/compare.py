"""One program on two kernels: what differs, and what that is called.

Each kernel is judged by the model with its own facts. If both do as predicted, head is judged
once more by the rules of base: what does not fit is a change that the facts explain, and the
facts that are needed to explain it say which. Freedom of the kernel is no difference.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

import msgspec

from ci.gate.fact_kinds import (
    as_base_would,
    gained,
    kernel_changes,
    lost,
    without,
)
from conformance.model.predict import predict
from conformance.oracle.identity import identify
from conformance.oracle.judge import judge
from conformance.oracle.ledger import Ledger
from conformance.oracle.verdict import Verdict, VerdictKind
from conformance.program.kernel_facts import KernelFacts
from conformance.program.outcome import Outcome
from conformance.program.program import Program
from conformance.program.wire import Observe

# Every step is looked at: a difference is then told of the step that made it, on both kernels.
LOOK: Final = Observe.EACH_STEP
FULL_LOOK: Final = Observe.EACH_STEP | Observe.ISOLATED | Observe.SMAPS | Observe.READ_ALL
ALONE: Final = Observe.EACH_STEP | Observe.ISOLATED


class Status(str, Enum):
    """What became of one program. A closed list; the worst first."""

    REGRESSION = "regression"  # base conformant, head not; or head has lost something
    UNEXPLAINED = "unexplained"  # it changed, and nothing says that it had to
    FIX = "fix"  # base not conformant, head conformant
    NEW_FEATURE = "new feature"  # head has something that base lacks
    EXPECTED = "expected"  # the ledger knows of it
    BOTH = "on both"  # not conformant, and no change: the same on both kernels
    SAME = "same"  # both conformant, and nothing differs
    LEFT_OUT = "left out"  # one of them cannot run it
    HARNESS = "harness error"  # there is no evidence


DIFFERENCES: Final = (
    Status.REGRESSION, Status.UNEXPLAINED, Status.FIX, Status.NEW_FEATURE, Status.EXPECTED,
    Status.BOTH,
)  # fmt: skip


class Seen(NamedTuple):
    """One kernel's part: what it did, and the verdict by its own facts."""

    outcome: Outcome
    verdict: Verdict


class Compared(msgspec.Struct, frozen=True):
    """What is to be said of one program.

    key: of its class. Programs of one class show the same thing. identity: of what differs, in
    full. facts: those that decide. ledger: ids of entries that know of it. requirement: the
    rule that is broken, or that the change is about. words: for a person. log: what a guest's
    kernel said of itself.
    """

    status: Status
    key: str = ""
    identity: str = ""
    facts: tuple[str, ...] = ()
    ledger: tuple[str, ...] = ()
    requirement: str = ""
    words: str = ""
    log: str = ""


class Comparer:
    """Compares outcomes of a pair of kernels."""

    def __init__(self, base: KernelFacts, head: KernelFacts, ledger: Ledger) -> None:
        self.base = base
        self.head = head
        self._ledger = ledger
        self._old_rules = as_base_would(base, head)
        self._facts = kernel_changes(base, head)
        self._changes = [change for change in ledger.changes if change.between(base, head)]

    @property
    def applicable(self) -> tuple[str, ...]:
        """Ids of the entries of the ledger that speak of these two kernels."""
        known = [
            entry.id
            for entry in self._ledger.entries
            if entry.applies(self.base) or entry.applies(self.head)
        ]
        return (*known, *(change.id for change in self._changes))

    def compare(
        self, program: Program, base: Seen, head: Seen, observe: Observe = LOOK
    ) -> Compared:
        """What is to be said of one program that both have run. Raises nothing."""
        sides = {"base": base.verdict, "head": head.verdict}
        for side, verdict in sides.items():
            if verdict.kind is VerdictKind.HARNESS_ERROR:
                words = f"{side}: {verdict.reason}"
                return Compared(Status.HARNESS, "harness", words=words)
        for side, verdict in sides.items():
            if verdict.kind is VerdictKind.SKIPPED:
                words = f"{side} lacks: {verdict.reason}"
                return Compared(Status.LEFT_OUT, words, words=words)
        if head.verdict.bad or base.verdict.bad:
            return self._not_conformant(program, base.verdict, head.verdict)
        return self._conformant(program, head.outcome, observe)

    def _not_conformant(self, program: Program, base: Verdict, head: Verdict) -> Compared:
        verdict = head if head.bad else base
        facts = self.head if head.bad else self.base
        identity = identify(program, verdict)
        entry = self._ledger.match(program, verdict, facts)
        status = Status.REGRESSION
        if not head.bad:
            status = Status.FIX
        elif base.bad:
            same = identify(program, base).alike(identity)
            status = Status.BOTH if same else Status.UNEXPLAINED
        known = () if entry is None else (entry.id,)
        if known and status in (Status.REGRESSION, Status.UNEXPLAINED):
            status = Status.EXPECTED
        alike = "/".join((identity.surface, identity.rule, identity.difference))
        first = verdict.differences[0]
        return Compared(
            status, " ".join((status.value, *known)) if known else f"{status.value} {alike}",
            str(identity), (), known, first.requirement, first.words, verdict.log,
        )  # fmt: skip

    def _conformant(self, program: Program, outcome: Outcome, observe: Observe) -> Compared:
        verdict = self._judged_by(program, outcome, self._old_rules, observe)
        if not verdict.bad:
            return Compared(Status.SAME)
        identity = identify(program, verdict)
        facts = self._deciding(program, outcome, observe)
        status, ledger, primary = self._explained(facts, str(identity))
        first = verdict.differences[0]
        # The verdict was made of head's outcome by base's rules: "model" is what base does.
        words = first.words.replace(": kernel ", ": head ").replace("model ", "base ", 1)
        alike = "/".join((identity.surface, identity.rule, identity.difference))
        key = {
            Status.EXPECTED: f"expected {primary}",
            Status.NEW_FEATURE: f"new feature {primary}",
        }.get(status, f"{status.value} {primary} {alike}")
        return Compared(
            status, key, str(identity), facts, ledger, first.requirement, words,
        )  # fmt: skip

    def _judged_by(
        self, program: Program, outcome: Outcome, facts: KernelFacts, observe: Observe
    ) -> Verdict:
        prediction = predict(program, facts, outside=outcome.outside, observe=int(observe))
        return judge(program, outcome, prediction)

    def _deciding(self, program: Program, outcome: Outcome, observe: Observe) -> tuple[str, ...]:
        """The facts without any of which the model could not explain what head does; where one
        of several is enough, those that are enough each; where neither is so, all."""
        needed = tuple(
            name
            for name in self._facts
            if self._judged_by(program, outcome, without(self.base, self.head, name), observe).bad
        )
        if needed:
            return needed
        enough = tuple(
            name
            for name in self._facts
            if not self._judged_by(
                program, outcome, as_base_would(self.base, self.head, name), observe
            ).bad
        )
        return enough or self._facts

    def _explained(
        self, facts: tuple[str, ...], identity: str
    ) -> tuple[Status, tuple[str, ...], str]:
        """Whether every deciding fact is a new feature or a change of the ledger, and the effect
        is one that an entry names; ids of the entries; and what names the class: the entry that
        names the effect, or the first fact that nothing explains."""
        ids: list[str] = []
        effect: list[str] = []
        open_facts: list[str] = []
        for name in facts:
            changes = [change for change in self._changes if change.fact == name]
            named = [change.id for change in changes if change.names(identity)]
            effect += named
            if changes:
                ids.append((named or [change.id for change in changes])[0])
            elif not gained(name, self.base, self.head):
                open_facts.append(name)
        new = [name for name in facts if gained(name, self.base, self.head)]
        if not open_facts and effect:
            return Status.EXPECTED, tuple(ids), effect[0]
        if not open_facts and new:
            return Status.NEW_FEATURE, tuple(ids), new[0]
        gone = [name for name in open_facts if lost(name, self.base, self.head)]
        if gone:
            return Status.REGRESSION, (), gone[0]
        return Status.UNEXPLAINED, (), (open_facts or list(facts))[0]
