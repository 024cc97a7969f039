"""The targets by name, as people write them after --target."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from conformance.target.executor_target import USUAL, Options
from conformance.target.guest import KINDS, MUTANTS, open_guest, open_kernel, open_stock
from conformance.target.host import open_host
from conformance.target.planted import check_mutant
from conformance.target.shim import open_shim
from conformance.target.target import Target, TargetNameError

TARGETS: Final[dict[str, Callable[[Options], Target]]] = {"host": open_host, "shim": open_shim}
FORMS: Final = (
    *TARGETS, "shim:mutant=N", *KINDS, *(f"{guest}:mutant=N" for guest in MUTANTS), "debian:REL",
    "kernel:FILE",
)  # fmt: skip
_MUTANT: Final = re.compile(rf"(shim|{'|'.join(MUTANTS)}):mutant=(0|[1-9][0-9]{{0,3}})")
NO_SHIM_MUTANT: Final = "shim:mutant=0"  # a guest's 0 is the kernel that has faults, with none
_KERNEL: Final = "kernel:"
_STOCK: Final = re.compile(r"debian:([1-9][0-9]*\.[0-9]+)")


def opener(name: str) -> Callable[[Options], Target]:
    """What opens the target of this name; nothing is started yet.

    Raises TargetNameError, listing the names there are.
    """
    mutant = _MUTANT.fullmatch(name)
    if mutant and mutant[0] != NO_SHIM_MUTANT:
        place, number = mutant[1], int(mutant[2])
        check_mutant(place, number)
        if place != "shim":
            return lambda options: open_guest(place, options, number)
        return lambda options: open_shim(options, number)
    if name in KINDS:
        return lambda options: open_guest(name, options)
    release = stock_release(name)
    if release is not None:
        return lambda options: open_stock(release, options)
    if name.startswith(_KERNEL):
        path = Path(name.removeprefix(_KERNEL))
        return lambda options: open_kernel(path, options)
    try:
        return TARGETS[name]
    except KeyError:
        raise TargetNameError(
            f"there is no target {name!r}; targets are: {', '.join(FORMS)}"
        ) from None


def stock_release(name: str) -> str | None:
    """The release in the name of a target that is a kernel of Debian's; None for another name."""
    stock = _STOCK.fullmatch(name)
    return stock[1] if stock else None


def is_guest(name: str) -> bool:
    """Is a target of this name a kernel that can be thrown away?"""
    return name not in TARGETS and not name.startswith("shim")


def open_target(name: str, options: Options = USUAL) -> Target:
    """An open target; close() it. Raises TargetNameError, and TargetError if it cannot run."""
    return opener(name)(options)
