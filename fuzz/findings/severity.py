"""Severity: which finding to look at first. A closed list in a stated order, with reasons.

It follows from what a finding is told apart by, so every file of a finding has it, and the same
bug has the same everywhere. It says what is at stake if the report is right, not how sure it is:
that is the k of n beside it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from conformance.oracle.crash_titles import cut_short, suppressed
from conformance.oracle.identity import KERNEL, PARTS
from conformance.oracle.kernel_said import HANG_TITLES, LEAK_TITLES
from conformance.oracle.verdict import VerdictKind


class Severity(IntEnum):
    """The worst first."""

    MEMORY_CORRUPTION = 1
    KERNEL_BYTES = 2
    CRASH = 3
    HANG = 4
    RESOURCE_LEAK = 5
    KERNEL_CHECK = 6
    PROCESS_DIES = 7
    WRONG_CONTENT = 8
    ABI = 9
    DIVERGENCE = 10
    SUPPRESSED = 11

    @property
    def label(self) -> str:
        """ "memory corruption"."""
        return self.name.lower().replace("_", " ")

    @property
    def why(self) -> str:
        """Why it stands where it does."""
        return WHY[self]


WHY: Final[dict[Severity, str]] = {
    Severity.MEMORY_CORRUPTION: "the kernel's own memory is read or written where it must not be: "
    "whoever may make the call may take the machine",
    Severity.KERNEL_BYTES: "bytes of the kernel's reach a program: secrets, and the addresses that "
    "an attack on the kernel needs",
    Severity.CRASH: "the kernel goes down, and every process with it",
    Severity.HANG: "a call or the kernel never comes back, and holds what it has",
    Severity.RESOURCE_LEAK: "memory or references are lost with each call, until there are none",
    Severity.KERNEL_CHECK: "a check of the kernel's own fails: what is behind it may be any of the "
    "above",
    Severity.PROCESS_DIES: "the process is killed in a call that must return",
    Severity.WRONG_CONTENT: "a page holds what it must not: data is lost, or comes back",
    Severity.ABI: "a struct is read or written otherwise than its layout says: programs of another "
    "version break",
    Severity.DIVERGENCE: "a result, a count or a flag is not what the specification allows",
    Severity.SUPPRESSED: "the kernel or its checkers ran into a limit: no mistake is shown",
}
_CORRUPTION: Final = (
    "KASAN: slab", "KASAN: use", "KASAN: double", "KASAN: invalid", "KASAN: stack", "KASAN: global",
    "KASAN: out", "KASAN: vmalloc", "KASAN: wild", "KFENCE: ", "UBSAN: array-index",
    "BUG: corrupted list", "BUG: Bad page", "WARNING: refcount bug",
    "kernel panic: stack is corrupted",
)  # fmt: skip
# What SLUB finds overwritten, or freed twice.
_SLAB: Final = tuple(
    f"BUG: {what}"
    for what in (
        "Poison",
        "Right Redzone",
        "Left Redzone",
        "Redzone",
        "Object",
        "Padding",
        "Freelist",
    )
)
_CRASHES: Final = (
    "BUG: unable to handle", "BUG: stack guard", "KASAN: ", "general protection fault",
    "kernel BUG", "kernel panic", "divide error", "invalid opcode", "kernel went down",
)  # fmt: skip
_OF_VERDICT: Final[dict[str, Severity]] = {
    VerdictKind.LEAK.value: Severity.KERNEL_BYTES,
    VerdictKind.HANG.value: Severity.HANG,
    VerdictKind.CRASH.value: Severity.PROCESS_DIES,
    VerdictKind.ABI_MISHANDLING.value: Severity.ABI,
}


def severity(identity: str, verdict: str) -> Severity:
    """Of a finding with this identity (see oracle.identity) and kind of verdict."""
    parts = identity.split("/")
    difference = parts[-1]
    if len(parts) == PARTS and parts[0] == KERNEL:
        return of_title(difference)
    known = _OF_VERDICT.get(verdict)
    if known is not None:
        return known
    if "page.content" in difference:
        return Severity.WRONG_CONTENT
    return Severity.DIVERGENCE


def of_title(title: str) -> Severity:
    """Of a report of the kernel."""
    if suppressed(title):
        return Severity.SUPPRESSED
    if title.startswith(LEAK_TITLES):
        return Severity.RESOURCE_LEAK
    if title.startswith(HANG_TITLES):
        return Severity.HANG
    if title.startswith(_CORRUPTION + _SLAB):
        return Severity.MEMORY_CORRUPTION
    if title.startswith(_CRASHES):
        return Severity.CRASH
    return Severity.KERNEL_CHECK


def marks_of(identity: str, log: str) -> str:
    """See Finding.marks."""
    marks = ["its report was cut short"] if cut_short(log) else []
    parts = identity.split("/")
    if len(parts) == PARTS and parts[0] == KERNEL and suppressed(parts[-1]):
        marks.append(suppressed(parts[-1]))
    return "; ".join(marks)
