"""VmFlags as madvet speaks of them: one bit per two-letter name of /proc/PID/smaps.

Raw vm_flags bits move between releases; the two-letter names do not. The executor turns
either source (BPF iterator: raw bits, smaps: names) into these bits.
"""

from __future__ import annotations

from typing import Final

# Order is the wire order: append only. Source: show_smap_vma_flags() in fs/proc/task_mmu.c.
NAMES: Final[tuple[str, ...]] = (
    "rd", "wr", "ex", "sh", "mr", "mw", "me", "ms", "gd", "pf", "lo", "io", "sr", "rr", "dc",
    "de", "lf", "ac", "nr", "ht", "sf", "ar", "wf", "dd", "sd", "mm", "hg", "nh", "mg", "bt",
    "mt", "um", "uw", "ui", "ss", "sl", "dp", "gu", "ur",
)  # fmt: skip

BIT: Final[dict[str, int]] = {name: 1 << index for index, name in enumerate(NAMES)}

RD: Final = 1 << 0  # VM_READ
WR: Final = 1 << 1  # VM_WRITE
EX: Final = 1 << 2  # VM_EXEC
SH: Final = 1 << 3  # VM_SHARED
MR: Final = 1 << 4  # VM_MAYREAD
MW: Final = 1 << 5  # VM_MAYWRITE
ME: Final = 1 << 6  # VM_MAYEXEC
MS: Final = 1 << 7  # VM_MAYSHARE
GD: Final = 1 << 8  # VM_GROWSDOWN
PF: Final = 1 << 9  # VM_PFNMAP
LO: Final = 1 << 10  # VM_LOCKED
IO: Final = 1 << 11  # VM_IO
SR: Final = 1 << 12  # VM_SEQ_READ
RR: Final = 1 << 13  # VM_RAND_READ
DC: Final = 1 << 14  # VM_DONTCOPY
DE: Final = 1 << 15  # VM_DONTEXPAND
LF: Final = 1 << 16  # VM_LOCKONFAULT
AC: Final = 1 << 17  # VM_ACCOUNT
NR: Final = 1 << 18  # VM_NORESERVE
HT: Final = 1 << 19  # VM_HUGETLB
SF: Final = 1 << 20  # VM_SYNC
AR: Final = 1 << 21  # VM_ARCH_1
WF: Final = 1 << 22  # VM_WIPEONFORK
DD: Final = 1 << 23  # VM_DONTDUMP
SD: Final = 1 << 24  # VM_SOFTDIRTY
MM: Final = 1 << 25  # VM_MIXEDMAP
HG: Final = 1 << 26  # VM_HUGEPAGE
NH: Final = 1 << 27  # VM_NOHUGEPAGE
MG: Final = 1 << 28  # VM_MERGEABLE
UM: Final = 1 << 31  # VM_UFFD_MISSING
UW: Final = 1 << 32  # VM_UFFD_WP
UI: Final = 1 << 33  # VM_UFFD_MINOR
SS: Final = 1 << 34  # VM_SHADOW_STACK
SL: Final = 1 << 35  # VM_SEALED
DP: Final = 1 << 36  # VM_DROPPABLE
GU: Final = 1 << 37  # VM_MAYBE_GUARD
UR: Final = 1 << 38  # VM_UFFD_RWP


SPECIAL: Final = IO | DE | PF | MM  # VM_SPECIAL
ACCESS: Final = RD | WR | EX  # VM_ACCESS_FLAGS


def names(flags: int) -> str:
    """The flags as smaps prints them: two-letter names, in bit order, joined by spaces."""
    return " ".join(name for name, bit in BIT.items() if flags & bit)
