"""The ranges that a step names, seen alike whatever the call: read, and put back changed."""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec.structs import replace

from conformance.program import call as c
from conformance.program import control_struct as cs
from conformance.program.call import IoRange, Madvise, MadviseRanges, ProcessMadvise, Step
from conformance.program.places import ARENA_BASE, ARENA_PAGES_MAX, PAGE, page_address
from conformance.program.program import Program

RANGES_MAX: Final = 9  # that a mutation makes: enough for what depends on how many there are
SIZE_MASK: Final = (1 << 64) - 1

Span: TypeAlias = tuple[int, int]  # first byte, bytes


def ranges_of(step: Step) -> tuple[Span, ...]:
    """All of them, in order."""
    if isinstance(step, Madvise | c.Munmap | c.Mprotect):
        return ((step.start, step.length),)
    if isinstance(step, c.Mremap):
        return ((step.start, step.old_length),)
    if isinstance(step, c.TouchPages):
        return ((page_address(step.page), step.pages * PAGE),)
    if isinstance(step, ProcessMadvise):
        return tuple((r.start, r.length) for r in step.vec)
    if isinstance(step, MadviseRanges):
        return tuple((r.start, r.length) for r in _elements(step.control))
    return ()


def with_range(step: Step, at: int, span: Span) -> Step:
    """The step with one of its ranges elsewhere."""
    start, length = span[0] & SIZE_MASK, span[1] & SIZE_MASK
    if isinstance(step, Madvise | c.Munmap | c.Mprotect):
        return replace(step, start=start, length=length)
    if isinstance(step, c.Mremap):
        return replace(step, start=start, old_length=length)
    if isinstance(step, c.TouchPages):
        page = max(0, (start - ARENA_BASE) // PAGE)
        return replace(step, page=min(page, ARENA_PAGES_MAX - 1), pages=max(1, length // PAGE))
    if isinstance(step, ProcessMadvise):
        vec = (*step.vec[:at], IoRange(start, length), *step.vec[at + 1 :])
        return replace(step, vec=vec)
    assert isinstance(step, MadviseRanges), "a step that has ranges"
    elements = _elements(step.control)
    changed = replace(elements[at], start=start, length=length)
    return with_elements(step, (*elements[:at], changed, *elements[at + 1 :]))


def with_elements(step: MadviseRanges, elements: tuple[cs.Range, ...]) -> MadviseRanges:
    """The call with these ranges, as far as its arm has room for them."""
    control = step.control
    if isinstance(control, cs.ControlBytes):
        return replace(step, control=replace(control, ranges=elements))
    arm = control.arm
    if isinstance(arm, cs.Single) and elements:
        arm = cs.Single(elements[0])
    elif isinstance(arm, cs.Multi):
        arm = replace(arm, ranges=elements)
    return replace(step, control=replace(control, arm=arm))


def elements_of(step: MadviseRanges) -> tuple[cs.Range, ...]:
    """The ranges of a call with their advices."""
    return _elements(step.control)


def _elements(control: cs.Control) -> tuple[cs.Range, ...]:
    if isinstance(control, cs.ControlBytes):
        return control.ranges
    if isinstance(control.arm, cs.Single):
        return (control.arm.range,)
    return control.arm.ranges if isinstance(control.arm, cs.Multi) else ()


def edges_of(program: Program) -> tuple[int, ...]:
    """Addresses at which something begins or ends: mappings of the layout and of steps, marks,
    and so the gaps between them."""
    pages: set[int] = set()
    mapped = [*program.layout, *(s.mapping for s in program.steps if isinstance(s, c.Mmap))]
    for mapping in mapped:
        pages |= {mapping.at, mapping.at + mapping.pages}
        for mark in mapping.marks:
            pages |= {mapping.at + mark.page, mapping.at + mark.page + mark.pages}
    return tuple(page_address(page) for page in sorted(pages))
