"""Which rule of the specification a difference in effects breaks, by the step it follows."""

from __future__ import annotations

from typing import Final, NamedTuple

from conformance.abi.advice import BY_NAME
from conformance.oracle.explain import as_int
from conformance.program import call as c
from conformance.program.control_struct import All, ControlBytes, Single
from conformance.program.places import PAGE

_PAGE_RULES_BY_NAME: Final[dict[str, str]] = {
    "DONTNEED": "madvise-dontneed-content",
    "DONTNEED_LOCKED": "madvise-dontneed-content",
    "FREE": "madvise-free-content",
    "REMOVE": "madvise-remove-content",
    "GUARD_INSTALL": "madvise-guard-content",
    "GUARD_REMOVE": "madvise-guard-remove",
    "POPULATE_READ": "madvise-populate-present",
    "POPULATE_WRITE": "madvise-populate-present",
}
PAGE_RULES: Final = {BY_NAME[name].value: rule for name, rule in _PAGE_RULES_BY_NAME.items()}
PAGES_KEPT: Final = "madvise-content-kept"
FLAGS_RULE: Final = "madvise-flags"
SPLIT_RULE: Final = "vma-split"
MERGE_RULE: Final = "vma-merge"
FORK_RULE: Final = "fork-effect"


class Advised(NamedTuple):
    """One range and its advice, as a call has them; the whole address space for ALL."""

    start: int
    length: int
    advice: int


def advised(step: object) -> tuple[Advised, ...]:
    """What a call of the three surfaces advises; nothing for other steps and for raw bytes."""
    if isinstance(step, c.Madvise):
        return (Advised(step.start, step.length, as_int(step.advice)),)
    if isinstance(step, c.Race):
        calls = [call for actor in step.actors for call in actor.steps]
        return tuple(entry for call in calls for entry in advised(call))
    if isinstance(step, c.ProcessMadvise):
        advice = as_int(step.advice)
        return tuple(Advised(r.start, r.length, advice) for r in step.vec)
    if not isinstance(step, c.MadviseRanges) or isinstance(step.control, ControlBytes):
        return ()
    arm = step.control.arm
    if isinstance(arm, All):
        return (Advised(0, 1 << 47, as_int(arm.advice)),)
    ranges = (arm.range,) if isinstance(arm, Single) else arm.ranges
    return tuple(Advised(r.start, r.length, as_int(r.advice)) for r in ranges)


def advice_at(step: object, address: int) -> int | None:
    """The advice that a call gives last to the page at an address; None: none."""
    for entry in reversed(advised(step)):
        if entry.start - PAGE < address < entry.start + entry.length:
            return entry.advice
    return None


def vma_rule(step: object, child: bool, decided: str) -> str:
    """The rule behind what is mapped, and with which flags. decided: that of the result."""
    if child and isinstance(step, c.Fork):
        return FORK_RULE
    return FLAGS_RULE if isinstance(step, _SURFACES) else decided


def page_rule(step: object, child: bool, address: int, decided: str) -> str:
    """The rule behind the state and content of the page at an address."""
    if child and isinstance(step, c.Fork):
        return FORK_RULE
    if not isinstance(step, _SURFACES):
        return decided
    advice = advice_at(step, address)
    return PAGES_KEPT if advice is None else PAGE_RULES.get(advice, PAGES_KEPT)


_SURFACES: Final = (c.Madvise, c.ProcessMadvise, c.MadviseRanges)
