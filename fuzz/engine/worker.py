"""A worker: one process on one CPU, with one executor for each target.

Started as `python -m fuzz.engine.worker FD`; everything else is said over the socket that FD
is. It ends when it is told to stop, when the socket closes, or when a target fails for good.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections import deque
from importlib import import_module
from pathlib import Path
from typing import Final

from conformance.oracle.ledger import LedgerError
from conformance.program.program import Program
from conformance.target.executor_target import Options
from conformance.target.registry import is_guest, open_target
from conformance.target.target import Target, TargetError
from fuzz.engine import messages as m
from fuzz.engine.budget import FAIL_NTH, GUIDED, SIGNALS, CampaignOptions
from fuzz.engine.engines import engine_class
from fuzz.engine.lane import Lane
from fuzz.engine.schedule import BATCH, Lease, observe_of, target_of
from fuzz.engine.statistics import Tally
from fuzz.engine.suspects import Suspects
from fuzz.generate.options import GenerateOptions
from fuzz.generate.programs import ProgramSource
from fuzz.guidance.guide import Guide
from fuzz.guidance.kcov import places_of

# Batches on their way through a target. Worker and executor share a CPU, so a second one would
# only have them preempt each other: 1 was 2 to 7 % faster than 2, side by side.
IN_FLIGHT: Final = 1
GC_THRESHOLD: Final = 50_000  # allocations; programs and predictions hold few cycles


def source_of(options: CampaignOptions) -> ProgramSource:
    """The programs of a campaign that nothing guides."""
    disposable = all(map(is_guest, options.targets))
    generate = GenerateOptions(
        surfaces=frozenset(options.surfaces),
        advices=options.advices,
        poison=disposable,
        reclaim=disposable,
        races=options.races,
        whole=options.engine not in (FAIL_NTH, SIGNALS),
    )
    return ProgramSource(options.seed, generate)


def guide_of(options: CampaignOptions) -> Guide | None:
    """A guide for one of its targets, if it wants any."""
    if not options.guide:
        return None
    disposable = all(map(is_guest, options.targets))
    return Guide(source_of(options), disposable, fresh=options.engine != GUIDED)


class Worker:
    """Does the leases it is given, and reports each when every program of it is settled."""

    def __init__(
        self, end: m.WorkerEnd, options: CampaignOptions, lanes: list[Lane], suspects: Suspects
    ) -> None:
        self._end = end
        self._source = source_of(options)
        self._lanes = lanes
        self._suspects = suspects
        self._leases: deque[Lease] = deque()
        self._stopping = False

    def run(self) -> None:
        """Work until told to stop. Raises Closed when the campaign is gone, TargetError."""
        while not self._stopping:
            self._listen(wait=not self._leases)
            if self._leases and not self._stopping:
                lease = self._leases.popleft()
                self._report(lease, self._do(lease))
        for lease in self._leases:
            self._end.send(m.Done(lease, 0, {}))

    def _do(self, lease: Lease) -> int:
        """Run the batches of a lease; how many programs were done."""
        running: deque[Lane] = deque()
        lanes = self._lanes
        done = 0
        while done < lease.count and not self._stopping:
            first = lease.first + done
            batch = first // BATCH
            lane = lanes[target_of(batch, len(lanes))]
            programs = self._draw(lane, first, min(BATCH, lease.count - done))
            lane.start(first, programs, observe_of(batch, len(lanes)))
            running.append(lane)
            done += len(programs)
            if len(running) >= IN_FLIGHT:
                self._finish(running.popleft())
            self._listen(wait=False)
        for lane in running:
            self._finish(lane)
        return done

    def _draw(self, lane: Lane, first: int, count: int) -> list[Program]:
        if lane.guide is not None:
            return lane.guide.draw(first, count)
        return list(map(self._source.program, range(first, first + count)))

    def _finish(self, lane: Lane) -> None:
        lane.finish()
        seeds, lane.seeds = lane.seeds, []
        for seed in seeds:
            self._end.send(m.Earned(lane.target.name, seed))

    def _report(self, lease: Lease, done: int) -> None:
        """Settle the suspects of a lease, then report it."""
        tallies: dict[str, Tally] = {}
        for lane in self._lanes:
            for found in self._suspects.settle(lane, self._hear):
                self._end.send(found)
            tallies[lane.target.name] = lane.take_tally()
            if lane.guide is not None:
                name, kcov = lane.target.name, lane.guide.kcov
                places = places_of(lane.target) if kcov else ()
                self._end.send(m.Reached(name, kcov, places))
        self._end.send(m.Done(lease, done, tallies))

    def _hear(self) -> None:
        self._listen(wait=False)

    def _listen(self, wait: bool) -> None:
        """Take what the campaign has said."""
        while True:
            message = self._end.receive(wait)
            if message is None:
                return
            wait = False
            if isinstance(message, m.Work):
                self._leases.append(message.lease)
            elif isinstance(message, m.Seen):
                self._suspects.seen(message)
            elif isinstance(message, m.Learn | m.Corpus):
                self._learn(message)
            elif isinstance(message, m.Stop):
                self._stopping = True
                self._suspects.hurry()

    def _learn(self, message: m.Learn | m.Corpus) -> None:
        for lane in self._lanes:
            if lane.guide is None:
                continue
            if isinstance(message, m.Corpus):
                lane.guide.waiting.extend(message.programs)
            elif message.target == lane.target.name:
                lane.guide.pool.add(message.seed)


def serve(end: m.WorkerEnd) -> None:
    """A whole worker's life on one socket."""
    begin = end.receive(wait=True)
    assert isinstance(begin, m.Begin), "the first message says what to do"
    options = begin.options
    if begin.cpu is not None:
        os.sched_setaffinity(0, {begin.cpu})
    targets: list[Target] = []
    try:
        for name in options.targets:
            targets.append(_open(name, begin))
        suspects = Suspects(options)
        lanes = [Lane(target, suspects.ledger, guide_of(options)) for target in targets]
        executors = tuple(pid for target in targets for pid in target.worker_pids())
        end.send(m.Ready(executors, {target.name: target.facts for target in targets}))
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 20)
        engine_class(options.engine)(end, options, lanes, suspects).run()
    except (TargetError, LedgerError) as error:
        end.send(m.Failed(str(error)))
    finally:
        for target in targets:
            target.close()


def _open(name: str, begin: m.Begin) -> Target:
    """A target, in the wrapper that the options name."""
    target: Target = open_target(
        name, Options(cpu=begin.cpu, tmp_root=Path(begin.folder), append=begin.options.append)
    )
    wrapper = begin.options.wrapper
    if wrapper:
        module, _, function = wrapper.partition(":")
        target = getattr(import_module(module), function)(target, begin.options)
    return target


def main(arguments: list[str]) -> None:
    """Serve on the socket whose number is the only argument."""
    with socket.socket(fileno=int(arguments[0])) as plain:
        try:
            serve(m.WorkerEnd(plain))
        except m.Closed:
            return  # the campaign is gone: so is the reason to be


if __name__ == "__main__":
    main(sys.argv[1:])
