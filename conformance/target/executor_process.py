"""One executor: started, spoken to over two pipes, killed, started again.

What is run and what becomes of it is the business of executor_target; here is only the
process. Protocol: see executor_link.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from conformance.target import limits
from conformance.target.executor_link import WORDS, Answer, ExecutorLost, Hello, check_hello
from conformance.target.ring import Ring
from conformance.target.target import TargetError


class ExecutorProcess:
    """An executor and its pipes. command: program and options, to which the ring is added.

    Its standard error goes to log_path. It gets a session of its own, so that Ctrl-C of the
    terminal does not reach it in mid-batch and so that its children can be ended with it.
    """

    def __init__(
        self, command: Sequence[str], ring: Ring, log_path: Path, cpu: int | None = None
    ) -> None:
        self._command = [*command, "--ring", str(ring.fd), "--ring-bytes", str(ring.bytes)]
        self._ring_fd = ring.fd
        self._log_path = log_path
        self._cpu = cpu
        self._process: subprocess.Popen[bytes] | None = None
        self._poll = select.poll()
        self.has_bpf = False
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        process = self._process
        return process.pid if process is not None and _ended(process.pid) is None else None

    def start(self) -> None:
        """Start it and wait for its hello. Raises TargetError when it does not come up."""
        self.kill()
        try:
            with self._log_path.open("ab") as log:
                process = subprocess.Popen(
                    self._command,
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    pass_fds=(self._ring_fd,),
                    start_new_session=True,
                )
        except OSError as error:
            raise TargetError(
                f"cannot start the executor {self._command[0]}: {error.strerror}"
            ) from error
        self._process = process
        self.starts += 1
        self._poll = select.poll()
        self._poll.register(_pipe(process.stdout), select.POLLIN)
        self._pin(process.pid)
        try:
            hello = Hello(*self._read_words(limits.START_SECONDS_MAX))
        except ExecutorLost as lost:
            self.kill()
            raise TargetError(f"the executor did not come up: {lost}{self.log_tail()}") from lost
        problem = check_hello(hello)
        if problem:
            self.kill()
            raise TargetError(f"the executor {self._command[0]} {problem}")
        self.has_bpf = hello.has_bpf

    def ring_bell(self, pair: int, size: int, count: int, quick: bool = False) -> None:
        """Hand over a batch. Whether the executor lives is found out by answer(). quick: nothing
        is, on a machine that others use."""
        del quick
        process = self._process
        assert process is not None, "start() comes first"
        try:
            _pipe(process.stdin).write(WORDS.pack(pair, size, count))
        except BrokenPipeError:
            return  # its death is seen, and its reason known, when the answer is read

    def answer(self, deadline_s: float) -> Answer:
        """The next answer. Raises ExecutorLost when there will be none."""
        return Answer.of(*self._read_words(deadline_s))

    def kill(self) -> None:
        """End the executor and its children at once. May be repeated."""
        process = self._process
        if process is None:
            return
        self._process = None
        # The group holds only what this executor forked. Its leader is reaped here and
        # nowhere else, so the number cannot have passed to anyone else's group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        _close_pipes(process)
        try:
            process.wait(limits.EXIT_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            return  # sleeps uninterruptibly: abandoned, and a new one is started

    def stop(self) -> None:
        """End it politely: close its input, then kill what is left. May be repeated."""
        process = self._process
        if process is None:
            return
        _pipe(process.stdin).close()
        end = time.monotonic() + limits.EXIT_SECONDS_MAX
        while _ended(process.pid) is None and time.monotonic() < end:
            time.sleep(0.001)
        self.kill()

    def log_tail(self) -> str:
        """What it last said on standard error, as an ending for a message; "" if nothing."""
        try:
            lines = self._log_path.read_text("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return ""
        tail = "\n  ".join(lines[-limits.LOG_TAIL_LINES :])
        return f"; its last words:\n  {tail}" if tail else ""

    def _pin(self, pid: int) -> None:
        if self._cpu is None:
            return
        try:
            os.sched_setaffinity(pid, {self._cpu})
        except OSError as error:
            self.kill()
            allowed = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
            raise TargetError(
                f"cannot pin the executor to CPU {self._cpu} ({error.strerror}); "
                f"this process may use CPU {allowed}"
            ) from error

    def _read_words(self, deadline_s: float) -> tuple[int, int, int]:
        """Three words from its standard output. Raises ExecutorLost."""
        process = self._process
        if process is None:
            raise ExecutorLost("the executor is not running")
        if not self._poll.poll(deadline_s * 1000):
            raise ExecutorLost(
                f"the executor did not answer within {deadline_s:.1f} s", silent=True
            )
        data = os.read(_pipe(process.stdout).fileno(), WORDS.size)
        if len(data) != WORDS.size:  # a pipe passes 24 bytes whole or not at all
            raise _death(process.pid)
        first, second, third = WORDS.unpack(data)
        return first, second, third


def _death(pid: int) -> ExecutorLost:
    """Why the executor's output ended."""
    give_up = time.monotonic() + limits.EXIT_SECONDS_MAX
    while (end := _ended(pid)) is None:
        if time.monotonic() > give_up:
            return ExecutorLost("the executor closed its output and lives on", silent=True)
        time.sleep(0.001)
    if end.si_code == os.CLD_EXITED:
        return ExecutorLost(f"the executor exited with status {end.si_status}")
    return ExecutorLost(f"the executor died of {signal_name(end.si_status)}", end.si_status)


def signal_name(number: int) -> str:
    """SIGSEGV and the like, or the number where Python has no name for it."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    assert end is not None, "Popen was asked for pipes"
    return end


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for end in (process.stdin, process.stdout):
        _pipe(end).close()


def _ended(pid: int) -> os.waitid_result | None:
    """How a child ended, None while it runs. It is left unreaped: see kill()."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
