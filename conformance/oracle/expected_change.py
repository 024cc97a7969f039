"""Expected changes: what kernels do otherwise from some release on, on purpose.

    [[change]]
    id = "self-takes-every-advice"
    fact = "self_any_advice"
    before = false
    after = true
    since = "6.13"
    identity = ["process_madvise/*/*/process-madvise-advice-invalid/result.*-not-EINVAL"]
    reason = "what changed, and why that is right"
    reference = "the commit, mail or source that shows it"

fact: of KernelFacts, by which the model tells the two behaviours apart; one of "advices" is
written "advices.COLD", one of "noexec" "noexec.memfd". before, after: its values; left out, any
two that differ. since: the first release that has the new one; backported: the first of older
releases whose updates may have it as well. identity: patterns of what a newer kernel does, judged
by the rules of an older one. A change excuses nothing but this fact, between such kernels, with
such an effect; compared the other way round, it excuses the way back.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from conformance.abi.advice import ADVICES, BY_NAME
from conformance.oracle.ledger_values import (
    at_least,
    at_most,
    read_file,
    read_id,
    read_patterns,
    read_release,
    read_words,
)
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.program.mapping import Kind
from conformance.program.text_table import Table, type_words

FactValue = bool | int | str
ADVICES_FACT: Final = "advices"
NOEXEC_FACT: Final = "noexec"
NOT_FLAT: Final = frozenset({"release", ADVICES_FACT, NOEXEC_FACT})
FLAT_NAMES: Final = frozenset(
    {
        *(name for name in KernelFacts.__struct_fields__ if name not in NOT_FLAT),
        *(f"{ADVICES_FACT}.{advice.name}" for advice in ADVICES),
        *(f"{NOEXEC_FACT}.{kind.value}" for kind in Kind),
    }
)


class Change(msgspec.Struct, frozen=True):
    """One expected change. before, after None: any. reproducer: a file in corpus/, or ""."""

    id: str
    fact: str
    since: str
    identity: tuple[str, ...]
    reason: str
    reference: str
    before: FactValue | None = None
    after: FactValue | None = None
    backported: str = ""
    reproducer: str = ""
    file: str = ""

    def between(self, base: KernelFacts, head: KernelFacts) -> bool:
        """Are these two kernels on the two sides of it, whichever is the newer?"""
        values = [flat_facts(facts)[self.fact] for facts in (base, head)]
        if values[0] == values[1]:
            return False
        forth = self._side(base.release, values[0], False) and self._side(
            head.release, values[1], True
        )
        back = self._side(head.release, values[1], False) and self._side(
            base.release, values[0], True
        )
        return forth or back

    def _side(self, release: str, value: FactValue, new: bool) -> bool:
        wanted = self.after if new else self.before
        if wanted is not None and wanted != value:
            return False
        if new:
            return at_least(release, self.backported or self.since)
        return not at_least(release, self.since)

    def names(self, identity: str) -> bool:
        """Does one of its patterns match?"""
        return any(fnmatchcase(identity, pattern) for pattern in self.identity)


def flat_facts(facts: KernelFacts) -> dict[str, FactValue]:
    """Every fact but the release by name, with one entry for each advice and each kind."""
    flat: dict[str, FactValue] = {
        name: getattr(facts, name) for name in KernelFacts.__struct_fields__ if name not in NOT_FLAT
    }
    flat["ranges_call"] = facts.ranges_call.value
    for advice in ADVICES:
        flat[f"{ADVICES_FACT}.{advice.name}"] = advice.value in facts.advices
    for kind in Kind:
        flat[f"{NOEXEC_FACT}.{kind.value}"] = kind.value in facts.noexec
    return flat


def with_facts(facts: KernelFacts, values: dict[str, FactValue]) -> KernelFacts:
    """The same kernel with some flat facts replaced."""
    changes: dict[str, object] = {
        name: RangesCall(value) if name == "ranges_call" else value
        for name, value in values.items()
        if "." not in name
    }
    advices, noexec = set(facts.advices), set(facts.noexec)
    for name, value in values.items():
        group, _, member = name.partition(".")
        if group == ADVICES_FACT and member:
            number = BY_NAME[member].value
            (advices.add if value else advices.discard)(number)
        elif group == NOEXEC_FACT and member:
            (noexec.add if value else noexec.discard)(member)
    changes[ADVICES_FACT] = tuple(sorted(advices))
    changes[NOEXEC_FACT] = tuple(sorted(noexec))
    return msgspec.structs.replace(facts, **changes)


def differing_facts(base: KernelFacts, head: KernelFacts) -> Iterator[str]:
    """Names of flat facts in which two kernels differ, in the order of the facts."""
    old, new = flat_facts(base), flat_facts(head)
    return (name for name in old if old[name] != new[name])


def read_change(table: Table, file: str) -> Change:
    """One [[change]]. Raises PlaceError."""
    ident = read_id(table)
    reason, reference = read_words(table, ("reason", "reference"))
    fact = table.string("fact")
    if fact not in FLAT_NAMES:
        raise table.fail("fact", f'knows no fact "{fact}"; see docs/facts.md')
    before, after = (_value(table, key, fact) for key in ("before", "after"))
    if before is not None and before == after:
        raise table.fail("after", "is the same as before: nothing changes")
    since = read_release(table, "since")
    if not since:
        raise table.fail("since", "is missing: the first release that has the change")
    backported = read_release(table, "backported")
    if backported and at_most(since, backported):
        raise table.fail("backported", f"must be older than since = {since}")
    change = Change(
        ident, fact, since, read_patterns(table), reason, reference, before, after, backported,
        read_file(table, "reproducer", ""), file,
    )  # fmt: skip
    table.end()
    return change


def _value(table: Table, key: str, fact: str) -> FactValue | None:
    if not table.has(key):
        return None
    value = table.take(key)
    kind = "bool" if "." in fact else str(KernelFacts.__annotations__[fact])
    kind = "str" if fact == "ranges_call" else kind
    if not isinstance(value, bool | int | str) or type(value).__name__ != kind:
        raise table.fail(key, f"{fact} is a {kind}, not {type_words(value)}")
    return value
