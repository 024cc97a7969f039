"""The targets by name, as people write them after --target."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from conformance.target.executor_target import USUAL, Options
from conformance.target.host import open_host
from conformance.target.shim import check_mutant, open_shim
from conformance.target.target import Target, TargetNameError

TARGETS: Final[dict[str, Callable[[Options], Target]]] = {"host": open_host, "shim": open_shim}
FORMS: Final = (*TARGETS, "shim:mutant=N")
_MUTANT: Final = re.compile(r"shim:mutant=([1-9][0-9]{0,3})")


def opener(name: str) -> Callable[[Options], Target]:
    """What opens the target of this name; nothing is started yet.

    Raises TargetNameError, listing the names there are.
    """
    mutant = _MUTANT.fullmatch(name)
    if mutant:
        number = int(mutant[1])
        check_mutant(number)
        return lambda options: open_shim(options, number)
    try:
        return TARGETS[name]
    except KeyError:
        raise TargetNameError(
            f"there is no target {name!r}; targets are: {', '.join(FORMS)}"
        ) from None


def open_target(name: str, options: Options = USUAL) -> Target:
    """An open target; close() it. Raises TargetNameError, and TargetError if it cannot run."""
    return opener(name)(options)
