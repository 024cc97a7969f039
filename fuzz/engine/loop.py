"""The campaign: workers are started, given programs, replaced when they die; findings kept.

Every program of the budget is accounted for at the end: done, given up, or not run.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import tempfile
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple, Protocol

from conformance.program.kernel_facts import KernelFacts
from conformance.program.program import Program
from conformance.target.executor_target import choose_tmp_root
from fuzz.engine import engines
from fuzz.engine import messages as m
from fuzz.engine.budget import GUIDED, CampaignOptions, Clock
from fuzz.engine.exchange import Exchange, Reached
from fuzz.engine.schedule import LEASE_BATCHES_MAX, LEASES_PER_WORKER, Account, Schedule
from fuzz.engine.statistics import Tally, total
from fuzz.engine.worker_process import WorkerProcess
from fuzz.findings.finding import Finding
from fuzz.findings.store import FindingsError

TICK_S: Final = 0.25  # how often the clock and the display are looked at
FLUSH_S: Final = 0.02  # the same while a worker has no room for what it is told
# For workers to finish their batches and suspects: one that hangs is run up to 11 times, each
# with a deadline of 2 s, and one that is being shrunk may take 5 s more.
STOP_SECONDS_MAX: Final = 60.0
STARTS_FAILED_MAX: Final = 3  # in a row, without one worker that became ready


class Ending(str, Enum):
    """Why a campaign ended."""

    BUDGET = "budget"  # all programs are done
    TIME = "time"
    INTERRUPTED = "interrupted"
    FAILED = "failed"  # a target, a worker or the store


class CampaignResult(NamedTuple):
    """What a campaign did.

    failure: in words, "" unless ending is FAILED. facts, tallies: by target; a target that no
    worker could open has no facts. findings: by Finding.slug. deaths: of workers that were
    replaced. seconds: from the first worker that was ready. reached: by target, of a campaign
    that is guided or measured.
    """

    ending: Ending
    failure: str
    facts: dict[str, KernelFacts]
    tallies: dict[str, Tally]
    account: Account
    findings: dict[str, Finding]
    seconds: float
    deaths: int
    reached: dict[str, Reached]

    @property
    def total(self) -> Tally:
        """Over all targets."""
        return total(list(self.tallies.values()))


class Snapshot(NamedTuple):
    """What a display may show while a campaign runs."""

    seconds: float
    total: Tally
    findings: int
    stopping: bool


class FindingSink(Protocol):
    """Where findings go at once, so that whatever happens later loses none."""

    def keep(self, finding: Finding) -> None:
        """Raises FindingsError."""
        ...


class Campaign:
    """One campaign. run() once."""

    def __init__(
        self,
        options: CampaignOptions,
        sink: FindingSink,
        show: Callable[[Snapshot], None],
        worker_module: str = "fuzz.engine.worker",
        given: Sequence[Program] = (),
    ) -> None:
        self._options = options
        self._worker_module = worker_module
        self._sink = sink
        self._show = show
        batches_max = engines.LEASE_BATCHES_MAX.get(options.engine, LEASE_BATCHES_MAX)
        self._schedule = Schedule(options.programs, options.workers, batches_max)
        folder = Path(options.corpus) if options.engine == GUIDED and options.corpus else None
        self._exchange = Exchange(folder, given, options.workers)
        self._clock = Clock(None)
        self.workers: list[WorkerProcess] = []
        self._cpus = sorted(os.sched_getaffinity(0))
        self._selector = selectors.DefaultSelector()
        self._tallies: dict[str, Tally] = {name: Tally() for name in options.targets}
        self._facts: dict[str, KernelFacts] = {}
        self._findings: dict[str, Finding] = {}
        self._ending: Ending | None = None
        self._failure = ""
        self._deaths = 0
        self._starts_failed = 0
        self._folder = Path()

    def run(self) -> CampaignResult:
        """Run to the end of the budget, an interruption, or a failure."""
        self._folder = Path(tempfile.mkdtemp(prefix="madvet-campaign-", dir=choose_tmp_root()))
        try:
            with _Interruption() as interruption:
                for number in range(self._options.workers):
                    self._start(number)
                self._serve(interruption)
                self._finish()
        finally:
            for worker in self.workers:
                worker.kill()
            self._selector.close()
            shutil.rmtree(self._folder, ignore_errors=True)
        return CampaignResult(
            self._ending or Ending.BUDGET,
            self._failure,
            self._facts,
            self._tallies,
            self._schedule.account(),
            self._findings,
            self._clock.elapsed(),
            self._deaths,
            self._exchange.total(),
        )

    def _serve(self, interruption: _Interruption) -> None:
        """Until there is a reason to stop."""
        while self._ending is None:
            self._listen(self._clock.left(TICK_S))
            self._show(self._snapshot())
            if self._schedule.finished:
                self._ending = Ending.BUDGET
            elif interruption.asked:
                self._ending = Ending.INTERRUPTED
            elif self._clock.is_up():
                self._ending = Ending.TIME

    def _finish(self) -> None:
        """Let the workers finish their batches, and hear what they still have to say."""
        waiting = Clock(STOP_SECONDS_MAX)
        for worker in self.workers:
            worker.stop()
        while self.workers and not waiting.is_up():
            self._listen(TICK_S)
            self._show(self._snapshot())
        for worker in self.workers:
            self._fail(
                f"worker {worker.number} did not end within {STOP_SECONDS_MAX:.0f} s of being "
                "told to; the programs it was at count as not run"
            )

    def _listen(self, timeout_s: float) -> None:
        if [worker for worker in self.workers if not worker.flush()]:
            timeout_s = min(timeout_s, FLUSH_S)
        for key, _ in self._selector.select(timeout_s):
            worker: WorkerProcess = key.data
            messages, gone = worker.end.receive_all()
            for message in messages:
                self._take(worker, message)
            if gone:
                self._selector.unregister(key.fileobj)
                self._bury(worker)

    def _take(self, worker: WorkerProcess, message: m.FromWorker) -> None:
        if isinstance(message, m.Done):
            worker.leases.remove(message.lease)
            self._schedule.finish(message.lease, message.count)
            for name, tally in message.tallies.items():
                self._tallies[name].add(tally)
        elif isinstance(message, m.Found):
            self._keep(worker, message)
        elif isinstance(message, m.Earned):
            self._earned(worker, message)
        elif isinstance(message, m.Reached):
            self._exchange.reached(message)
        elif isinstance(message, m.Failed):
            worker.failed = message
        else:
            self._welcome(worker, message)
        self._feed(worker)

    def _welcome(self, worker: WorkerProcess, ready: m.Ready) -> None:
        self._starts_failed = 0
        if not self._facts:
            self._clock = Clock(self._options.seconds)  # building and probing cost no budget
        self._facts.update(ready.facts)
        worker.ready = True
        worker.executors = ready.executors
        self._exchange.welcome(worker)

    def _feed(self, worker: WorkerProcess) -> None:
        while (
            self._ending is None
            and worker.ready
            and worker.failed is None
            and len(worker.leases) < LEASES_PER_WORKER
        ):
            lease = self._schedule.take()
            if lease is None:
                return
            worker.give(lease)

    def _keep(self, finder: WorkerProcess, found: m.Found) -> None:
        finding = found.finding
        news = m.Seen(finding.target, found.origin, finding.identity)
        for worker in self.workers:
            if worker is not finder:
                worker.tell(news)
        self._findings.setdefault(finding.slug, finding)
        try:
            self._sink.keep(finding)
        except FindingsError as error:
            self._fail(str(error))

    def _earned(self, finder: WorkerProcess, news: m.Earned) -> None:
        others = (worker for worker in self.workers if worker is not finder and worker.ready)
        try:
            self._exchange.earned(news, others)
        except FindingsError as error:
            self._fail(str(error))

    def _start(self, number: int) -> None:
        cpu = self._cpus[number % len(self._cpus)]
        begin = m.Begin(self._options, cpu, str(self._folder))
        worker = WorkerProcess(number, begin, self._worker_module)
        self.workers.append(worker)
        self._selector.register(worker.end, selectors.EVENT_READ, worker)

    def _bury(self, worker: WorkerProcess) -> None:
        """A worker is gone: take its leases back, and replace it while there is work."""
        status = worker.reap(STOP_SECONDS_MAX)
        self.workers.remove(worker)
        if worker.told_to_stop and status == 0 and not worker.leases:
            return
        # The first lease is what it was at; the others it had not begun.
        begun = worker.ready
        for lease in list(worker.leases):
            if begun:
                self._schedule.lose(lease)
            else:
                self._schedule.put_back(lease)
            begun = False
        if self._ending is not None:
            return
        self._deaths += 1
        if not worker.ready:
            self._starts_failed += 1
        if worker.failed is not None:
            self._fail(worker.failed.message)
        elif self._starts_failed >= STARTS_FAILED_MAX:
            self._fail(f"workers do not start (exit status {status}):{worker.last_words()}")
        else:
            self._start(worker.number)

    def _fail(self, message: str) -> None:
        self._ending = Ending.FAILED
        self._failure = self._failure or message

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            self._clock.elapsed(),
            total(list(self._tallies.values())),
            len(self._findings),
            self._ending is not None,
        )


class _Interruption:
    """Ctrl-C or a polite kill: once to finish and report, twice to leave at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> _Interruption:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # as getsignal() gave it

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
