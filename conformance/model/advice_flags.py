"""Advices that set or clear VmFlags. Source: madvise_vma_behavior(), madvise_update_vma()."""

from __future__ import annotations

from typing import Final

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EAGAIN, EINTR, EINVAL, ENOMEM
from conformance.model.address_space import AddressSpace, Vma
from conformance.model.split_merge import modify
from conformance.program.kernel_facts import RangesCall
from conformance.spec.cite import cite, met

NORMAL, RANDOM, SEQUENTIAL = 0, 1, 2
DONTFORK, DOFORK = 10, 11
MERGEABLE, UNMERGEABLE = 12, 13
HUGEPAGE, NOHUGEPAGE = 14, 15
DONTDUMP, DODUMP = 16, 17
WIPEONFORK, KEEPONFORK = 18, 19
# What each sets and clears.
FLAG_RULES: Final[dict[int, str]] = {
    NORMAL: "madvise-normal-flags",
    RANDOM: "madvise-random-flags",
    SEQUENTIAL: "madvise-sequential-flags",
    DONTFORK: "madvise-dontfork-flags",
    DOFORK: "madvise-dofork-flags",
    MERGEABLE: "madvise-mergeable-flags",
    UNMERGEABLE: "madvise-unmergeable-flags",
    HUGEPAGE: "madvise-hugepage-flags",
    NOHUGEPAGE: "madvise-nohugepage-flags",
    DONTDUMP: "madvise-dontdump-flags",
    DODUMP: "madvise-dodump-flags",
    WIPEONFORK: "madvise-wipeonfork-flags",
    KEEPONFORK: "madvise-keeponfork-flags",
}


def new_flags(space: AddressSpace, vma: Vma, advice: int) -> int:
    """The VMA's flags under an advice, or -errno. Changes nothing."""
    flags = vma.flags
    if advice == NORMAL:
        return flags & ~(f.RR | f.SR)
    if advice == RANDOM:
        return flags & ~f.SR | f.RR
    if advice == SEQUENTIAL:
        return flags & ~f.RR | f.SR
    if advice == DONTFORK:
        return flags | f.DC
    if advice == DOFORK:
        if flags & (f.SPECIAL if space.facts.dofork_refuses_special else f.IO):
            cite("madvise-dofork-special")
            return -EINVAL
        return flags & ~f.DC
    if advice == WIPEONFORK:
        if vma.file is not None or flags & f.SH:
            cite("madvise-wipeonfork-anon")
            return -EINVAL
        return flags | f.WF
    if advice == KEEPONFORK:
        if flags & f.DP:
            cite("madvise-keeponfork-droppable")
            return -EINVAL
        return flags & ~f.WF
    if advice == DONTDUMP:
        return flags | f.DD
    if advice == DODUMP:
        if (flags & f.SPECIAL and not flags & f.HT) or flags & f.DP:
            cite("madvise-dodump-special")
            return -EINVAL
        return flags & ~f.DD
    return _memory_flags(flags, advice)


def _memory_flags(flags: int, advice: int) -> int:
    """KSM and huge pages: ksm_madvise(), hugepage_madvise()."""
    if advice == MERGEABLE:
        if flags & (f.SH | f.MS | f.SPECIAL | f.HT | f.DP):
            cite("madvise-mergeable-ignored")
            return flags
        return flags | f.MG
    if advice == UNMERGEABLE:
        return flags & ~f.MG
    if advice == HUGEPAGE:
        return flags & ~f.NH | f.HG
    return flags & ~f.HG | f.NH


def signal_waits(space: AddressSpace) -> bool:
    """Has a signal come that is handled when the call returns? It came while the call slept, which
    it did in the caller's memory. A shim returns after each range."""
    if space.facts.ranges_call is not RangesCall.KERNEL:
        return False
    caller = space.peer if space.peer is not None and space.peer.slept else space
    return caller.slept and caller.watched_from < caller.watched_to


def apply_flags(space: AddressSpace, vma: Vma, start: int, end: int, advice: int) -> int:
    """0 or an errno; ENOMEM is told as EAGAIN. An advice that changes no flag splits nothing."""
    flags = new_flags(space, vma, advice)
    if flags < 0:
        return -flags
    if flags == vma.flags:
        met("madvise-flags-unchanged")
        return 0
    met("madvise-flags")
    met(FLAG_RULES[advice])
    if advice == UNMERGEABLE and vma.anon_vma:  # signal_pending() in break_ksm_pmd_entry()
        if space.storm:
            space.unsure = "a signal may end UNMERGEABLE before it has taken all pages apart"
        if signal_waits(space):
            if space.large:
                space.unsure = "UNMERGEABLE asks for signals only where there are page tables"
            cite("signal-unmergeable")
            return EINTR
    error = 0
    if advice == MERGEABLE and space.allocations.fail():  # __ksm_enter(), once for each process
        error = ENOMEM
    error = error or modify(space, vma, start, end, flags)
    if error == ENOMEM:
        cite("madvise-enomem-as-eagain")
        return EAGAIN
    return error
