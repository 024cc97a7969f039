"""Is there an order of the atomic steps of a race that gives what was seen?

Orders are gone through from those in which nobody is interrupted to those in which everybody is.
A path that has already given another result than was seen is left, and so is one that comes to a
state where another path was: what follows would be the same. What no order gives is no conformant
outcome. Where the model does not know what follows, or there are too many orders, the outcome is
judged by invariants instead; every verdict says which of the two it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from conformance.model.prediction import Prediction
from conformance.model.race import PIECEMEAL
from conformance.oracle.interleave import ANY, Order, Pruned
from conformance.oracle.linear_words import races_of, results_of_races, results_words
from conformance.oracle.race_invariants import broken_invariant
from conformance.oracle.verdict import (
    BY_INVARIANTS,
    BY_ORDER,
    Difference,
    Verdict,
    VerdictKind,
)
from conformance.program import call as c
from conformance.program.outcome import Outcome, Status
from conformance.program.program import Program
from conformance.spec.cite import cite

# How often actors may be interrupted, at most: most outcomes are explained by the first two.
BOUNDS: Final = (0, 1, 2, ANY)
# Runs of the model for one outcome: 0.4 ms each, 2.5 s at the most. A discard and a touch of four
# pages take 1,800 until it is known that no order fits; what would need more than this is judged by
# invariants.
ORDERS_MAX: Final = 6000

Judge = Callable[[Program, Outcome, Prediction], Verdict]


class _Search(NamedTuple):
    """verdict: of the order that explains the outcome, None without one. orders: how many were
    tried. open: why not all of them could be judged, or "". nearest: the verdict on the order
    that explains most, if one gives the results at all."""

    verdict: Verdict | None
    orders: int
    open: str
    nearest: Verdict | None


def judge_race(program: Program, outcome: Outcome, prediction: Prediction, judge: Judge) -> Verdict:
    """The verdict on a program with a race. judge: for one order. prediction: of some order.

    Raises interleave.NoCoroutines.
    """
    first = judge(program, outcome, prediction)
    if first.kind not in (VerdictKind.CONFORMANT, VerdictKind.DIVERGENCE,
                          VerdictKind.ABI_MISHANDLING, VerdictKind.LEAK):  # fmt: skip
        return first
    broken = broken_invariant(program, outcome, prediction)
    if broken is not None:
        return Verdict(VerdictKind.DIVERGENCE, (broken,), first.unspecified)
    if _whole(first, prediction):
        return BY_ORDER
    if outcome.status is not Status.DONE or _before_race(first, program):
        return first
    opened = prediction.unspecified.get(_race_step(program))
    if opened is not None and opened.reason == PIECEMEAL:
        return BY_INVARIANTS
    search = _search(program, outcome, prediction, judge)
    if search.verdict is not None:
        return BY_ORDER
    if search.open:
        return BY_INVARIANTS
    return _no_order(program, outcome, prediction, search)


def _whole(verdict: Verdict, prediction: Prediction) -> bool:
    """Conformant, with all of it judged?"""
    known = prediction.judged_until == len(prediction.results)
    return verdict.kind is VerdictKind.CONFORMANT and known


def _before_race(verdict: Verdict, program: Program) -> bool:
    """Does something differ before anyone raced?"""
    if not verdict.differences:
        return False
    return verdict.differences[0].step < _race_step(program)


def _race_step(program: Program) -> int:
    """Index of the first race in setup() + steps."""
    for i, step in enumerate(program.steps):
        if isinstance(step, c.Race):
            return len(program.setup()) + i
    raise ValueError("the program has no race")


def _search(program: Program, outcome: Outcome, prediction: Prediction, judge: Judge) -> _Search:
    races = races_of(program)
    observed = [actors for _, actors in results_of_races(program, outcome, prediction)]
    reorder = prediction.reorder
    assert reorder is not None, "a program with a race can be predicted again"
    if not observed:
        return _Search(None, 0, "", None)
    orders = 0
    left_open = ""
    nearest: Verdict | None = None
    for bound in BOUNDS:
        seen: dict[object, tuple[int, ...]] = {}
        prefix: list[int] | None = []
        limited = False
        while prefix is not None:
            if orders >= ORDERS_MAX:
                return _Search(None, orders, "more orders than are tried", nearest)
            orders += 1
            order = Order(races, observed, prefix, bound, seen)
            try:
                one = reorder(order)
            except Pruned:
                pass
            else:
                verdict = judge(program, outcome, one)
                if _whole(verdict, one):
                    return _Search(verdict, orders, "", None)
                if verdict.kind is VerdictKind.CONFORMANT:
                    left_open = "the model does not know what follows one of the orders"
                elif verdict.differences and (
                    nearest is None or len(verdict.differences) < len(nearest.differences)
                ):
                    nearest = verdict
            limited = limited or order.limited
            prefix = next_path(order.path)
        if not limited:
            break
    return _Search(None, orders, left_open, nearest)


def next_path(path: list[tuple[int, int]]) -> list[int] | None:
    """The path after this one, deepest choice first; None when all were gone."""
    for at in range(len(path) - 1, -1, -1):
        which, count = path[at]
        if which + 1 < count:
            return [chosen for chosen, _ in path[:at]] + [which + 1]
    return None


def _class(field: str) -> str:
    """What the nearest order has otherwise. Which flags is told, since it tells bugs apart; the
    rest differs from run to run."""
    if field.startswith("vma.flags"):
        return f"race.{field}"
    if field.startswith("vma"):
        return "race.vmas"
    return "race.pages" if field.startswith("page") else "race.structs"


def _no_order(
    program: Program, outcome: Outcome, prediction: Prediction, search: _Search
) -> Verdict:
    rule = cite("race-linear")
    step = _race_step(program)
    words = f"none of {search.orders} orders of the actors' steps gives what was seen"
    seen = results_words(program, outcome, prediction)
    field = "race.results"
    page = -1
    if search.nearest is not None:
        first = search.nearest.differences[0]
        page = first.page
        field = _class(first.field)
        words = f"{first.words} in the nearest of {search.orders} orders; no order fits"
    difference = Difference(step, field, seen, "no order", f"{words}; results: {seen}", rule, page)
    return Verdict(VerdictKind.DIVERGENCE, (difference,))
