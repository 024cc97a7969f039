"""Where things lie in the address space of a program's process: fixed on every target.

The arena is the lowest mapping, so that readers of smaps may stop early; the executor
itself is linked at EXECUTOR_BASE. Control structs lie in the zone between, in pages that
no program maps, unless a program places them elsewhere on purpose.
"""

from __future__ import annotations

from typing import Final

PAGE: Final = 4096  # bytes; base page of every target
ARENA_BASE: Final = 0x1000_0000
ARENA_PAGES_MAX: Final = 2048  # 8 MiB: room for hugetlb mappings
ARENA_END_MAX: Final = ARENA_BASE + ARENA_PAGES_MAX * PAGE

ZONE_BASE: Final = 0x2000_0000  # readable and writable
ZONE_PAGES: Final = 40
ZONE_END: Final = ZONE_BASE + ZONE_PAGES * PAGE  # the page at ZONE_END is never mapped
ZONE_RO_BASE: Final = 0x2010_0000  # read-only alias of ZONE_RO_WRITE_BASE
ZONE_RO_WRITE_BASE: Final = 0x2020_0000  # the executor writes read-only structs through this
ZONE_RO_PAGES: Final = 40
ZONE_RO_END: Final = ZONE_RO_BASE + ZONE_RO_PAGES * PAGE  # never mapped
ZONE_POISON: Final = 0xA5  # every byte of the zones that no struct covers

# The usual place of each struct, as an offset into either zone (bytes).
CTL_OFFSET: Final = 0x100
STATS_OFFSET: Final = 0x400
ARRAY_OFFSET: Final = 0x1000  # ranges or iovecs: 1025 elements of 24 bytes fit
PER_RANGE_OFFSET: Final = 0x9000  # 1025 elements of 32 bytes fit

UNMAPPED: Final = 0x3000_0000  # nothing is ever mapped in this page
NULL: Final = 0
KERNEL: Final = 0xFFFF_8880_0000_0000  # canonical kernel half
NONCANONICAL: Final = 0x0000_8000_0000_0000
TASK_SIZE: Final = 0x0000_7FFF_FFFF_F000  # x86-64 with 4-level page tables
EXECUTOR_BASE: Final = 0x4000_0000

# File descriptors that the executor holds open at fixed numbers.
FD_PIDFD_SELF: Final = 200
FD_PIDFD_REMOTE: Final = 201
FD_PIDFD_DEAD: Final = 202  # exited and reaped
FD_PIDFD_ZOMBIE: Final = 203  # exited, not reaped
FD_NOT_PIDFD: Final = 204  # an ordinary file
FD_PIDFD_KTHREAD: Final = 205  # a kernel thread, where one is visible
FD_ZERO: Final = 206  # /dev/zero
FD_HEIRS_OUT: Final = 207  # a pipe, for what call.ForkExec has to tell
FD_HEIRS_IN: Final = 208
FD_RECLAIM: Final = 209  # memory.reclaim of the programs' memory cgroup, where there is one
FD_FILES: Final = 210  # file slot i is FD_FILES + i, opened read-write
FD_FILES_RO: Final = 230  # file slot i opened read-only
FILE_SLOTS: Final = 8
PIDFD_BAD: Final = -1
PIDFD_SELF_THREAD: Final = -10000
PIDFD_SELF_GROUP: Final = -10001


def page_address(page: int) -> int:
    """Address of the first byte of an arena page."""
    return ARENA_BASE + page * PAGE
