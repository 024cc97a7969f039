"""The closed list of errnos that the suite speaks of. Source: asm-generic/errno*.h."""

from __future__ import annotations

from typing import Final

EPERM: Final = 1
ESRCH: Final = 3
EINTR: Final = 4
EIO: Final = 5
E2BIG: Final = 7
EBADF: Final = 9
EAGAIN: Final = 11
ENOMEM: Final = 12
EACCES: Final = 13
EFAULT: Final = 14
EBUSY: Final = 16
ENODEV: Final = 19
EINVAL: Final = 22
ETXTBSY: Final = 26
ENOSPC: Final = 28
ENOSYS: Final = 38
EOVERFLOW: Final = 75
EOPNOTSUPP: Final = 95
ENOTRECOVERABLE: Final = 131
EHWPOISON: Final = 133

NAMES: Final[dict[int, str]] = {
    EPERM: "EPERM",
    ESRCH: "ESRCH",
    EINTR: "EINTR",
    EIO: "EIO",
    E2BIG: "E2BIG",
    EBADF: "EBADF",
    EAGAIN: "EAGAIN",
    ENOMEM: "ENOMEM",
    EACCES: "EACCES",
    EFAULT: "EFAULT",
    EBUSY: "EBUSY",
    ENODEV: "ENODEV",
    EINVAL: "EINVAL",
    ETXTBSY: "ETXTBSY",
    ENOSPC: "ENOSPC",
    ENOSYS: "ENOSYS",
    EOVERFLOW: "EOVERFLOW",
    EOPNOTSUPP: "EOPNOTSUPP",
    ENOTRECOVERABLE: "ENOTRECOVERABLE",
    EHWPOISON: "EHWPOISON",
}


def errno_name(value: int) -> str:
    """The name of a positive errno, or the number in decimal for one outside the list."""
    return NAMES.get(value, str(value))


def result_words(result: int) -> str:
    """A system call's result in words: "-EINVAL", "0", "0x10000000"."""
    if -4096 < result < 0:
        return "-" + errno_name(-result)
    return hex(result) if result >= 1 << 16 else str(result)
