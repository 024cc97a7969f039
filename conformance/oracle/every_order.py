"""All that a race may give: the predictions of every order of the atomic steps of its actors.

Where linear looks for one order that gives what was seen, this goes through all of them, before
anything was seen. Orders that give the same are one prediction.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from conformance.model.prediction import ExpectedSnapshot, Prediction
from conformance.oracle.interleave import ANY, Order, Pruned
from conformance.oracle.linear import next_path
from conformance.oracle.linear_words import races_of
from conformance.program.program import Program

# Runs of the model for one program, 0.4 ms each. More than linear has: nothing is left out by what
# was seen.
COLLECTED_MAX: Final = 12_000


class EveryOrder(NamedTuple):
    """predictions: different ones, each of some order. orders: how many were gone through. whole:
    were these all that there are?"""

    predictions: list[Prediction]
    orders: int
    whole: bool


class _Free(Order):
    """An Order that nothing was seen of: what actors' calls have given is part of a state."""

    def _fits(self, actor: int) -> bool:
        return True

    def _state(self, current: int) -> object:
        memory = self._process.memory
        changes = frozenset([(at, bytes(old), bytes(new)) for at, old, new in memory.changes])
        given = tuple([
            () if reach.only_stores else tuple(result)
            for result, reach in zip(self._results, self._reach, strict=True)
        ])  # fmt: skip
        choices = len(self._process.space.choices)
        return given, changes, choices, super()._state(current)


def every_order(program: Program, prediction: Prediction, limit: int = COLLECTED_MAX) -> EveryOrder:
    """All that a program with a race may give. prediction: of some order.

    Raises interleave.NoCoroutines.
    """
    reorder = prediction.reorder
    assert reorder is not None, "a program with a race can be predicted again"
    races = races_of(program)
    seen: dict[object, tuple[int, ...]] = {}
    found: dict[object, Prediction] = {}
    prefix: list[int] | None = []
    orders = 0
    while prefix is not None:
        if orders >= limit:
            return EveryOrder(list(found.values()), orders, False)
        orders += 1
        order = _Free(races, [], prefix, ANY, seen)
        try:
            one = reorder(order)
        except Pruned:
            pass
        else:
            found.setdefault(given(one), one)
        prefix = next_path(order.path)
    return EveryOrder(list(found.values()), orders, True)


def given(prediction: Prediction) -> object:
    """All that is compared, as a value."""
    return (
        tuple(prediction.results),
        tuple(sorted(prediction.unspecified)),
        tuple(sorted(prediction.alternatives.items())),
        prediction.judged_until,
        tuple(prediction.peeks),
        tuple(sorted(prediction.free_peeks)),
        tuple([_shown(snapshot) for snapshot in prediction.snapshots]),
        prediction.dies_at,
        prediction.dies_of,
    )


def _shown(snapshot: ExpectedSnapshot) -> object:
    return (
        snapshot.step,
        snapshot.child,
        tuple(snapshot.vmas),
        tuple(snapshot.pages),
        tuple(sorted(snapshot.page_masks.items())),
        tuple(sorted(snapshot.page_alternatives.items())),
    )
