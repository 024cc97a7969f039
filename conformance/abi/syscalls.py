"""System call numbers, for x86-64 and for the generic table (arm64, riscv, loongarch).

Source: arch/x86/entry/syscalls/syscall_64.tbl and scripts/syscall.tbl of Linux 7.3.
madvise_ranges is the project's own number (SPEC section 1).
"""

from __future__ import annotations

from typing import Final

X86_64: Final[dict[str, int]] = {
    "mmap": 9,
    "mprotect": 10,
    "munmap": 11,
    "mremap": 25,
    "madvise": 28,
    "fcntl": 72,
    "mlock2": 325,
    "process_madvise": 440,
    "memfd_secret": 447,
    "mseal": 462,
    "madvise_ranges": 473,
}
GENERIC: Final[dict[str, int]] = {
    "mmap": 222,
    "mprotect": 226,
    "munmap": 215,
    "mremap": 216,
    "madvise": 233,
    "fcntl": 25,
    "mlock2": 284,
    "process_madvise": 440,
    "memfd_secret": 447,
    "mseal": 462,
    "madvise_ranges": 473,
}
