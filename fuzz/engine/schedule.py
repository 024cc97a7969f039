"""Schedule: which programs are run by whom, on what, and how they are looked at.

Programs are numbered from 0. Sixty-four of them are a batch; which target a batch goes to and
how it is looked at follow from its number alone. A lease is a run of batches that one worker
does; leases are handed out in order, and those of a dead worker again. So the set of programs
that are judged does not depend on the number of workers.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

import msgspec

from conformance.program.wire import Observe

BATCH: Final = 64  # programs; what a child of the executor runs before it is replaced
LEASE_BATCHES_MAX: Final = 16  # 1024 programs: 0.1 s of work, what a death costs
LEASES_PER_WORKER: Final = 2  # the second is at hand when the first is done
DEATHS_MAX: Final = 3  # a batch that ends its worker three times is given up

AS_USUAL: Final = Observe(0)
_SAMPLES: Final = {1: 16, 2: 64, 3: 128}  # place in the cycle: length of the cycle, in rounds
_SAMPLE_OBSERVE: Final = {
    1: Observe.READ_ALL,
    2: Observe.SMAPS,  # cross-checks the BPF iterator
    3: Observe.EACH_STEP | Observe.ISOLATED,
}


def target_of(batch: int, targets: int) -> int:
    """Index of the target that a batch runs on."""
    return batch % targets


def observe_of(batch: int, targets: int) -> Observe:
    """How a batch is looked at. Each target has its own rounds, and so its own samples."""
    round_number = batch // targets
    for place, cycle in _SAMPLES.items():
        if round_number % cycle == place:
            return _SAMPLE_OBSERVE[place]
    return AS_USUAL


class Lease(msgspec.Struct, frozen=True, array_like=True):
    """Programs [first, first + count). first is a multiple of BATCH."""

    first: int
    count: int


class Account(NamedTuple):
    """What became of every program that was handed out or asked for.

    given_up: leases whose worker died every time. left: programs of the budget that were not
    run, because of a time limit, an interruption or a failure.
    """

    done: int
    given_up: tuple[Lease, ...]
    left: int


class Schedule:
    """Hands out leases and accounts for each program of them."""

    def __init__(
        self, programs: int | None, workers: int, batches_max: int = LEASE_BATCHES_MAX
    ) -> None:
        self._programs = programs
        self._next = 0
        self._redo: deque[Lease] = deque()
        self._out: set[Lease] = set()
        self._deaths: dict[int, int] = {}  # by first program
        self._given_up: list[Lease] = []
        self._done = 0
        self._lease_programs = BATCH * min(batches_max, _lease_batches(programs, workers))

    def take(self) -> Lease | None:
        """The next lease, None when all are handed out."""
        if self._redo:
            lease = self._redo.popleft()
        else:
            count = self._lease_programs
            if self._programs is not None:
                count = min(count, self._programs - self._next)
            if count <= 0:
                return None
            lease = Lease(self._next, count)
            self._next += count
        self._out.add(lease)
        return lease

    def finish(self, lease: Lease, count: int) -> None:
        """The first `count` programs of a lease are done; the rest is handed out again."""
        self._out.remove(lease)
        self._done += count
        if count < lease.count:
            self._redo.appendleft(Lease(lease.first + count, lease.count - count))

    def lose(self, lease: Lease) -> None:
        """The worker that was running a lease died, and nothing of it was reported.

        It is cut in half and done again, so that a batch which ends every worker is found and
        given up alone.
        """
        self._out.remove(lease)
        if lease.count > BATCH:
            half = (lease.count // BATCH + 1) // 2 * BATCH
            self._redo.append(Lease(lease.first, half))
            if lease.count > half:
                self._redo.append(Lease(lease.first + half, lease.count - half))
            return
        deaths = self._deaths[lease.first] = self._deaths.get(lease.first, 0) + 1
        if deaths >= DEATHS_MAX:
            self._given_up.append(lease)
        else:
            self._redo.append(lease)

    def put_back(self, lease: Lease) -> None:
        """A lease that its worker had not begun."""
        self._out.remove(lease)
        self._redo.appendleft(lease)

    @property
    def finished(self) -> bool:
        """Is every program of the budget accounted for?"""
        if self._out or self._redo or self._programs is None:
            return False
        return self._next >= self._programs

    def account(self) -> Account:
        """What became of every program. Leases still out count as not run."""
        given_up = sum(lease.count for lease in self._given_up)
        asked = self._next if self._programs is None else self._programs
        left = asked - self._done - given_up
        return Account(self._done, tuple(self._given_up), left)


def _lease_batches(programs: int | None, workers: int) -> int:
    """Batches in a lease: fewer when few programs must keep all workers busy to the end."""
    if programs is None:
        return LEASE_BATCHES_MAX
    return max(1, min(LEASE_BATCHES_MAX, programs // BATCH // (8 * workers)))
