"""Checks of a call's arguments, before any VMA is looked at. They change nothing."""

from __future__ import annotations

from typing import Final

from conformance.abi.errnos import EINVAL
from conformance.program.kernel_facts import KernelFacts
from conformance.program.places import PAGE
from conformance.spec.cite import cite

MASK64: Final = (1 << 64) - 1


def check_range(start: int, length: int) -> int:
    """check_input_range(): 0 or EINVAL. start and length are unsigned 64-bit values."""
    if start % PAGE:
        cite("madvise-unaligned")
        return EINVAL
    rounded = (length + PAGE - 1) & MASK64 & ~(PAGE - 1)
    if length and not rounded:
        cite("madvise-length-rounds-to-zero")
        return EINVAL
    if start + rounded > MASK64:
        cite("madvise-wraps")
        return EINVAL
    return 0


def access_ok(facts: KernelFacts, start: int, length: int) -> bool:
    """access_ok() on x86-64: the end must not pass the last user address."""
    return start + length <= facts.task_size


def as_int(register: int) -> int:
    """The C int in the low half of a register."""
    low = register & 0xFFFF_FFFF
    return low - (1 << 32) if low >> 31 else low
