"""Allocations that fail: where the model says that the kernel needs memory, and may not get it.

Which of its own places the kernel's n-th allocation is, the model does not know. So it predicts a
call once for each of them failing, and once for none: the kernel also allocates what it can do
without, or asks again for. predict_fault() in predict.py does that, the oracle compares them all.
"""

from __future__ import annotations

from conformance.spec.cite import cite


class Allocations:
    """Those of one call, of whatever address space. due: how many places on it fails, 0 when none
    does, or none any more."""

    __slots__ = ("due",)

    def __init__(self) -> None:
        self.due = 0

    def fail(self) -> bool:
        """Does the kernel get no memory at the place where this is asked?"""
        if not self.due:
            return False
        self.due -= 1
        if self.due:
            return False
        cite("allocation-fails")
        return True
