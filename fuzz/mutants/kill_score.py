"""Kill score: which planted faults a random campaign finds, and how soon.

A mutant is killed by a program that diverges with the fault, run alone, and does as predicted
without it, run alone as well: what would fail anyway proves nothing. The programs are those of
an ordinary campaign with one seed for all mutants.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from typing import Any, Final

import msgspec

from conformance.oracle.ledger import Ledger, load_ledger
from conformance.oracle.verdict import Verdict, VerdictKind
from conformance.program.program import Program
from conformance.target.registry import open_target
from conformance.target.target import Target
from fuzz.engine.examine import Examiner
from fuzz.engine.schedule import BATCH, observe_of
from fuzz.engine.suspects import words_of
from fuzz.generate.programs import ProgramSource
from fuzz.mutants.catalogue import Mutant, catalogue
from fuzz.mutants.model_mutants import planted
from fuzz.triage.examine import FULL_LOOK, examine

SECONDS: Final = 60.0  # for each mutant
SEED: Final = 1
IN_FLIGHT: Final = 2  # batches: a mutant is sought on a CPU that others use as well
SICK_MAX: Final = 50  # programs that fail without the fault too, before the run is given up


class Score(msgspec.Struct, frozen=True):
    """What became of one mutant.

    killer: the index of the program that killed it, -1 if it survived. seconds: from the first
    program to the kill, or all of them. programs: run until then. words: how it showed; of a
    run that broke, why. sick: what programs show without the fault as well, so that it
    proves nothing, but is worth a look of its own.
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
    """How every mutant is run. seconds: at most, for each."""

    seconds: float = SECONDS
    seed: int = SEED


def kill(mutant: Mutant, plan: Plan, give_up: Callable[[], bool] = lambda: False) -> Score:
    """Run programs until one kills the mutant. give_up: asked between batches.

    Raises TargetError, and PatchError for a mutant of the model that no longer fits it.
    """
    ledger = load_ledger()
    with open_target(mutant.target) as faulty, open_target(mutant.clean) as clean:
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

    def run(self, give_up: Callable[[], bool]) -> Score:
        source = ProgramSource(self._plan.seed)
        examiner = Examiner(self._faulty)
        flights: deque[int] = deque()
        start = time.monotonic()
        first = programs = 0
        ended = False
        while True:
            ended = ended or give_up() or time.monotonic() - start >= self._plan.seconds
            with self._fault():
                while len(flights) < IN_FLIGHT and not ended:
                    batch = [source.program(first + i) for i in range(BATCH)]
                    examiner.start(batch, observe_of(first // BATCH, 1))
                    flights.append(first)
                    first += BATCH
                if not flights:
                    break
                at = flights.popleft()
                bad = [
                    (at + i, one.program, words_of(one.verdict))
                    for i, one in enumerate(examiner.finish())
                    if self._suspicious(one.program, one.verdict)
                ]
            programs = at + BATCH
            if not bad:
                continue
            # Only an executor with nothing on its way can run something alone.
            while flights:
                examiner.finish()
                first = min(first, flights.popleft())
            for number, program, words in bad:
                if self._kills(number, program):
                    seconds = time.monotonic() - start
                    return self._score(number, seconds, programs, words)
            if len(self._sick) >= SICK_MAX:
                break
        return self._score(-1, time.monotonic() - start, programs, "")

    def _kills(self, number: int, program: Program) -> bool:
        """Does it diverge, alone, with the fault and only with it?"""
        with self._fault():
            (verdict,) = examine(self._faulty, [program], FULL_LOOK)
        if not self._suspicious(program, verdict):
            return False
        (healthy,) = examine(self._clean, [program], FULL_LOOK)
        if healthy.kind is VerdictKind.CONFORMANT:
            return True
        self._sick.append(f"program {number}: {healthy.kind.value}: {words_of(healthy)}")
        return False

    def _suspicious(self, program: Program, verdict: Verdict) -> bool:
        """Bad, and not what the ledger knows."""
        facts = self._faulty.facts
        return verdict.bad and self._ledger.match(program, verdict, facts) is None

    def _fault(self) -> AbstractContextManager[None]:
        """The model's fault; the shim's is in the target."""
        return nullcontext() if self._mutant.model is None else planted(self._mutant.model)

    def _score(self, killer: int, seconds: float, programs: int, words: str) -> Score:
        seconds = round(seconds, 3)
        return Score(self._mutant.id, killer, seconds, programs, words, tuple(self._sick))


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


def _kill_by_id(ident: str, plan: Plan) -> Score:
    mutants = {mutant.id: mutant for mutant in catalogue()}
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
        waiting = {pool.submit(_kill_by_id, mutant.id, plan): mutant.id for mutant in mutants}
        try:
            for done in as_completed(waiting):
                yield _score_of(waiting[done], done)
        finally:
            enough.set()
            pool.shutdown(wait=True, cancel_futures=True)
