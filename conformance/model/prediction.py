"""Prediction: everything that the model says of one program, in the shape of an Outcome."""

from __future__ import annotations

from collections.abc import Callable

from conformance.model.allowed import Alternative, Unspecified
from conformance.model.race import Schedule


class ExpectedSnapshot:
    """What a snapshot must show; the fields are those of program.outcome.Snapshot.

    page_masks: for a page with some freedom, which bits of its word are compared (others: all
    of COMPARED_PAGE_BITS). page_alternatives: whole words that are as good, by page.
    A page word is compared under its mask with the expected word, then with each alternative.
    """

    __slots__ = ("step", "child", "vmas", "pages", "page_masks", "page_alternatives", "reasons")

    def __init__(self, step: int, child: bool, vmas: list[int], pages: list[int]) -> None:
        self.step = step
        self.child = child
        self.vmas = vmas
        self.pages = pages
        self.page_masks: dict[int, int] = {}
        self.page_alternatives: dict[int, tuple[int, ...]] = {}
        self.reasons: dict[int, str] = {}  # by page: id in allowed.REASONS


class Prediction:
    """One entry in `results` and in `requirements` for each step of setup() + steps.

    requirements: the id of the rule that decided the result. alternatives: further results
    that the kernel may give, by step. unspecified: steps whose result is not judged, with the
    reason. judged_until: steps from this index on are not judged at all, nor is any snapshot
    taken at or after it (the state is not known any more); len(results) when all are.
    peeks: as Outcome.peeks; peek_steps: the step each belongs to; peek_names: "ctl", "array",
    "stats", "per_range", "zone" or "heirs" for each; free_peeks: those that lie in memory which the
    kernel may have thrown away, with the reason (an id in allowed.REASONS): not compared.
    again: predicts the program once more, with the n-th of the places failing where the model has
    the step with fail_nth allocate; None where no step has it. fault_reached: there is such a
    place.
    reorder: for a program with a race, the same with the atomic steps of its actors in another
    order (they are made one after the other here); None for other programs.
    skip: a reason not to judge the program at all (it needs what the target lacks), else "".
    """

    __slots__ = (
        "results", "requirements", "alternatives", "unspecified", "judged_until",
        "peeks", "peek_steps", "peek_names", "free_peeks", "snapshots", "skip", "dies_at",
        "dies_of", "again", "fault_reached", "reorder",
    )  # fmt: skip

    def __init__(self) -> None:
        self.results: list[int] = []
        self.requirements: list[str] = []
        self.alternatives: dict[int, tuple[Alternative, ...]] = {}
        self.unspecified: dict[int, Unspecified] = {}
        self.judged_until = 0
        self.peeks: list[bytes] = []
        self.peek_steps: list[int] = []
        self.peek_names: list[str] = []
        self.free_peeks: dict[int, str] = {}
        self.snapshots: list[ExpectedSnapshot] = []
        self.skip = ""
        self.dies_at = -1  # the step at which the process must die, or -1
        self.dies_of = 0  # of which signal
        self.again: Callable[[int], Prediction] | None = None
        self.fault_reached = False
        self.reorder: Callable[[Schedule], Prediction] | None = None
