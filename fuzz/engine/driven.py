"""A worker whose programs come from a library that calls back: Hypothesis, atheris.

Leases are promises of so many programs; which ones they are, the library decides. What it runs
goes through the same lanes, tallies and suspects as the programs of any other engine.
"""

from __future__ import annotations

from collections import deque

from fuzz.engine import messages as m
from fuzz.engine.budget import CampaignOptions
from fuzz.engine.lane import Lane
from fuzz.engine.schedule import Lease
from fuzz.engine.statistics import Tally
from fuzz.engine.suspects import Suspects


class Over(BaseException):
    """There is no more to do. Not an Exception: it has to get through the library."""


class DrivenWorker:
    """Does the leases it is given, and reports each when every program of it is settled."""

    def __init__(
        self, end: m.WorkerEnd, options: CampaignOptions, lanes: list[Lane], suspects: Suspects
    ) -> None:
        self.options = options
        self.lanes = lanes
        self.suspects = suspects
        self._end = end
        self._leases: deque[Lease] = deque()
        self._done = 0  # programs of the first lease
        self.salt = 0  # differs between the workers of a campaign, the same in each such campaign
        self._stopping = False

    def run(self) -> None:
        """Work until told to stop. Raises Closed when the campaign is gone, TargetError."""
        try:
            self.listen(wait=True)
            self.salt = self._leases[0].first
            self.drive()
        except Over:
            self.finish()

    def drive(self) -> None:
        """Let the library run programs, until Over comes out of it. Raises TargetError."""
        raise NotImplementedError

    @property
    def room(self) -> int:
        """Programs that are left of what was promised; 0 only when it is over."""
        return sum(lease.count for lease in self._leases) - self._done

    def count(self, programs: int) -> None:
        """So many programs were run: report the leases that are full, hear what there is to hear.
        Raises Over when nothing more is wanted."""
        self._done += programs
        while self._leases and self._done >= self._leases[0].count:
            lease = self._leases.popleft()
            self._done -= lease.count
            self._report(lease, lease.count)
        self.listen(wait=not self._leases)

    def finish(self) -> None:
        """Report what was begun, and hand back the rest."""
        while self._leases:
            lease = self._leases.popleft()
            self._report(lease, min(self._done, lease.count))
            self._done = 0

    def settle(self) -> list[str]:
        """Settle the suspects that are there; the identities of what is new. Raises TargetError."""
        names = []
        for lane in self.lanes:
            for found in self.suspects.settle(lane, self._hear):
                self._end.send(found)
                names += [found.finding.identity, found.origin]
        return names

    def listen(self, wait: bool) -> None:
        """Take what the campaign has said; wait for it if there is nothing to do. Raises Over."""
        while not self._stopping:
            message = self._end.receive(wait)
            if message is None:
                return
            if isinstance(message, m.Work):
                self._leases.append(message.lease)
                wait = False
            else:
                self._note(message)
        raise Over

    def _hear(self) -> None:
        """While suspects are settled: note what is said, and go on."""
        while (message := self._end.receive(False)) is not None:
            if isinstance(message, m.Work):
                self._leases.append(message.lease)
            else:
                self._note(message)

    def _note(self, message: m.FromCampaign) -> None:
        if isinstance(message, m.Seen):
            self.suspects.seen(message)
        elif isinstance(message, m.Stop):
            self._stopping = True
            self.suspects.hurry()

    def _report(self, lease: Lease, done: int) -> None:
        self.settle()
        tallies: dict[str, Tally] = {lane.target.name: lane.take_tally() for lane in self.lanes}
        self._end.send(m.Done(lease, done, tallies))
