"""The engine `hypothesis`: long sequences, in which the model chooses what comes next."""

from __future__ import annotations

from itertools import count
from typing import Final

from conformance.oracle.identity import identify
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.target.registry import is_guest
from conformance.target.target import TargetError
from fuzz.engine.driven import DrivenWorker
from fuzz.engine.lane import Lane, Suspect
from fuzz.generate.options import GenerateOptions
from fuzz.guidance.stateful import (
    DatabaseError,
    Diverged,
    Shown,
    example_database,
    explore,
    machine,
)

# A snapshot after every step: what is wrong is told of the step that made it.
LOOK: Final = Observe.ISOLATED | Observe.EACH_STEP | Observe.READ_ALL
SEQUENCES: Final = 50  # of one target, then the next has its turn: some 5 s
NUMBER: Final = -1  # of a program in the campaign: none can be made again from it


class StatefulWorker(DrivenWorker):
    """See fuzz.guidance.stateful. What shows a fault is settled as a suspect."""

    def drive(self) -> None:
        """See DrivenWorker."""
        options = self.options
        try:
            database = example_database(options.database) if options.database else None
        except DatabaseError as error:
            raise TargetError(str(error)) from error
        known: set[str] = set()
        for turn in count():
            for lane in self.lanes:
                judged = _Judged(self, lane, known)
                grown = machine(lane.target.facts, judged.judge, _wanted(self, lane))
                seed = None if database is not None else hash((options.seed, self.salt, turn))
                diverged = explore(grown, SEQUENCES, database=database, seed=seed)
                if diverged is not None:
                    judged.hand_over(diverged)


def _wanted(worker: DrivenWorker, lane: Lane) -> GenerateOptions:
    disposable = is_guest(lane.target.name)
    return GenerateOptions(
        surfaces=frozenset(worker.options.surfaces),
        advices=worker.options.advices,
        whole=False,
        poison=disposable,
        reclaim=disposable,
    )


class _Judged:
    """What a lane's kernel says to the machine. known: identities that are findings already."""

    def __init__(self, worker: DrivenWorker, lane: Lane, known: set[str]) -> None:
        self._worker = worker
        self._lane = lane
        self._known = known
        self._suspect: Suspect | None = None  # the last one: what Hypothesis ends with

    def judge(self, program: Program) -> Shown | None:
        """Run it, count it. A mismatch is kept from the suspects until
        Hypothesis has seen it again. Raises
        TargetError, and Over."""
        lane = self._lane
        lane.start(NUMBER, [program], LOOK)
        (one,) = lane.finish()
        shown = None
        if one.verdict.bad:
            identity = identify(program, one.verdict)
            step = one.verdict.differences[0].step - len(program.setup())
            # Nobody suspects it: it is in the ledger.
            known = str(identity) in self._known or not lane.suspects
            shown = Shown(identity, step, known)
            if lane.suspects:
                self._suspect = lane.suspects.pop()
                lane.tally.programs -= 1  # it counts when it is settled
        self._worker.count(1)
        return shown

    def hand_over(self, diverged: Diverged) -> None:
        """The sequence becomes a suspect: settled as all are."""
        if self._suspect is None:
            return
        self._known.add(str(diverged.identity))
        self._lane.tally.programs += 1
        self._lane.suspects.append(self._suspect._replace(program=diverged.program))
        self._known.update(self._worker.settle())
