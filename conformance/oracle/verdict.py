"""Verdict: what the oracle says of one run of one program, with its evidence."""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec


class VerdictKind(str, Enum):
    """A closed list. Every verdict starts as harness-error and is upgraded by evidence."""

    CONFORMANT = "conformant"
    DIVERGENCE = "divergence"  # the kernel did what the specification does not allow
    CRASH = "crash"  # the process died where it must not, or the kernel says that it is broken
    HANG = "hang"  # the deadline passed inside a step, or the kernel hangs
    ABI_MISHANDLING = "abi-mishandling"  # version, reserved bits, layout, bytes it may not write
    LEAK = "leak"  # bytes came back that the program never had, or kernel memory was lost
    SKIPPED = "skipped"  # the target lacks what the program needs
    HARNESS_ERROR = "harness-error"  # no evidence, or evidence that contradicts itself


BAD_KINDS: Final = frozenset(
    {
        VerdictKind.DIVERGENCE,
        VerdictKind.CRASH,
        VerdictKind.HANG,
        VerdictKind.ABI_MISHANDLING,
        VerdictKind.LEAK,
    }
)


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not as predicted.

    step: index into setup() + steps. field: what differs, as a class that holds no address,
    size or page number ("result", "stats.nr_gaps", "vma.flags+hg", "page.content"). kernel,
    model: the two values in words. words: the whole difference, for a person. requirement:
    the id of the rule that is broken. page: the first arena page that is different, -1 where
    the difference is not one of pages.
    """

    step: int
    field: str
    kernel: str
    model: str
    words: str
    requirement: str
    page: int = -1


class Verdict(msgspec.Struct, frozen=True):
    """One judgement.

    differences: those of the first step where anything differs, in order of weight; what
    comes after it in the program is not judged. unspecified: steps whose outcome the model
    leaves open or could not follow. reason: for skipped, harness-error, crash and hang.
    log: what the kernel said of itself, as in Outcome.log. race: of a program with a race, what
    judged it: ORDER or INVARIANTS; "" for others, and where something else decided.
    """

    kind: VerdictKind = VerdictKind.HARNESS_ERROR
    differences: tuple[Difference, ...] = ()
    unspecified: int = 0
    reason: str = ""
    log: str = ""
    race: str = ""

    @property
    def requirements(self) -> tuple[str, ...]:
        """Ids of the broken rules, each once, in the order of the differences."""
        ids = (difference.requirement for difference in self.differences)
        return tuple(dict.fromkeys(ident for ident in ids if ident))

    @property
    def bad(self) -> bool:
        """Is it something that was found: anything but conformant, skipped, harness-error?"""
        return self.kind in BAD_KINDS


ORDER, INVARIANTS = "order", "invariants"  # Verdict.race

CONFORMANT: Final = Verdict(VerdictKind.CONFORMANT)
BY_ORDER: Final = Verdict(VerdictKind.CONFORMANT, race=ORDER)
BY_INVARIANTS: Final = Verdict(VerdictKind.CONFORMANT, (), 1, race=INVARIANTS)

# Conformant with 1, 2, ... steps left open: shared, since almost every program gets one.
_OPEN: Final = tuple(Verdict(VerdictKind.CONFORMANT, (), count) for count in range(64))


def conformant(unspecified: int) -> Verdict:
    """The verdict of a program that did as predicted, of which so many steps were left open."""
    if unspecified < len(_OPEN):
        return _OPEN[unspecified]
    return Verdict(VerdictKind.CONFORMANT, (), unspecified)
