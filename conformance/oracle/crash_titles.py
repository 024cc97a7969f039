"""Titles of reports of a kernel, beyond their words: which tell of one bug, which of none.

One wild access is a KASAN report in one kernel, an oops in another, and a panic in a third; the
function that did it is the same. syzkaller gives such reports alternative titles, and takes two
that share one for the same bug. A report is suppressed that tells of a limit which the kernel or
its checkers ran into: it is no evidence of a mistake, and none that there is none.
"""

from __future__ import annotations

import re
from typing import Final

from conformance.program.outcome import CUT_SHORT

# How the titles of a family begin; what comes behind " in " is the function.
FAMILIES: Final[dict[str, tuple[str, ...]]] = {
    "bad-access": (
        "KASAN: ", "KFENCE: ", "BUG: unable to handle", "general protection fault",
        "UBSAN: array-index-out-of-bounds", "BUG: corrupted list", "WARNING: refcount bug",
        "BUG: stack guard page was hit", "kernel panic: stack is corrupted",
    ),
    "stall": (
        "INFO: task hung", "INFO: rcu detected stall", "BUG: soft lockup", "BUG: hard lockup",
    ),
    "lock-misuse": (
        "possible deadlock", "inconsistent lock state", "WARNING: bad unlock balance",
        "WARNING: held lock freed", "WARNING: lock held when returning", "WARNING: still has locks",
    ),
    "wrong-context": (
        "BUG: sleeping function called from invalid context", "BUG: scheduling while atomic",
        "WARNING: suspicious RCU usage",
    ),
}  # fmt: skip
# Title, by its beginning: why it says nothing against the kernel.
SUPPRESSED: Final[dict[str, str]] = {
    "BUG: MAX_": "lockdep's tables are full, it checks no more",
    "kernel panic: System is deadlocked on memory": "the guest has too little memory",
    "kernel panic: Out of memory": "the guest has too little memory",
    "kernel panic: out of memory": "the guest has too little memory",
    "kernel panic: VFS: Unable to mount root": "the guest was not booted as it must be",
    "kernel panic: No working init": "the guest was not booted as it must be",
}
_IN: Final = re.compile(r" in ([A-Za-z_]\w*)$")


def alternatives(title: str) -> tuple[str, ...]:
    """The titles that the same bug may have got instead, as families: "bad-access in f"."""
    place = _IN.search(title)
    if place is None:
        return ()
    return tuple(
        f"{family} in {place[1]}"
        for family, beginnings in FAMILIES.items()
        if title.startswith(beginnings)
    )


def same_bug(one: str, other: str) -> bool:
    """Do two titles tell of one bug, as far as titles can tell?"""
    return one == other or bool(set(alternatives(one)) & set(alternatives(other)))


def suppressed(title: str) -> str:
    """Why a report says nothing against the kernel; "" if it does."""
    return next((why for start, why in SUPPRESSED.items() if title.startswith(start)), "")


def cut_short(log: str) -> bool:
    """Are parts of a report missing, so that its title may not be the right one?"""
    lines = log.split("\n", 2)
    return len(lines) > 1 and lines[1] == CUT_SHORT
