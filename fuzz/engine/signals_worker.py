"""A worker that has signals come during every call of its programs."""

from __future__ import annotations

from fuzz.engine.schedule import BATCH, Lease, target_of
from fuzz.engine.signals import GROUP, suitable, take
from fuzz.engine.worker import Worker


class SignalsWorker(Worker):
    """The engine signals, see fuzz.engine.signals."""

    def _do(self, lease: Lease) -> int:
        done = 0
        while done < lease.count and not self._stopping:
            first = lease.first + done
            numbers = range(first, first + min(GROUP, lease.count - done))
            lane = self._lanes[target_of(first // BATCH, len(self._lanes))]
            programs = [(number, self._source.program(number)) for number in numbers]
            take(lane, [one for one in programs if suitable(one[1])], self._stopped)
            done += len(numbers)
        return done

    def _stopped(self) -> bool:
        self._listen(wait=False)
        return self._stopping
