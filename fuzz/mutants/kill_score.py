"""Kill score: which planted faults a random campaign finds, and how soon.

A mutant is killed by a program that diverges with the fault, run alone, and does as predicted
without it, run alone as well: what would fail anyway proves nothing. Where the kernel itself must
notice the fault, only a report counts that has the right title. The programs are those of an
ordinary campaign with one seed for all mutants (see source_of()).
"""

from __future__ import annotations

import atexit
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from typing import Any, Final

import msgspec

from conformance.oracle.kernel_said import LEAK_TITLES, title_of
from conformance.oracle.ledger import Ledger, load_ledger
from conformance.oracle.verdict import Verdict, VerdictKind
from conformance.program.call import SURFACES
from conformance.program.program import Program
from conformance.target.kernel_log import SILENT
from conformance.target.registry import open_target
from conformance.target.target import Target
from fuzz.engine.budget import RANDOM
from fuzz.engine.examine import Examiner
from fuzz.engine.schedule import BATCH, observe_of
from fuzz.engine.suspects import words_of
from fuzz.generate.options import GenerateOptions
from fuzz.generate.programs import ProgramSource
from fuzz.mutants.catalogue import RACE, Mutant, catalogue
from fuzz.mutants.hunters import hunter
from fuzz.mutants.model_mutants import planted
from fuzz.mutants.shortage import REQUIREMENT, ShortSource
from fuzz.triage.examine import FULL_LOOK, examine
from fuzz.triage.stability import RACE_RUNS

SECONDS: Final = 60.0  # for each mutant
SLOW_SECONDS: Final = 600.0  # on a guest that runs a tenth as many programs
SLOW: Final = "qemu-debug"
SEED: Final = 1
IN_FLIGHT: Final = 2  # batches: a mutant is sought on a CPU that others use as well
# A guest that stands still is waited for, 10 s for each program that does it and as long again for
# each half in which it is sought.
SILENT_BATCH: Final = 2
SICK_MAX: Final = 50  # programs that fail without the fault too, before the run is given up


class Score(msgspec.Struct, frozen=True):
    """What became of one mutant.

    killer: the index of the program that killed it, -1 if it survived. seconds: from the first
    program to the kill, or all of them. programs: run until then. words: how it showed; of a
    survivor, how it showed where that does not count; of a run that broke, why. sick: what
    programs show without the fault as well, so that it proves nothing, but is worth a look of
    its own.
    """

    id: str
    killer: int
    seconds: float
    programs: int
    words: str = ""
    sick: tuple[str, ...] = ()
    broken: bool = False

    @property
    def killed(self) -> bool:
        """Was it found?"""
        return self.killer >= 0


class Plan(msgspec.Struct, frozen=True):
    """How every mutant is run. seconds: at most, for each. engine: one of hunters.ENGINES."""

    seconds: float = SECONDS
    seed: int = SEED
    engine: str = RANDOM


def seconds_for(mutants: Sequence[Mutant]) -> float:
    """As long as each is to be sought, if nobody says how long."""
    slow = any(mutant.target.startswith(SLOW) for mutant in mutants)
    return SLOW_SECONDS if slow else SECONDS


def kill(mutant: Mutant, plan: Plan, give_up: Callable[[], bool] = lambda: False) -> Score:
    """Run programs until one kills the mutant. give_up: asked between batches.

    Raises TargetError, and PatchError for a mutant of the model that no longer fits it.
    """
    ledger = load_ledger()
    with open_target(mutant.target) as faulty, clean_target(mutant) as clean:
        return _Hunt(mutant, plan, faulty, clean, ledger).run(give_up)


class _Hunt:
    def __init__(
        self, mutant: Mutant, plan: Plan, faulty: Target, clean: Target, ledger: Ledger
    ) -> None:
        self._mutant = mutant
        self._plan = plan
        self._faulty = faulty
        self._clean = clean
        self._ledger = ledger
        self._sick: list[str] = []
        self._elsewise = ""  # how it showed, where that does not count

    def run(self, give_up: Callable[[], bool]) -> Score:
        start = time.monotonic()
        in_flight = 1 if self._mutant.titles else IN_FLIGHT
        source = source_of(self._mutant, self._plan.seed)
        hunt = hunter(self._plan.engine, source, in_flight, bool(self._mutant.guest))
        examiner = Examiner(self._faulty, cite=hunt.cite)
        flights: deque[tuple[int, int]] = deque()  # first program, how many
        first = programs = 0
        ended = False
        while True:
            ended = ended or give_up() or time.monotonic() - start >= self._plan.seconds
            with self._fault():
                while len(flights) < hunt.flights and not ended:
                    batch = hunt.draw(first, batch_size(self._mutant, first))
                    if not batch:
                        ended = True
                        break
                    examiner.start(batch, observe_of(first // BATCH, 1) | hunt.observe)
                    flights.append((first, len(batch)))
                    first += len(batch)
                if not flights:
                    break
                at, size = flights.popleft()
                examined = examiner.finish()
                bad = [
                    (at + i, one.program)
                    for i, one in enumerate(examined)
                    if self._suspicious(one.program, one.verdict)
                ]
                if not bad:
                    hunt.learn(self._faulty, examined)
            programs = at + size
            if not bad:
                continue
            # Only an executor with nothing on its way can run something alone.
            while flights:
                examiner.finish()
                first = min(first, flights.popleft()[0])
            for number, program in bad:
                words = self._kills(number, program)
                if words:
                    seconds = time.monotonic() - start
                    return self._score(number, seconds, programs, words)
            if len(self._sick) >= SICK_MAX:
                break
        return self._score(-1, time.monotonic() - start, programs, self._elsewise)

    def _kills(self, number: int, program: Program) -> str:
        """How it shows, alone, with the fault and only with it; "" if it does not."""
        runs = RACE_RUNS if self._mutant.where == RACE else 1
        with self._fault():
            verdict = _worst(examine(self._faulty, [program] * runs, FULL_LOOK))
        if not self._suspicious(program, verdict):
            return ""
        if not tells(self._mutant, verdict):
            self._elsewise = f"shows only as {verdict.kind.value}: {words_of(verdict)}"
            return ""
        healthy = _worst(examine(self._clean, [program] * runs, FULL_LOOK))
        if healthy.kind is VerdictKind.CONFORMANT:
            return words_of(verdict)
        self._sick.append(f"program {number}: {healthy.kind.value}: {words_of(healthy)}")
        return ""

    def _suspicious(self, program: Program, verdict: Verdict) -> bool:
        """Bad, and not what the ledger knows."""
        facts = self._faulty.facts
        return verdict.bad and self._ledger.match(program, verdict, facts) is None

    def _fault(self) -> AbstractContextManager[None]:
        """The model's fault; the others are in the target."""
        return nullcontext() if self._mutant.model is None else planted(self._mutant.model)

    def _score(self, killer: int, seconds: float, programs: int, words: str) -> Score:
        seconds = round(seconds, 3)
        return Score(self._mutant.id, killer, seconds, programs, words, tuple(self._sick))


def _worst(verdicts: list[Verdict]) -> Verdict:
    """The first that is not conformant, if any is not."""
    return next((v for v in verdicts if v.kind is not VerdictKind.CONFORMANT), verdicts[0])


def source_of(mutant: Mutant, seed: int) -> ProgramSource:
    """The programs among which a fault is sought: those of an ordinary campaign, in a guest of one
    with --surface madvise_ranges, since the kernel's faults are all in that call and a guest
    runs a tenth of the programs that a host does. Where the fault shows only in want of memory,
    there is some of it in each."""
    surfaces = frozenset({"madvise_ranges"}) if mutant.guest else frozenset(SURFACES)
    races = mutant.where == RACE
    short = mutant.guest and mutant.requirement == REQUIREMENT
    source = ShortSource if short else ProgramSource
    return source(seed, GenerateOptions(surfaces=surfaces, races=races))


def batch_size(mutant: Mutant, done: int) -> int:
    """How many programs to submit next. Each that takes a guest down costs a boot: a fault that
    shows in one program of n is met after some n of them, so a batch that is no larger than
    what has been run takes the guest down about once. And only batches that are not full are
    looked at for leaks each time."""
    if not mutant.titles:
        return BATCH
    most = BATCH // 2 if any(title.startswith(LEAK_TITLES) for title in mutant.titles) else BATCH
    if SILENT in mutant.titles:
        most = SILENT_BATCH
    return min(most, max(1, done))


def tells(mutant: Mutant, verdict: Verdict) -> bool:
    """Is a bad verdict what this fault must lead to?

    A fault that the kernel must notice: a report with one of its titles; where it keeps a call
    from returning, the deadline of the executor is as good.
    """
    if not mutant.titles:
        return True
    if verdict.log:
        return title_of(verdict.log).startswith(mutant.titles)
    return verdict.kind is VerdictKind.HANG and mutant.requirement in verdict.requirements


_kept: dict[str, Target] = {}  # of a process of the pool: clean guests, by name


@contextmanager
def clean_target(mutant: Mutant) -> Iterator[Target]:
    """The target without the fault. A guest takes seconds to boot, so a process of the pool keeps
    it for the mutants to come, unless it breaks. Raises TargetError."""
    name = mutant.clean
    if not (mutant.guest and _enough):
        with open_target(name) as target:
            yield target
        return
    if name not in _kept:
        _kept[name] = open_target(name)
    try:
        yield _kept[name]
    except BaseException:
        _kept.pop(name).close()
        raise


def _close_kept() -> None:
    while _kept:
        _kept.popitem()[1].close()


_enough: list[Event] = []  # of a process of the pool


def _begin(enough: Event, started: Any) -> None:
    """Once in each process: its CPU, and deaf to the terminal's Ctrl-C, which is the parent's.

    started: a shared counter of the processes that began before.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cpus = sorted(os.sched_getaffinity(0))
    with started.get_lock():
        os.sched_setaffinity(0, {cpus[started.value % len(cpus)]})
        started.value += 1
    _enough.append(enough)
    atexit.register(_close_kept)


def _kill_by_id(ident: str, guest: str, plan: Plan) -> Score:
    mutants = {mutant.id: mutant for mutant in (catalogue(guest) if guest else catalogue())}
    return kill(mutants[ident], plan, _enough[0].is_set)


def _score_of(ident: str, done: Future[Score]) -> Score:
    """What a run came to; one that could not be made is broken, which is never killed."""
    try:
        return done.result()
    except Exception as error:  # noqa: BLE001 - costs this mutant, not the others
        return Score(ident, -1, 0.0, 0, f"{type(error).__name__}: {error}", broken=True)


def kill_all(mutants: tuple[Mutant, ...], plan: Plan, workers: int) -> Iterator[Score]:
    """A score for each mutant as it comes, on `workers` CPUs at once.

    Closing the iterator, or Ctrl-C, ends the runs after their batch. Always plain Python:
    native code cannot be given a fault.
    """
    context = get_context("spawn")
    enough = context.Event()
    with ProcessPoolExecutor(
        workers, context, initializer=_begin, initargs=(enough, context.Value("i", 0))
    ) as pool:
        waiting = {
            pool.submit(_kill_by_id, mutant.id, mutant.guest, plan): mutant.id for mutant in mutants
        }
        try:
            for done in as_completed(waiting):
                yield _score_of(waiting[done], done)
        finally:
            enough.set()
            pool.shutdown(wait=True, cancel_futures=True)
