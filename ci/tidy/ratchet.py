"""Exceptions from the rules: few, exact, and never more than is used.

The tree started clean, so this started empty. An entry says how often one file breaks one
rule. More is an error, and so is less: then the entry is lowered or removed, and the file
cannot get worse again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EXCEPTIONS: Final[dict[tuple[str, str], int]] = {}


def over_and_stale(
    counts: Mapping[tuple[str, str], int], exceptions: Mapping[tuple[str, str], int] = EXCEPTIONS
) -> tuple[set[tuple[str, str]], list[str]]:
    """Which (rule, file) pairs break their rule more often than allowed, and a line for each
    exception that allows more than happens."""
    over = {pair for pair, count in counts.items() if count > exceptions.get(pair, 0)}
    stale = [
        f"ci/tidy/ratchet.py: {rule} in {file}: {allowed} allowed, {counts.get((rule, file), 0)} "
        "found: lower it"
        for (rule, file), allowed in exceptions.items()
        if counts.get((rule, file), 0) < allowed
    ]
    return over, stale
