"""madvise(2). Source: do_madvise()."""

from __future__ import annotations

from typing import Final

from conformance.abi.errnos import EINVAL
from conformance.model.address_space import AddressSpace, page_of, pages_up
from conformance.model.argument_checks import as_int, check_range
from conformance.model.memory_failure import POISON, inject_error
from conformance.model.walk import walk
from conformance.program.call import Madvise
from conformance.program.places import PAGE
from conformance.spec.cite import cite, met

MASK32: Final = (1 << 32) - 1


def madvise(space: AddressSpace, call: Madvise) -> int:
    """0 or -errno. Order: advice, alignment, rounding, wrap, zero length."""
    advice = as_int(call.advice)
    if call.advice >> 32 > 0:
        met("madvise-advice-int")
    if advice not in space.facts.advices:
        cite("madvise-advice-invalid")
        return -EINVAL
    start, length = call.start, call.length
    if call.ilp32:
        cite("madvise-compat")
        start &= MASK32
        length &= MASK32
    error = check_range(start, length)
    if error:
        return -error
    if length == 0:
        cite("madvise-length-zero")
        return 0
    return -advise(space, start, length, advice)


def advise(space: AddressSpace, start: int, length: int, advice: int) -> int:
    """madvise_do_behavior() on a checked range: 0 or a positive errno."""
    if advice in POISON:
        return inject_error(space, page_of(start), pages_up(length), advice)
    first = page_of(start)
    if length % PAGE:
        met("madvise-length-rounded")
    if start >= space.facts.task_size:
        met("madvise-beyond-user")
    return walk(space, first, first + pages_up(length), advice)
