"""Every allocation of every call of a program fails once: the kernel's way back out of a call.

A program is run once for each of its calls, with none failing and all counted; then once for each
allocation of each call, with the same call once more behind the one that got no memory, and with
what the program does next. How many allocations a call makes is not the same each time (a cache of
the kernel may be full or empty), so it goes on until a number is not reached.

Batches are one program short of full, so that after each the kernel's objects are counted
(executor/leaks.c): what is left behind is seen at once, and searched for in few programs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from errno import errorcode
from typing import Final, NamedTuple

import msgspec

from conformance.program.call import FAIL_NTH_MAX
from conformance.program.outcome import Status
from conformance.program.plan import is_surface
from conformance.program.program import STEPS_MAX, Program, Rights
from conformance.program.wire import Observe
from fuzz.engine.examine import Examined, ModelError
from fuzz.engine.lane import Lane
from fuzz.engine.schedule import BATCH
from fuzz.engine.statistics import count

LOOK: Final = Observe.EACH_STEP  # the second call may make good what the first one left undone
BATCH_MAX: Final = BATCH - 1  # a full batch is looked at for leaks only now and then
GROUP: Final = 16  # programs that are stepped through together: their tries fill batches
CALLS, QUIET = "calls", "calls without an allocation"  # in Tally.faults, beside results
SPARED: Final = "as without it"
AHEAD: Final = 2  # numbers beyond the count: it may be larger the next time


class _Call(NamedTuple):
    """One call of a program that is stepped through. number: of the program in the campaign."""

    number: int
    program: Program
    step: int


class _Try(NamedTuple):
    """One run: an allocation of a call fails, or all are counted."""

    call: _Call
    nth: int


class FailNth:
    """Steps through programs on one lane, and notes in its tally what calls then gave."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane

    def take(self, programs: list[tuple[int, Program]], stopped: Callable[[], bool]) -> None:
        """All allocations of some programs, by number. stopped: asked between batches.
        Raises TargetError."""
        counting = [
            _Try(_Call(number, program, step), FAIL_NTH_MAX)
            for number, program in programs
            for step in range(len(program.steps))
            if is_surface(program.steps[step])
        ]
        tries: list[_Try] = []
        for one, left in self._run(counting, stopped):
            if left is None:
                continue  # skipped, or a suspect already
            count(self.lane.tally.faults, CALLS)
            if left == FAIL_NTH_MAX:
                count(self.lane.tally.faults, QUIET)
            else:
                last = FAIL_NTH_MAX - left + AHEAD
                tries += [_Try(one.call, nth) for nth in range(1, last + 1)]
        while tries and not stopped():
            ends = {}
            for one, left in self._run(tries, stopped):
                ends[id(one.call)] = (one, left)
            tries = [
                _Try(one.call, nth)
                for one, left in ends.values()
                if left == 0  # there are more than it made the first time
                for nth in range(one.nth + 1, min(one.nth + AHEAD, FAIL_NTH_MAX - 1) + 1)
            ]

    def _run(
        self, tries: list[_Try], stopped: Callable[[], bool]
    ) -> Iterator[tuple[_Try, int | None]]:
        """Each with what was left of its count, see left_of()."""
        for first in range(0, len(tries), BATCH_MAX):
            if stopped():
                return
            batch = tries[first : first + BATCH_MAX]
            before = len(self.lane.suspects)
            self.lane.start(0, [failing(*one.call[1:], one.nth) for one in batch], LOOK)
            examined = self.lane.finish()
            self.lane.suspects[before:] = [
                suspect._replace(number=batch[suspect.number].call.number)
                for suspect in self.lane.suspects[before:]
            ]
            for one, seen in zip(batch, examined, strict=True):
                self._note(seen, one.call.step)
                yield one, left_of(seen)

    def _note(self, seen: Examined, step: int) -> None:
        if left_of(seen) != 0 or isinstance(seen.prediction, ModelError):
            return
        at = len(seen.program.setup()) + step
        result = seen.outcome.results[at]
        usual = result == seen.prediction.results[at]
        count(self.lane.tally.faults, SPARED if usual else result_word(result))


def result_word(result: int) -> str:
    """A result for people: the name of an errno, or that part of the ranges was advised."""
    return errorcode.get(-result, str(result)) if result < 0 else "part of it"


def failing(program: Program, step: int, number: int) -> Program:
    """The program with one allocation failing in a step, and the same step again behind it. The
    last steps go, where there are too many."""
    steps = program.steps
    faulted = msgspec.structs.replace(steps[step], fail_nth=number)
    again = (steps[step],) if number != FAIL_NTH_MAX else ()
    return msgspec.structs.replace(
        program, steps=(*steps[:step], faulted, *again, *steps[step + 1 :])[:STEPS_MAX]
    )


def left_of(seen: Examined) -> int | None:
    """What was left of the count: 0 if the allocation failed. None: the call was not made."""
    if seen.outcome.status is not Status.DONE or isinstance(seen.prediction, ModelError):
        return None
    names = seen.prediction.peek_names
    if "fault" not in names:
        return None
    return int.from_bytes(seen.outcome.peeks[names.index("fault")], "little")


def suitable(program: Program) -> bool:
    """Can allocations fail in it? Not in a traced process, nor in one that may not ask for it."""
    return not program.whole and program.rights is not Rights.OTHER_USER
