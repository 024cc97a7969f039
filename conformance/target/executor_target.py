"""The target that an executor on this machine is: two batches in flight, and none ever lost.

When the executor itself dies or falls silent, the batch it was at is cut in half and run
again in a new one, until a single program is left; one that takes the executor with it each
time is answered for here, with the reason in words.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from struct import error as StructError
from types import TracebackType
from typing import Final, NamedTuple

import msgspec

from conformance.program.kernel_facts import KernelFacts
from conformance.program.outcome import Outcome, Status
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.program.wire_outcome import decode
from conformance.target import limits
from conformance.target.batches import Batch, Submission, cut
from conformance.target.executor_build import ExecutorUnavailable, build_executor
from conformance.target.executor_link import Answer, ExecutorLink, ExecutorLost
from conformance.target.executor_process import ExecutorProcess
from conformance.target.facts import Probed, probe_facts
from conformance.target.ring import PAIRS, Ring
from conformance.target.target import AS_USUAL, TargetError

NOT_PREPARED: Final = "the executor could not prepare what the program needs"


class Options(NamedTuple):
    """How a target on this machine runs.

    cpu: the executor is pinned to it. tmp_root: where its own temporary folder is made; None:
    see choose_tmp_root(). bpf: use the BPF iterator where it works. program_deadline_ms: None:
    what suits the target. probed: facts found
    earlier by a target of the same name and rights, to spare the probing. append: for the end
    of a guest kernel's command line.
    """

    cpu: int | None = None
    tmp_root: Path | None = None
    bpf: bool = True
    program_deadline_ms: int | None = None
    part_bytes: int = limits.PART_BYTES
    probed: Probed | None = None
    append: str = ""


USUAL: Final = Options()


class ExecutorTarget:
    """A Target over one executor. command: the executor and the options that make the target
    what it is (--shim). Raises TargetError when it cannot be started."""

    process: ExecutorLink
    pairs = PAIRS  # of ring parts: batches that may be out at once

    def __init__(self, name: str, command: Sequence[str], options: Options = USUAL) -> None:
        self._name = name
        self._deadline_ms = options.program_deadline_ms or limits.PROGRAM_DEADLINE_MS
        self.folder = _make_folder(options.tmp_root)
        self._remove_folder = weakref.finalize(self, shutil.rmtree, self.folder, True)
        try:
            self.process, self._ring, self.probed = self._link(command, options)
        except TargetError:
            self._remove_folder()
            raise
        self._submissions: deque[Submission] = deque()
        self._waiting: deque[Batch] = deque()
        self._running: deque[tuple[int, Batch]] = deque()
        self._free_pairs = list(range(self.pairs))
        self._deaths_in_a_row = 0
        self._closed = False
        self._start()

    @property
    def name(self) -> str:
        """As registry.open_target() knows it."""
        return self._name

    @property
    def facts(self) -> KernelFacts:
        """Probed once, when the target was opened."""
        return self.probed.facts

    def run_batch(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> list[Outcome]:
        """The outcomes of these programs. Raises TargetError, also while a batch is out."""
        if self._submissions:
            raise TargetError("run_batch() while a submitted batch is not collected")
        self.submit(programs, observe)
        return self.collect()

    def submit(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> None:
        """Start on these programs. Raises TargetError for one that is too large to run."""
        if self._closed:
            raise TargetError(f"target {self._name} is closed")
        submission, batches = cut(programs, observe, self._ring.part_bytes)
        self._submissions.append(submission)
        self._waiting.extend(batches)
        self._feed()

    def collect(self) -> list[Outcome]:
        """The outcomes of the oldest batch submitted. Raises TargetError, and closes the
        target, when the executor cannot be brought back."""
        if not self._submissions:
            raise TargetError("collect() without a submitted batch")
        submission = self._submissions[0]
        try:
            while submission.missing:
                self._advance()
        except TargetError:
            self.close()
            raise
        self._submissions.popleft()
        return submission.outcomes()

    def worker_pids(self) -> tuple[int, ...]:
        """The executor's server process while it lives."""
        pid = self.process.pid
        return () if pid is None else (pid,)

    def close(self) -> None:
        """End the executor, remove its folder, forget what was not collected."""
        if self._closed:
            return
        self._closed = True
        self._submissions.clear()
        self.process.stop()
        self._ring.close()
        self._remove_folder()

    def __enter__(self) -> ExecutorTarget:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _link(self, command: Sequence[str], options: Options) -> tuple[ExecutorLink, Ring, Probed]:
        """What runs the programs, what they go through, and the facts of its kernel."""
        probed = options.probed or probe_facts(command, self.folder)
        ring = Ring(options.part_bytes)
        full = [*command, "--tmp", str(self.folder), "--deadline-ms", str(self._deadline_ms)]
        full += [] if options.bpf else ["--no-bpf"]
        log = self.folder / "executor.log"
        return ExecutorProcess(full, ring, log, options.cpu), ring, probed

    def _batch_deadline_s(self, programs: int) -> float:
        return limits.batch_deadline_s(programs, self._deadline_ms)

    def _start(self) -> None:
        """A new executor with nothing to do. On TargetError the target is closed."""
        self._running.clear()
        self._free_pairs = list(range(self.pairs))
        try:
            self.process.start()
        except TargetError:
            self.close()
            raise

    def _feed(self) -> None:
        """Hand waiting batches over as long as a pair of ring parts is free."""
        while self._waiting and self._free_pairs:
            batch = self._waiting.popleft()
            pair = self._free_pairs.pop(0)
            size = self._ring.put(pair, batch.encoded)
            self._running.append((pair, batch))
            self.process.ring_bell(pair, size, len(batch.encoded), batch.submission.quick)

    def _advance(self) -> None:
        """Wait for the oldest running batch, or recover from the loss of the executor."""
        pair, batch = self._running[0]
        try:
            answer = self.process.answer(self._batch_deadline_s(len(batch.encoded)))
            outcomes = self._read(answer, pair, batch)
        except ExecutorLost as lost:
            self._recover(lost)
            return
        self._deaths_in_a_row = 0
        for index, outcome in enumerate(outcomes, batch.first):
            batch.submission.fill(index, outcome)
        self._running.popleft()
        self._free_pairs.append(pair)
        self._feed()

    def _read(self, answer: Answer, pair: int, batch: Batch) -> list[Outcome]:
        """The outcomes of one batch. Raises ExecutorLost if the ring does not hold them: then
        something has overwritten it, and nothing that this executor says can be relied on."""
        if answer.pair != pair or answer.programs != len(batch.encoded):
            raise ExecutorLost(f"the executor answered {answer} to another batch than asked")
        outcomes = []
        at = 0
        try:
            data = self._ring.answer(pair, answer.size)
            for index in range(batch.first, batch.first + len(batch.encoded)):
                ident, outcome, at = decode(data, at)
                if ident != index:
                    raise ValueError(f"outcome of program {ident} where {index} was due")
                if outcome.status is Status.NOT_RUN and not outcome.reason:
                    outcome = msgspec.structs.replace(outcome, reason=NOT_PREPARED)
                outcomes.append(outcome)
            if at != answer.size:
                raise ValueError(f"{answer.size - at} bytes after the last outcome")
        except (ValueError, StructError) as error:
            raise ExecutorLost(f"the executor's answer cannot be read: {error}") from error
        return outcomes

    def _recover(self, lost: ExecutorLost) -> None:
        """Start anew with everything unanswered; blame a single program that always kills."""
        running = [batch for _, batch in self._running]
        guilty = running[0]
        guilty.deaths += 1
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row > limits.DEATHS_IN_A_ROW_MAX:
            raise TargetError(
                f"the executor was lost {self._deaths_in_a_row} times in a row without "
                f"answering for a single program: {lost}{self.process.log_tail()}"
            )
        again: list[Batch] = [guilty]
        if len(guilty.encoded) > 1:
            again = list(guilty.halves())
        elif guilty.deaths >= limits.DEATHS_ALONE_MAX:
            guilty.submission.fill(guilty.first, _blamed(lost, guilty.deaths))
            again = []
        self._waiting.extendleft(reversed([*again, *running[1:]]))
        self._start()
        self._feed()


def _blamed(lost: ExecutorLost, deaths: int) -> Outcome:
    """The outcome of a program that took the executor itself with it every time."""
    return Outcome(
        status=Status.HUNG if lost.silent else Status.KILLED,
        results=(),
        signal=lost.signal,
        reason=f"{lost}, each of the {deaths} times that it ran this program alone",
    )


def executor_path(*, mutants: bool = False) -> str:
    """The executor, built if need be; mutants: the build with planted faults. TargetError."""
    try:
        return str(build_executor(mutants=mutants))
    except ExecutorUnavailable as error:
        raise TargetError(str(error)) from error


def choose_tmp_root() -> Path:
    """Where temporary folders go: TMPDIR if set, else /var/tmp, which unlike /tmp is on a
    disk almost everywhere, so that there is a file system worth testing behind it."""
    var_tmp = Path("/var/tmp")
    if not os.environ.get("TMPDIR") and os.access(var_tmp, os.W_OK | os.X_OK):
        return var_tmp
    return Path(tempfile.gettempdir())


def _make_folder(root: Path | None) -> Path:
    parent = root if root is not None else choose_tmp_root()
    try:
        return Path(tempfile.mkdtemp(prefix="madvet-", dir=parent))
    except OSError as error:
        raise TargetError(
            f"cannot make a temporary folder in {parent}: {error.strerror}; "
            "name another one with TMPDIR"
        ) from error
