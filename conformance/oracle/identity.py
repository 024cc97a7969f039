"""What tells one finding from another: never an address, a size, a seed or a page number.

An identity is (surface, advice, kinds of VMA, broken rule, class of difference), written
"madvise_ranges/DONTNEED/anon/gap-counted/stats.nr_gaps". The ledger names known divergences
by it, and findings of one identity are one finding. What a kernel's log accuses it of is
"kernel/any/any/kernel-quiet/" and the title of the report.
"""

from __future__ import annotations

from typing import Final

import msgspec

from conformance.abi.advice import BY_VALUE
from conformance.oracle.crash_titles import same_bug
from conformance.oracle.explain import as_int, surface
from conformance.oracle.kernel_said import FIELD
from conformance.oracle.rules import advice_at, advised
from conformance.oracle.verdict import Difference, Verdict
from conformance.program import call as c
from conformance.program.control_struct import ControlBytes
from conformance.program.mapping import Lock, Mapping, Sharing, Uffd
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program

NAMED_MAX: Final = 2  # more advices, or kinds, than these are "many": the mixture tells nothing
PARTS: Final = 5
KERNEL: Final = "kernel"  # the surface of what a kernel says of itself


class Identity(msgspec.Struct, frozen=True):
    """The five parts; str() joins them with "/". None contains a "/" itself."""

    surface: str
    advice: str
    kinds: str
    rule: str
    difference: str

    def __str__(self) -> str:
        return "/".join((self.surface, self.advice, self.kinds, self.rule, self.difference))

    def alike(self, other: Identity) -> bool:
        """Is it the same bug, perhaps seen with another advice or on other memory? What
        shrinking must keep: a smaller program may show the bug with a plainer advice. A wild
        access of the kernel's may end in one report or in another, see crash_titles."""
        if self.surface == other.surface == KERNEL:
            return same_bug(self.difference, other.difference)
        mine = (self.surface, self.rule, self.difference)
        return mine == (other.surface, other.rule, other.difference)


def identify(program: Program, verdict: Verdict) -> Identity:
    """The identity of what a verdict found. Raises ValueError for a verdict without
    differences: nothing was found."""
    if not verdict.differences:
        raise ValueError(f"a {verdict.kind.value} verdict has no identity")
    first = verdict.differences[0]
    if first.field.startswith(FIELD):
        return _of_the_kernel(first)
    steps = (*program.setup(), *program.steps)
    step = steps[min(first.step, len(steps) - 1)]
    return Identity(
        surface(step),
        _advice(step, first.page),
        _kinds(program, first.step, step, first.page),
        first.requirement or "none",
        first.field,
    )


def _of_the_kernel(said: Difference) -> Identity:
    """One broken invariant of the kernel shows under many calls: the title is all that counts."""
    title = said.field.removeprefix(FIELD).replace("/", "|")
    return Identity(KERNEL, "any", "any", said.requirement, title)


def _advice(step: object, page: int) -> str:
    if isinstance(step, c.MadviseRanges) and isinstance(step.control, ControlBytes):
        return "raw"
    if isinstance(step, c.ProcessMadvise):  # has one even where it has no ranges
        return _advice_name(as_int(step.advice))
    advice = advice_at(step, page_address(page)) if page >= 0 else None
    if advice is not None:
        return _advice_name(advice)
    return _joined([_advice_name(entry.advice) for entry in advised(step)])


def _advice_name(value: int) -> str:
    row = BY_VALUE.get(value)
    return row.name if row else "invalid"


def _joined(names: list[str]) -> str:
    different = sorted(set(names))
    if len(different) > NAMED_MAX:
        return "many"
    return "+".join(different) or "none"


def _kinds(program: Program, index: int, step: object, page: int) -> str:
    """The kinds of memory at the page, or in all that the call names."""
    spans = [(page, page + 1)] if page >= 0 else _spans(step)
    mappings = list(program.layout)
    before = index - len(program.setup())
    for earlier in program.steps[: max(0, before)]:
        if isinstance(earlier, c.Mmap):
            mappings.append(earlier.mapping)
    found: list[str] = []
    for first, after in spans:
        found += [_kind(m) for m in mappings if m.at < after and first < m.at + m.pages]
    if page >= 0:
        found = found[-1:]  # the mapping made last covers the others
    return _joined(found)


def _spans(step: object) -> list[tuple[int, int]]:
    """Arena pages [first, after) that a step names; addresses below the arena are negative."""
    if isinstance(step, c.TouchPages):
        return [(step.page, step.page + step.pages)]
    if isinstance(step, c.Race):
        return [span for actor in step.actors for call in actor.steps for span in _spans(call)]
    if isinstance(step, c.Mmap):
        return [(step.mapping.at, step.mapping.at + step.mapping.pages)]
    if isinstance(step, c.Mremap):
        return [_span(step.start, step.old_length)]
    if isinstance(step, c.Munmap | c.Mprotect | c.Mlock | c.Mseal | c.UffdRegister):
        return [_span(step.start, step.length)]
    return [_span(entry.start, entry.length) for entry in advised(step)]


def _span(start: int, length: int) -> tuple[int, int]:
    base = page_address(0)
    return (start - base) // PAGE, -(-(start + length - base) // PAGE)


def _kind(mapping: Mapping) -> str:
    words = [mapping.kind.value]
    if mapping.sharing is Sharing.SHARED:
        words.append("shared")
    if mapping.lock is not Lock.NO:
        words.append("locked")
    if mapping.uffd is not Uffd.NO:
        words.append("uffd")
    if mapping.sealed:
        words.append("sealed")
    return "-".join(words)
