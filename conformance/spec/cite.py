"""cite(): the mark a rule leaves where it decides.

One set of marks serves three ends: traceability (a case asserts that its mark was hit),
verdicts (the last mark of a step names the rule), and guidance (model coverage).
"""

from __future__ import annotations

from typing import Final

HITS: Final[set[str]] = set()
_LAST: Final[list[str]] = [""]


def cite(requirement: str) -> str:
    """Mark a requirement as decided here; gives the id back."""
    HITS.add(requirement)
    _LAST[0] = requirement
    return requirement


def last_cited() -> str:
    """The requirement cited last since forget_cited(), or ""."""
    return _LAST[0]


def forget_cited() -> None:
    """Start a new step: nothing is cited yet."""
    _LAST[0] = ""
