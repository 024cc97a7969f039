"""Differences between a snapshot of the arena and what the model has there.

The two same_* functions decide, without allocating anything when all is equal; the others
are for the few that differ, and say what differs in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from conformance.abi import vm_flags
from conformance.model.prediction import ExpectedSnapshot, Prediction
from conformance.oracle.explain import Steps, content_class, page_words, span_words
from conformance.oracle.rules import MERGE_RULE, SPLIT_RULE, page_rule, vma_rule
from conformance.oracle.verdict import Difference
from conformance.program.outcome import (
    CONTENT_MASK,
    PAGE_GUARD,
    PAGE_PRESENT,
    PAGE_READ,
    PAGE_SWAP,
    PAGE_UNREADABLE,
    Snapshot,
)
from conformance.program.places import ARENA_BASE, PAGE, page_address

COMPARED_PAGE_BITS: Final = (
    CONTENT_MASK | PAGE_PRESENT | PAGE_SWAP | PAGE_GUARD | PAGE_UNREADABLE | PAGE_READ
)
# Soft-dirty is set by every fault and mapping, and by chance of config: it tells nothing.
COMPARED_FLAGS: Final = ((1 << len(vm_flags.NAMES)) - 1) & ~vm_flags.SD
PGOFF_FILE: Final = 1 << 63


def same_snapshot(expected: ExpectedSnapshot, seen: Snapshot) -> bool:
    """Is everything that is compared as the model has it?"""
    if expected.step != seen.step or expected.child != seen.child:
        return False
    if tuple(expected.vmas) != seen.vmas and not same_vmas(expected.vmas, seen.vmas):
        return False
    return tuple(expected.pages) == seen.pages or same_pages(expected, seen.pages)


def same_vmas(expected: list[int], seen: tuple[int, ...]) -> bool:
    """Equal but for flags that are not compared."""
    if len(expected) != len(seen):
        return False
    for index in range(len(seen)):
        if expected[index] != seen[index] and (
            index & 3 != 2 or (expected[index] ^ seen[index]) & COMPARED_FLAGS
        ):
            return False
    return True


def same_pages(expected: ExpectedSnapshot, seen: tuple[int, ...]) -> bool:
    """Is every page word as the model has it, under its mask or as an alternative?"""
    words = expected.pages
    if len(words) != len(seen):
        return False
    for index in range(len(seen)):
        if words[index] != seen[index] and not page_allowed(expected, index, seen[index]):
            return False
    return True


def page_allowed(expected: ExpectedSnapshot, index: int, seen: int) -> bool:
    """Is a page word as the model has it: under its mask, or as one of the alternatives?"""
    """Is one page word as the model has it, under its mask or as an alternative?"""
    mask = expected.page_masks.get(index, COMPARED_PAGE_BITS)
    if not page_difference(expected.pages[index], seen, mask):
        return True
    for alternative in expected.page_alternatives.get(index, ()):
        if not page_difference(alternative, seen, mask):
            return True
    return False


def page_difference(expected: int, seen: int, mask: int) -> int:
    """The compared bits that differ. Content that either side did not look at is not compared."""
    bits = (expected ^ seen) & mask
    if bits & CONTENT_MASK and not expected & seen & PAGE_READ:
        bits &= ~CONTENT_MASK
    return bits


def compare_snapshot(
    steps: Steps, expected: ExpectedSnapshot, seen: Snapshot, prediction: Prediction
) -> list[Difference]:
    """Every class of difference of one snapshot, each once: VMAs first, then pages."""
    if same_snapshot(expected, seen):
        return []
    where = steps.words(expected.step)
    if expected.child:
        where += ", in the other process"
    step = steps.all[expected.step]
    decided = prediction.requirements[expected.step]
    out: dict[str, Difference] = {}
    rule = vma_rule(step, expected.child, decided)
    for found in (*_areas(expected.vmas, seen.vmas, rule), *_bounds(expected.vmas, seen.vmas)):
        out.setdefault(found.field, found.difference(expected.step, where))
    for index in range(min(len(expected.pages), len(seen.pages))):
        if expected.pages[index] == seen.pages[index]:
            continue
        if page_allowed(expected, index, seen.pages[index]):
            continue
        rule = page_rule(step, expected.child, page_address(index), decided)
        page = _page(expected, index, seen.pages[index], rule, steps.setup)
        out.setdefault(page.field, page.difference(expected.step, where))
    return list(out.values())


class _Found:
    """A difference before it has its step. start, end: bytes it covers."""

    __slots__ = ("field", "kernel", "model", "start", "end", "rule")

    def __init__(
        self, field: str, kernel: str, model: str, start: int, end: int, rule: str
    ) -> None:
        self.field = field
        self.kernel = kernel
        self.model = model
        self.start = start
        self.end = end
        self.rule = rule

    def difference(self, step: int, where: str) -> Difference:
        """With words: where, what, the two sides, the rule."""
        what = span_words(self.start, self.end)
        if self.field.startswith("vma."):
            what += ", VMA"
        words = f"{where}: {what}: kernel {self.kernel}; model {self.model} ({self.rule})"
        page = (self.start - ARENA_BASE) // PAGE
        return Difference(step, self.field, self.kernel, self.model, words, self.rule, page)


def _areas(model: Sequence[int], kernel: Sequence[int], rule: str) -> Iterator[_Found]:
    """What is mapped, with which flags, showing what: over the parts that no edge divides."""
    edges = sorted({at for vmas in (model, kernel) for i in range(0, len(vmas), 4)
                    for at in vmas[i : i + 2]})  # fmt: skip
    for start, end in pairwise(edges):
        expected, seen = _covering(model, start), _covering(kernel, start)
        if expected is None or seen is None:
            if seen is not None:
                words = f"mapped ({vm_flags.names(seen[2])})"
                yield _Found("vma.mapped", words, "unmapped", start, end, rule)
            elif expected is not None:
                words = f"mapped ({vm_flags.names(expected[2])})"
                yield _Found("vma.unmapped", "unmapped", words, start, end, rule)
            continue
        more = seen[2] & ~expected[2] & COMPARED_FLAGS
        less = expected[2] & ~seen[2] & COMPARED_FLAGS
        if more | less:
            field = "vma.flags" + "".join(f"+{n}" for n in vm_flags.names(more).split())
            field += "".join(f"-{n}" for n in vm_flags.names(less).split())
            yield _Found(
                field, vm_flags.names(seen[2]), vm_flags.names(expected[2]), start, end, rule
            )
        if seen[3] & PGOFF_FILE != expected[3] & PGOFF_FILE:
            sides = ["a file" if vma[3] & PGOFF_FILE else "no file" for vma in (seen, expected)]
            yield _Found("vma.file", sides[0], sides[1], start, end, rule)
        elif seen[3] & PGOFF_FILE:
            shown = [vma[3] - PGOFF_FILE + (start - vma[0]) // PAGE for vma in (seen, expected)]
            if shown[0] != shown[1]:
                sides = [f"page {page} of the file" for page in shown]
                yield _Found("vma.pgoff", sides[0], sides[1], start, end, rule)


def _bounds(model: Sequence[int], kernel: Sequence[int]) -> Iterator[_Found]:
    """Edges between two VMAs where the other side has one VMA."""
    inner = [_inner_edges(vmas) for vmas in (kernel, model)]
    for at in sorted(inner[0] ^ inner[1]):
        if not all(_covering(vmas, place) for vmas in (kernel, model) for place in (at - 1, at)):
            continue  # one side has nothing mapped there: told as such
        if at in inner[0]:
            yield _Found("vma.split", "two VMAs", "one VMA", at - PAGE, at + PAGE, MERGE_RULE)
        else:
            yield _Found("vma.merged", "one VMA", "two VMAs", at - PAGE, at + PAGE, SPLIT_RULE)


def _inner_edges(vmas: Sequence[int]) -> set[int]:
    return {vmas[i] for i in range(4, len(vmas), 4) if vmas[i] == vmas[i - 3]}


def _covering(vmas: Sequence[int], at: int) -> tuple[int, int, int, int] | None:
    for i in range(0, len(vmas), 4):
        if vmas[i] <= at < vmas[i + 1]:
            return vmas[i], vmas[i + 1], vmas[i + 2], vmas[i + 3]
    return None


def _page(expected: ExpectedSnapshot, index: int, seen: int, rule: str, setup: int) -> _Found:
    """The heaviest difference of one page: its content, then its state."""
    model = expected.pages[index]
    mask = expected.page_masks.get(index, COMPARED_PAGE_BITS)
    bits = page_difference(model, seen, mask)
    at = page_address(index)
    field = "page.state"
    if bits & CONTENT_MASK:
        kinds = [content_class(word & CONTENT_MASK) for word in (seen, model)]
        field = f"page.content.{kinds[0]}-not-{kinds[1]}"
    else:
        for bit, name in _STATES:
            if bits & bit:
                field = f"page.{name}" if seen & bit else f"page.not-{name}"
                break
    words = [page_words(word, setup) for word in (seen, model)]
    for alternative in expected.page_alternatives.get(index, ()):
        words[1] += f" or {page_words(alternative, setup)}"
    return _Found(field, words[0], words[1], at, at + PAGE, rule)


_STATES: Final = (
    (PAGE_GUARD, "guard"),
    (PAGE_PRESENT, "present"),
    (PAGE_UNREADABLE, "unreadable"),
    (PAGE_SWAP, "swapped"),
    (PAGE_READ, "read"),
)
