"""The sweeps in groups, each a case: programs whose ids differ in the last word."""

from __future__ import annotations

from functools import cache

from conformance.cases.judged import run_programs
from conformance.program.call import MadviseRanges
from conformance.program.kernel_facts import RangesCall
from conformance.program.outcome import Outcome
from conformance.sweep.cells import Cell
from conformance.sweep.chapters import CHAPTERS
from conformance.sweep.swept import Swept
from conformance.target.registry import is_guest
from conformance.target.target import Target


@cache
def groups(chapter: str) -> dict[str, tuple[Cell | Swept, ...]]:
    """The programs of a chapter, by what their ids have in common."""
    out: dict[str, list[Cell | Swept]] = {}
    for item in CHAPTERS[chapter]():
        out.setdefault(item.id.rpartition("/")[0], []).append(item)
    return {name: tuple(items) for name, items in out.items()}


def poison(chapter: str, group: str) -> bool:
    """Does it poison memory?"""
    return any(isinstance(item, Cell) and item.guest for item in groups(chapter)[group])


def allowed(target: Target, chapter: str, group: str) -> list[Cell | Swept]:
    """The programs of a group that this target may run, and has the call for."""
    items: list[Cell | Swept] = list(groups(chapter)[group])
    if poison(chapter, group) and not is_guest(target.name):
        return []
    if target.facts.ranges_call is RangesCall.ABSENT:
        return [item for item in items if not isinstance(item.program.steps[0], MadviseRanges)]
    return items


class Ahead:
    """Outcomes of groups whose turn has not come: a guest runs a large batch in little more time
    than a small one. most: programs that are run at once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.target: Target | None = None
        self.outcomes: dict[str, list[Outcome]] = {}

    def take(self, target: Target, chapter: str, group: str) -> list[Outcome]:
        """The outcomes of the programs of a group that may run. Raises TargetError."""
        if target is not self.target:
            self.target, self.outcomes = target, {}
        if group not in self.outcomes:
            self.outcomes = self._run(target, chapter, group)
        return self.outcomes.pop(group)

    def _run(self, target: Target, chapter: str, group: str) -> dict[str, list[Outcome]]:
        every = list(groups(chapter))
        first = every.index(group)
        poisons = poison(chapter, group)
        block = {group: allowed(target, chapter, group)}
        for name in every[first + 1 :]:
            items = allowed(target, chapter, name)
            if sum(map(len, block.values())) + len(items) > self.most:
                break
            if poison(chapter, name) != poisons:
                break  # those come last, see conftest
            block[name] = items
        outcomes = iter(run_programs(target, [item for items in block.values() for item in items]))
        return {name: [next(outcomes) for _ in items] for name, items in block.items()}
