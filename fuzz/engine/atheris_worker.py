"""The engine `atheris`: libFuzzer chooses what is mutated, by what kernel and model did with it.

libFuzzer's loop never returns, and it knows one way to tell of a finding: to stop. So it is told
of none; programs go through the lanes of any worker, which judge, confirm and shrink. What it is
told are counters. When the campaign ends, or the target does, the process ends in a callback.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Final, NoReturn, ParamSpec, TypeVar

from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.target.executor_target import choose_tmp_root
from conformance.target.registry import is_guest
from conformance.target.target import TargetError
from fuzz.engine import messages as m
from fuzz.engine.driven import DrivenWorker, Over
from fuzz.engine.examine import Examiner
from fuzz.engine.libfuzzer import Inputs, counters_of, seed_folder
from fuzz.engine.schedule import observe_of, target_of
from fuzz.guidance.ahead import BATCH, Ahead, Counters
from fuzz.guidance.atheris_loop import fuzz_programs, mutate_bytes

NUMBER: Final = -1  # of a program in the campaign: none can be made again from it

P = ParamSpec("P")
T = TypeVar("T")


class AtherisWorker(DrivenWorker):
    """See the file."""

    def drive(self) -> None:
        """Ends the process."""
        guest = all(is_guest(lane.target.name) for lane in self.lanes)
        inputs = Inputs(self.options, guest, self.salt, mutate_bytes)
        for lane in self.lanes:
            lane.examiner = Examiner(lane.target, cite=True)
        self._batches = count()
        made = Path(tempfile.mkdtemp(prefix="madvet-corpus-", dir=_memory()))
        self._made = made
        corpus = Path(self.options.corpus) if self.options.corpus else made
        corpus.mkdir(parents=True, exist_ok=True)
        ahead = Ahead(self._run, lambda: inputs.news(corpus))
        folders = [corpus, seed_folder()]
        self._guard(ahead.preload, inputs.of_folders(folders))

        def told(data: bytes) -> Counters:
            return self._guard(ahead.counters, data, inputs.bytes.program)

        def mutate(data: bytes, most: int, number: int) -> bytes:
            return self._guard(ahead.exchange, lambda: inputs.mutant(data, most, number))

        def cross(data: bytes, other: bytes, most: int, number: int) -> bytes:
            return self._guard(ahead.exchange, lambda: inputs.child(data, other, most, number))

        words = [f"-seed={(self.options.seed ^ self.salt) % (1 << 31) or 1}", "-reload=1"]
        if inputs.dictionary is not None:
            words.append(f"-dict={inputs.dictionary}")
        fuzz_programs(folders, told, mutate, cross, words)

    def _run(self, programs: list[Program]) -> list[Counters]:
        """Run and judge programs, as many at once as are promised. Raises Over, TargetError."""
        out: list[Counters] = []
        while programs:
            some, programs = programs[: self.room], programs[self.room :]
            out += self._run_some(some)
            self.count(len(some))
        return out

    def _run_some(self, programs: list[Program]) -> list[Counters]:
        """A batch, on the target whose turn it is."""
        batch = next(self._batches)
        lane = self.lanes[target_of(batch, len(self.lanes))]
        observe = observe_of(batch, len(self.lanes)) | Observe.COVER_EDGES
        if len(programs) < BATCH:
            observe |= Observe.NO_LEAKS  # full batches are looked at often enough
        lane.start(NUMBER, programs, observe)
        examined = lane.finish()
        lane.suspects = [suspect._replace(number=NUMBER) for suspect in lane.suspects]
        return [counters_of(one) for one in examined]

    def _guard(self, function: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """What a function gives; the end of the process when there is no more to do."""
        try:
            return function(*given, **named)
        except Over:
            self._leave(self.finish)
        except m.Closed:
            self._leave(lambda: None)
        except TargetError as error:
            failed = m.Failed(str(error))
            self._leave(lambda: self._end.send(failed))
        raise AssertionError("the process has ended")

    def _leave(self, last: Callable[[], None]) -> NoReturn:
        """Say the last, put everything away, and go: libFuzzer has no other way out."""
        status = 0
        try:
            last()
        except m.Closed:
            status = 1
        finally:
            for lane in self.lanes:
                lane.target.close()
            shutil.rmtree(self._made, ignore_errors=True)
            os._exit(status)


def _memory() -> Path:
    """Where a corpus goes that nobody keeps: some hundred files a second that no disk need see. In
    TMPDIR, if that is set."""
    memory = Path("/dev/shm")
    usable = not os.environ.get("TMPDIR") and os.access(memory, os.W_OK | os.X_OK)
    return memory if usable else choose_tmp_root()
