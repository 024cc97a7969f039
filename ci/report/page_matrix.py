"""The table of behaviour: every advice on every kind of VMA, as each kernel really does it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from ci.report.result_tree import Cell, RunResult
from conformance.abi.advice import ADVICES
from conformance.oracle.verdict import VerdictKind

_CELL: Final = re.compile(r"(?:(process_madvise)/)?([A-Z][A-Z_]*)/([a-z0-9-]+)/([a-z0-9-]+)")
GOOD: Final = (VerdictKind.CONFORMANT.value, "known")
SKIPPED: Final = VerdictKind.SKIPPED.value
WHOLE: Final = "whole"
# What a gap adds to any advice says nothing of this one.
GAP_RESULTS: Final = frozenset({"ENOMEM", "0", "bytes"})
_ORDER: Final = {advice.name: index for index, advice in enumerate(ADVICES)}
_SUCCESS: Final = ("0", "bytes")


class Square(NamedTuple):
    """One advice on one kind. word: its result on a whole mapping, or "skipped", or the worst
    verdict of its places. look: how it is coloured. varies: a place differs by more than what
    any gap brings. number: of its details, -1 for none."""

    word: str
    look: str
    varies: bool
    number: int


class Matrix(NamedTuple):
    """One surface on one target. rows: an advice and its squares, in the order of kinds."""

    surface: str
    target: str
    release: str
    kinds: list[str]
    rows: list[tuple[str, list[Square]]]
    programs: int


class Matrices:
    """All tables of a run. details: for each square its heading, and its places each with
    verdict and what was observed; strings stand once in `strings` and are meant by number."""

    def __init__(self, run: RunResult) -> None:
        self.strings: list[str] = []
        self.details: list[list[Any]] = []
        self._numbers: dict[str, int] = {}
        self.tables = list(self._tables(run))

    def _tables(self, run: RunResult) -> Iterator[Matrix]:
        for target in run.target_names:
            cells = [c for case in run.cases if case.target == target for c in case.cells]
            for surface in ("madvise", "process_madvise"):
                found: dict[tuple[str, str], list[tuple[str, Cell]]] = {}
                for cell in cells:
                    match = _CELL.fullmatch(cell.id)
                    if match and (match[1] or "madvise") == surface:
                        found.setdefault((match[2], match[3]), []).append((match[4], cell))
                if found:
                    yield self._table(surface, target, run.release(target), found)

    def _table(
        self,
        surface: str,
        target: str,
        release: str,
        found: dict[tuple[str, str], list[tuple[str, Cell]]],
    ) -> Matrix:
        kinds = list(dict.fromkeys(kind for _, kind in found))
        advices = sorted(
            dict.fromkeys(advice for advice, _ in found), key=lambda name: _ORDER.get(name, 999)
        )
        rows = [
            (advice, [self._square(surface, advice, k, found.get((advice, k), [])) for k in kinds])
            for advice in advices
        ]
        return Matrix(surface, target, release, kinds, rows, sum(map(len, found.values())))

    def _square(
        self, surface: str, advice: str, kind: str, places: list[tuple[str, Cell]]
    ) -> Square:
        judged = [(place, cell) for place, cell in places if cell.word != SKIPPED]
        if not judged:
            return Square("skipped" if places else "", "none", False, -1)
        number = len(self.details)
        self.details.append(
            [
                self._number(f"{surface}: {advice} on {kind}"),
                *([self._number(p), self._number(c.word), self._number(c.observed)]
                  for p, c in places),
            ]
        )  # fmt: skip
        bad = [cell.word for _, cell in judged if cell.word not in GOOD]
        if bad:
            return Square(bad[0], "bad", False, number)
        results = {place: _result(cell) for place, cell in judged}
        word = results.get(WHOLE, next(iter(results.values())))
        others = set(results.values()) - {word} - GAP_RESULTS
        known = any(cell.word == "known" for _, cell in judged)
        look = "known" if known else "done" if word in _SUCCESS else "refused"
        return Square("0" if word == "bytes" else word, look, bool(others), number)

    def _number(self, text: str) -> int:
        if text not in self._numbers:
            self._numbers[text] = len(self.strings)
            self.strings.append(text)
        return self._numbers[text]


def _result(cell: Cell) -> str:
    """The result of the advised call: what stands before the memory."""
    return cell.observed.partition(" [")[0].partition(" child")[0].strip()
