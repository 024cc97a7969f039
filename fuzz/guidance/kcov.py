"""The kernel's side of guidance: which edges a program takes, time after time.

How to ask, for anyone who guides a loop of their own:

    outcome = target.run_batch([program], Observe.COVER_EDGES)[0]
    outcome.coverage        # None: the target's kernel has no KCOV, or the program was not run
    outcome.coverage.edges  # numbers 0..65535: places in a map of 64 Ki counters

COVER_NEW tells only what no program before has taken since the executor was started, which is
nothing in the usual case and costs next to nothing; a map of one's own still has to look, since an
executor that was started again tells everything again. COVER_PLACES adds how often each block of
code was reached by all programs since it was asked last. One flag holds for a batch; what
run_batch() takes submit() takes, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from conformance.program.call import Munmap
from conformance.program.mapping import Kind, Mapping
from conformance.program.outcome import Outcome
from conformance.program.places import ARENA_BASE, PAGE
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.target.target import Target

MAP_SIZE: Final = 1 << 16  # numbers of edges
# A run more or less takes an edge that comes by chance with probability p: that it shows in all of
# them, and is taken for stable, has probability p**3, 1.6 % for one of four runs. Of 640 random
# programs 639 took the same edges both times, so a fourth run would find one more in a thousand.
STABLE_RUNS: Final = 3
QUIET: Final = Program((Mapping(Kind.ANON, 0, 1),), (Munmap(ARENA_BASE, PAGE),))


def edges_of(target: Target, programs: Sequence[Program]) -> list[frozenset[int]]:
    """The edges that each program takes, all of them, in one run; none where there is no KCOV.
    Raises TargetError."""
    observe = Observe.COVER_EDGES | Observe.NO_LEAKS
    return [edges_in(outcome) for outcome in target.run_batch(programs, observe)]


def stable_edges(
    target: Target, programs: Sequence[Program], runs: int = STABLE_RUNS
) -> list[frozenset[int]]:
    """The edges that each program takes in every one of so many runs. Raises TargetError."""
    sets = edges_of(target, programs)
    for _ in range(runs - 1):
        sets = [a & b for a, b in zip(sets, edges_of(target, programs), strict=True)]
    return sets


def places_of(target: Target) -> tuple[int, ...]:
    """Flat (address, how often): what all programs reached since this was asked last, told by a
    program that does next to nothing. Raises TargetError."""
    observe = Observe.COVER_NEW | Observe.COVER_PLACES | Observe.NO_LEAKS
    (outcome,) = target.run_batch([QUIET], observe)
    return outcome.coverage.places if outcome.coverage else ()


def edges_in(outcome: Outcome) -> frozenset[int]:
    """What an outcome tells, as a set."""
    return frozenset(outcome.coverage.edges) if outcome.coverage else frozenset()
