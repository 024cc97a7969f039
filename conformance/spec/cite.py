"""cite(): the mark that a rule of the specification decided something, at the line that decides.

It imports nothing and costs tens of nanoseconds, since the model cites on every path. Whether
every cited id exists, and every id is cited, a test finds out by reading the source.
"""

from __future__ import annotations

from typing import Final

HITS: Final[set[str]] = set()
"""Every id cited since the process started, or since the caller cleared the set."""

_last = ""


def cite(requirement: str) -> str:
    """Note that the requirement with this id was applied here; returns the id."""
    global _last
    _last = requirement
    HITS.add(requirement)
    return requirement


def met(requirement: str) -> None:
    """Note that a rule was applied here beside the one that decides: last_cited() stays."""
    HITS.add(requirement)


def last_cited() -> str:
    """The id cited last since forget_cited(), or "": the rule that decided the step at hand."""
    return _last


def forget_cited() -> None:
    """Start a new step: last_cited() is "" until the next cite(). HITS stays."""
    global _last
    _last = ""
