"""The identity of a finding: that of its verdict, or of a crash whose log gives it a title."""

from __future__ import annotations

from conformance.oracle.identity import Identity, identify
from conformance.oracle.verdict import Verdict, VerdictKind
from conformance.program.program import Program

__all__ = ["Identity", "identity_of"]


def identity_of(program: Program, verdict: Verdict, title: str = "") -> Identity:
    """What tells this finding from others; never an address, a size, a seed or a page number.

    title: what the kernel's log calls a crash, where there is a log. It alone is the identity
    then, since one broken invariant shows up under many calls. Raises ValueError for a verdict
    that found nothing.
    """
    if title and verdict.kind in (VerdictKind.CRASH, VerdictKind.HANG):
        return Identity("kernel", "any", "any", verdict.kind.value, title.replace("/", "|"))
    return identify(program, verdict)
