"""The fixed parts of reproducers in C, from the files reproducer_*.c beside this one.

A line "//@ NAME NEEDED..." begins a part and names those that it needs. A reproducer holds the
parts that its program uses and no others: a compiler that is asked to tell of all it can
(-Wall -Wextra -Werror) refuses functions that nobody calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

FILES: Final = (
    "reproducer_parts.c", "reproducer_pages.c", "reproducer_calls.c", "reproducer_processes.c",
    "reproducer_race.c", "reproducer_orders.c",
)  # fmt: skip
_HEAD: Final = re.compile(r"^//@ (.+)$", re.MULTILINE)

# What the C library's headers, or the kernel's, are wanted for.
_ALWAYS: Final = (
    "errno.h", "fcntl.h", "setjmp.h", "signal.h", "stdbool.h", "stdint.h", "stdio.h", "stdlib.h",
    "string.h",
    "sys/mman.h", "sys/syscall.h", "sys/uio.h", "sys/wait.h", "time.h", "unistd.h",
)  # fmt: skip
_HEADERS: Final = {
    "uffd": ("linux/userfaultfd.h", "sys/ioctl.h"),
    "perf": ("linux/perf_event.h",),
    "rights": ("linux/capability.h",),
    "other_user": ("sys/prctl.h",),
    "race": ("linux/futex.h", "sched.h"),
}


class Part(NamedTuple):
    """One part: its text, and the parts that must stand before it."""

    text: str
    needs: tuple[str, ...]


@cache
def parts() -> dict[str, Part]:
    """All parts by name, in the order in which they may stand in a file."""
    out: dict[str, Part] = {}
    for name in FILES:
        pieces = _HEAD.split((Path(__file__).parent / name).read_text(encoding="ascii"))
        for head, text in zip(pieces[1::2], pieces[2::2], strict=True):
            part, *needs = head.split()
            out[part] = Part(text.strip("\n"), tuple(needs))
    return out


def closed(names: Iterable[str]) -> list[str]:
    """The parts named and all that they need, in order. Raises KeyError for one that there is
    not: a mistake in this package."""
    wanted: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in wanted:
            wanted.add(name)
            left += parts()[name].needs
    return [name for name in parts() if name in wanted]


def part_lines(names: Iterable[str], before: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """The text of parts, in this order. before: lines that stand before one of them."""
    for name in names:
        yield from before.get(name, ())
        yield parts()[name].text
        yield ""


def includes(names: Iterable[str]) -> list[str]:
    """The lines that include what these parts need."""
    headers = set(_ALWAYS)
    for name in names:
        headers.update(_HEADERS.get(name, ()))
    return [f"#include <{header}>" for header in sorted(headers)]
