"""The mistakes of model_mutants: each takes a right rule of the model and gives a wrong one.

They wrap what is there and change an argument or a result, so that they follow the model when
it changes. A wrong rule looks only at what it is given; it knows no other rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from conformance.abi import vm_flags as f
from conformance.abi.control_v1 import FLAGS_KNOWN
from conformance.abi.errnos import ENOMEM
from conformance.model.address_space import NO_COPY, AddressSpace, Vma
from conformance.model.page_state import unmap_pages
from conformance.program.call import Madvise, ProcessMadvise
from conformance.program.places import PAGE

SEQUENTIAL, DONTNEED, FREE, MERGEABLE, NOHUGEPAGE, WIPEONFORK = 2, 4, 8, 12, 15, 18
POPULATE: Final = (22, 23)
MAPPED_PAGES_MAX: Final = 4096  # a range longer than this is not cut: its end is seldom mapped

Rule = Callable[..., Any]


def last_page_left_out(walk: Rule) -> Rule:
    """Off by one at the end of the range."""

    def rule(space: AddressSpace, start: int, end: int, advice: int) -> int:
        short = 1 < end - start < MAPPED_PAGES_MAX
        return int(walk(space, start, end - 1 if short else end, advice))

    return rule


def gap_forgiven(walk: Rule) -> Rule:
    """ENOMEM of the walk is swallowed."""

    def rule(space: AddressSpace, start: int, end: int, advice: int) -> int:
        error = int(walk(space, start, end, advice))
        return 0 if error == ENOMEM else error

    return rule


def zero_length_first(madvise: Rule) -> Rule:
    """Two checks in the wrong order."""

    def rule(space: AddressSpace, call: Madvise) -> int:
        return 0 if call.length == 0 else int(madvise(space, call))

    return rule


def start_rounded(check_range: Rule) -> Rule:
    """A check is missing."""
    return lambda start, length: check_range(start - start % PAGE, length)


def populate_passes_gaps(populate_range: Rule) -> Rule:
    """As kernels before 6.9 did."""

    def rule(space: AddressSpace, *arguments: Any) -> int:
        facts = space.facts
        space.facts = msgspec.structs.replace(facts, populate_stops_at_gap=False)
        try:
            return int(populate_range(space, *arguments))
        finally:
            space.facts = facts

    return rule


def sequential_keeps_random(new_flags: Rule) -> Rule:
    """A flag is not cleared."""

    def rule(space: AddressSpace, vma: Vma, advice: int) -> int:
        flags = int(new_flags(space, vma, advice))
        return flags | vma.flags & f.RR if advice == SEQUENTIAL else flags

    return rule


def nohugepage_keeps_hugepage(new_flags: Rule) -> Rule:
    """A flag is not cleared."""

    def rule(space: AddressSpace, vma: Vma, advice: int) -> int:
        flags = int(new_flags(space, vma, advice))
        return flags | vma.flags & f.HG if advice == NOHUGEPAGE else flags

    return rule


def wipeonfork_of_files(new_flags: Rule) -> Rule:
    """A check is missing."""

    def rule(space: AddressSpace, vma: Vma, advice: int) -> int:
        return vma.flags | f.WF if advice == WIPEONFORK else int(new_flags(space, vma, advice))

    return rule


def mergeable_anywhere(new_flags: Rule) -> Rule:
    """A check is missing."""

    def rule(space: AddressSpace, vma: Vma, advice: int) -> int:
        return vma.flags | f.MG if advice == MERGEABLE else int(new_flags(space, vma, advice))

    return rule


def flags_not_compared(can_join: Rule) -> Rule:
    """The flags of the left VMA are taken for those wanted."""

    def rule(space: AddressSpace, left: Vma, start: int, flags: int, *rest: Any) -> bool:
        return bool(can_join(space, left, start, left.flags, *rest))

    return rule


def guards_zapped(zap: Rule) -> Rule:
    """What munmap does in the place of what DONTNEED does."""
    return lambda space, start, end: unmap_pages(space, start, end)


def lock_not_looked_at(dontneed_free: Rule) -> Rule:
    """A check is missing."""

    def rule(space: AddressSpace, vma: Vma, start: int, end: int, advice: int) -> int:
        return int(_without_lock(vma, lambda: dontneed_free(space, vma, start, end, advice)))

    return rule


def lock_not_looked_at_cold(cold: Rule) -> Rule:
    """A check is missing."""

    def rule(space: AddressSpace, vma: Vma, start: int, end: int) -> int:
        return int(_without_lock(vma, lambda: cold(space, vma, start, end)))

    return rule


def _without_lock(vma: Vma, act: Callable[[], Any]) -> Any:
    locked = vma.flags & f.LO
    vma.flags &= ~f.LO
    try:
        return act()
    finally:
        vma.flags |= locked


def free_is_dontneed(dontneed_free: Rule) -> Rule:
    """One advice taken for another."""

    def rule(space: AddressSpace, vma: Vma, start: int, end: int, advice: int) -> int:
        return int(dontneed_free(space, vma, start, end, DONTNEED if advice == FREE else advice))

    return rule


def private_copies_dropped(remove: Rule) -> Rule:
    """As truncation does: even copies."""

    def rule(space: AddressSpace, vma: Vma, start: int, end: int) -> int:
        error = int(remove(space, vma, start, end))
        first, last = vma.file_page(start), vma.file_page(end)
        for other in space.vmas if not error else ():
            if other.file is vma.file:
                low = max(other.start, other.start + first - other.pgoff)
                high = min(other.end, other.start + last - other.pgoff)
                for index in space.arena_span(low, high):
                    if space.copy_of[index] != NO_COPY:
                        space.clear_page(index)
        return error

    return rule


def guards_left(guard_remove: Rule) -> Rule:
    """The checks are made, nothing is done."""
    return lambda space, vma, start, end: guard_remove(space, vma, start, start)


def dontfork_inherited(fork: Rule) -> Rule:
    """A flag is not looked at."""
    return lambda parent: _fork_without(fork, parent, f.DC)


def wipeonfork_copied(fork: Rule) -> Rule:
    """A flag is not looked at."""
    return lambda parent: _fork_without(fork, parent, f.WF)


def _fork_without(fork: Rule, parent: AddressSpace, flag: int) -> Any:
    """Fork with a flag hidden; parent and child have it afterwards where it was."""
    hidden = [vma for vma in parent.vmas if vma.flags & flag]
    starts = {vma.start for vma in hidden}
    for vma in hidden:
        vma.flags &= ~flag
    child = fork(parent)
    for vma in hidden:
        vma.flags |= flag
    for vma in child.vmas:
        if vma.start in starts:
            vma.flags |= flag
    return child


def partial_told_as_whole(vector: Rule) -> Rule:
    """The bytes asked for in the place of the bytes done."""

    def rule(space: AddressSpace, vec: list[tuple[int, int]], advice: int) -> int:
        done = int(vector(space, vec, advice))
        return sum(length for _, length in vec) if done > 0 else done

    return rule


def flags_dropped(process_madvise: Rule) -> Rule:
    """A check is missing."""

    def rule(process: Any, call: ProcessMadvise) -> int:
        return int(process_madvise(process, msgspec.structs.replace(call, flags=0)))

    return rule


def reserved_bits_pass(check_options: Rule) -> Rule:
    """A check is missing."""
    return lambda kind, flags, set_default: check_options(kind, flags & FLAGS_KNOWN, set_default)


def last_error_told(fail: Rule) -> Rule:
    """What was noted first is overwritten."""

    def rule(stats: Any, *arguments: int) -> None:
        stats.err = 0
        fail(stats, *arguments)

    return rule


def stats_only_on_success(deliver: Rule) -> Rule:
    """An early return."""

    def rule(process: Any, request: Any, stats: Any, report: Any, error: int) -> int:
        return error if error else int(deliver(process, request, stats, report, error))

    return rule


def partial_unset(pack_per_range: Rule) -> Rule:
    """A member is not filled in."""
    return lambda start, length, advice, success, partial, shape: pack_per_range(
        start, length, advice, success, False, shape
    )


def success_always(pack_per_range: Rule) -> Rule:
    """Reached is taken for succeeded."""
    return lambda start, length, advice, success, partial, shape: pack_per_range(
        start, length, advice, True, partial, shape
    )
