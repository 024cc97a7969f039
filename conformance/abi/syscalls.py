"""System call numbers: x86-64, i386, and the generic table (arm64, riscv, loongarch).

Source: arch/x86/entry/syscalls/syscall_64.tbl and syscall_32.tbl, and scripts/syscall.tbl, of
Linux 7.3. I386 holds the calls that a program may make as an ILP32 process makes them.
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
I386: Final[dict[str, int]] = {
    "getpid": 20,
    "madvise": 219,
    "process_madvise": 440,
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
