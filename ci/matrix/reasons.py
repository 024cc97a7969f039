"""Why two kernels differ in a cell: the fewest facts that make the model say the one for the
other, and what these facts mean."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

from ci.matrix.run import foretold
from conformance.oracle.expected_change import differing_facts, flat_facts, with_facts
from conformance.program.kernel_facts import KernelFacts
from conformance.sweep.cells import Cell

FACTS_PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "facts.md"
_ROW: Final = re.compile(r"^\| (`[^|]*) \| (.*) \|$", re.MULTILINE)


def reasons(cell: Cell, older: KernelFacts, newer: KernelFacts) -> tuple[str, ...]:
    """The facts, by their flat names, that the older kernel must have as the newer one to do as
    it does; without any of them it would not. Empty if the model knows no difference."""
    wanted = foretold(cell, newer)
    if foretold(cell, older) == wanted:
        return ()
    values = flat_facts(newer)
    needed = list(differing_facts(older, newer))
    for name in tuple(needed):
        fewer = [other for other in needed if other != name]
        if foretold(cell, with_facts(older, {other: values[other] for other in fewer})) == wanted:
            needed = fewer
    return tuple(needed)


def fact_words(name: str) -> str:
    """What a fact says, as docs/facts.md has it."""
    group, _, member = name.partition(".")
    words = _explained().get(group, "")
    return f"{member}: {words}" if member else words


@cache
def _explained() -> dict[str, str]:
    out = {}
    for names, words in _ROW.findall(FACTS_PAGE.read_text("utf-8")):
        several = re.findall(r"`(\w+)`", names)
        who = f"{', '.join(several)}: " if len(several) > 1 else ""
        out.update(dict.fromkeys(several, f"{who}{words.replace('`', '')}"))
    return out
