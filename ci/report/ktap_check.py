"""A strict reader of KTAP: what the specification asks and lenient readers let pass.

Every text that is handed out is read by it first, and the numbers must be those of the run.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_RESULT: Final = re.compile(r"(ok|not ok) ([1-9][0-9]*) ([^#]*[^#\s])(?: # (.*))?")
_PLAN: Final = re.compile(r"1\.\.([1-9][0-9]*)")
_SUBTEST: Final = "# Subtest: "
_VERSION: Final = "KTAP version 1"
INDENT: Final = "  "


class KtapError(ValueError):
    """A text that is no KTAP. str() names the line and what is wrong there."""


class Counts(NamedTuple):
    """Cases without subtests."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def plus(self, other: Counts) -> Counts:
        """The sum."""
        return Counts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    @property
    def word(self) -> str:
        """What these come to together: "not ok", "SKIP" if there is nothing else, "ok"."""
        if self.failed:
            return "not ok"
        return "ok" if self.passed else "SKIP"


def check_ktap(text: str) -> Counts:
    """The numbers of a whole text. Raises KtapError at the first line that is wrong."""
    if not text.endswith("\n"):
        raise KtapError("the last line does not end")
    return _Reader(text.split("\n")[:-1]).whole()


class _Reader:
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.at = 0

    def whole(self) -> Counts:
        counts = self._level(0)
        if self.at < len(self.lines):
            self._refuse("stands behind the last test of the plan")
        return counts

    def _refuse(self, what: str) -> None:
        line = self.lines[self.at] if self.at < len(self.lines) else "the end"
        raise KtapError(f"line {self.at + 1}: {line.strip()!r} {what}")

    def _next(self, depth: int) -> str | None:
        """The next line of this depth that is no diagnostic, taken; None for a deeper level."""
        margin = INDENT * depth
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.startswith(margin + INDENT):
                return None
            if not line.startswith(margin) or not line.strip():
                self._refuse(f"stands where a line of depth {depth} must stand")
            line = line.removeprefix(margin)
            if not line.startswith("#") or line.startswith(_SUBTEST):
                self.at += 1
                return line
            self.at += 1
        self._refuse("comes before the plan is done")
        return None

    def _level(self, depth: int, name: list[str] | None = None) -> Counts:
        """A version line, a name below the top, a plan, and as many tests."""
        if self._next(depth) != _VERSION:
            self.at -= 1
            self._refuse(f"is not {_VERSION!r}")
        if name is not None:
            line = self._next(depth) or ""
            if not line.startswith(_SUBTEST):
                self._refuse("does not follow the name of its subtest")
            name.append(line.removeprefix(_SUBTEST))
        plan = _PLAN.fullmatch(self._next(depth) or "")
        if plan is None:
            self.at -= 1
            self._refuse("is no plan of one test or more")
            raise AssertionError
        total = Counts()
        names: set[str] = set()
        for number in range(1, int(plan[1]) + 1):
            total = total.plus(self._test(depth, number, names))
        while self.at < len(self.lines) and self.lines[self.at].startswith(INDENT * depth + "#"):
            self.at += 1
        return total

    def _test(self, depth: int, number: int, names: set[str]) -> Counts:
        line, inner, name = self._next(depth), None, list[str]()
        if line is None:
            inner = self._level(depth + 1, name)
            line = self._next(depth)
        match = _RESULT.fullmatch(line or "")
        if match is None or int(match[2]) != number:
            self.at -= 1
            self._refuse(f"is no result of test {number}")
            raise AssertionError
        word, title, directive = match[1], match[3], match[4] or ""
        if title in names:
            self._refuse(f"comes after a second test called {title!r}")
        names.add(title)
        skipped = directive.startswith("SKIP")
        own = Counts(word == "ok" and not skipped, word == "not ok", word == "ok" and skipped)
        if inner is None:
            return Counts(*map(int, own))
        if [title] != name:
            self._refuse(f"comes after the result of {title!r} for the subtest {name[0]!r}")
        if Counts(*map(int, own)).word != inner.word:
            self._refuse(f"comes after {line!r} for a subtest that is {inner.word}")
        return inner
