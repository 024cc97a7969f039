"""A guest and the executor in it, as executor_target uses any executor.

The guest is booted once and runs the executor as often as that is needed. It is suspect all the
time: what its console says is read after each batch, and a guest that said anything against
itself, changed its taint, ended or fell silent is given up with a report of it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from conformance.target import limits
from conformance.target.executor_link import (
    WORDS,
    Answer,
    ExecutorLost,
    Hello,
    check_hello,
)
from conformance.target.executor_process import signal_name
from conformance.target.guest_console import GuestConsole
from conformance.target.guest_machine import Boot, Machine
from conformance.target.kernel_log import LOST, SILENT, Report, find_reports, made_report
from conformance.target.limits import Pace
from conformance.target.target import TargetError

# Messages of executor/guest/init.c, where they are explained.
INIT_VERSION: Final = 1
READY: Final = int.from_bytes(b"READY", "little")
RUN: Final = int.from_bytes(b"RUN", "little")
ENDED: Final = int.from_bytes(b"ENDED", "little")
BELL_QUICK: Final = 1 << 32  # executor.h
ALIVE: Final = int.from_bytes(b"ALIVE", "little")  # of the executor, while a batch runs
LISTEN_S: Final = 0.5  # between two looks at a console while an answer is awaited
# A kernel that printed a report and goes on may still answer; one that deadlocked will not.
REPORTED_SECONDS_MAX: Final = 2.0
LAST_WORDS_S: Final = 1.0  # for what a dying guest has still in its pipe
QUIET_S: Final = 0.05  # a report whose next line does not come for so long is at its end
TAINTED: Final = "kernel tainted"  # and nothing on the console that says why
READ_BYTES: Final = 1 << 16
KILLS: Final = (signal.SIGKILL, signal.SIGTERM)  # of others: no kernel ends itself by these


class GuestLost(ExecutorLost):
    """The guest is not to be trusted, or not there, any more. report: why. answer: what it
    answered nevertheless."""

    def __init__(self, report: Report, silent: bool = False, answer: Answer | None = None) -> None:
        super().__init__(report.title, silent=silent)
        self.report = report
        self.answer = answer


class GuestLink:
    """One guest. initrd: what guest_initramfs made. arguments: the executor and its options, in
    the guest; "@ring" stands for the descriptor of the ring."""

    def __init__(
        self,
        machine: Machine,
        boot: Boot,
        arguments: Sequence[str],
        pace: Pace,
        cpu: int | None = None,
    ) -> None:
        self._machine = machine
        self._boot_plan = boot
        self._arguments = arguments
        self._pace = pace
        self._cpu = cpu
        self._process: subprocess.Popen[bytes] | None = None
        self._bell: socket.socket | None = None
        self._console: GuestConsole | None = None
        self._heard = b""
        self._reported = 0.0  # when the console first said something in this batch; 0: it has not
        self._idle = False  # /init waits to be told what to run
        self._taint = 0
        self.has_bpf = False
        self.starts = 0
        self.boots = 0

    @property
    def pid(self) -> int | None:
        """Of the process that the guest is."""
        process = self._process
        return process.pid if process is not None and _end_of(process.pid) is None else None

    @property
    def serving(self) -> bool:
        """Is there a guest with an executor in it that was not seen to end?"""
        return self.pid is not None and not self._idle

    def boot(self) -> None:
        """Start a new guest and wait for its /init; one that the kernel itself gives up while it
        comes up, once or twice more, which is told on standard error. Raises TargetError, with the
        end of the console, when none comes up."""
        for again in range(limits.BOOTS_MAX):
            self._power_on()
            try:
                what, version, _ = WORDS.unpack(self._hear(WORDS.size, self._pace.boot))
                break
            except GuestLost as lost:
                if not lost.report.format or again == limits.BOOTS_MAX - 1:
                    self._fail("boot", str(lost))
                what_it_said = f"{self._boot_plan.kernel} went down while it booted: {lost}"
                sys.stderr.write(f"madvet: the guest {what_it_said}; booting it again\n")
            except ExecutorLost as lost:
                self._fail("boot", str(lost))
        if (what, version) != (READY, INIT_VERSION):
            self._fail("boot", "its /init speaks another language")
        assert self._console is not None, "it is on"
        self._idle = True
        self._console.mark()

    def _power_on(self) -> None:
        """Start the machine. Raises TargetError."""
        self.kill()
        ours, theirs = socket.socketpair()
        read_end, write_end = os.pipe()
        log = self._boot_plan.folder / "console.log"
        with theirs, open(write_end, "wb") as output:
            folder = tempfile.mkdtemp(prefix="guest-", dir=self._boot_plan.folder)
            plan = self._boot_plan._replace(bell=theirs.fileno(), folder=Path(folder))
            command = ["setpriv", "--pdeathsig", "KILL", *self._machine(plan)]
            self._console = GuestConsole(read_end, log)
            self._bell = ours
            self._heard = b""
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(plan.bell, plan.ring_fd),
                    start_new_session=True,
                )
            except OSError as error:
                self.kill()
                raise TargetError(f"cannot start {command[3]}: {error.strerror}") from error
        self.boots += 1
        self._reported = 0.0
        self._pin(self._process.pid)

    def _pin(self, pid: int) -> None:
        if self._cpu is None:
            return
        try:
            os.sched_setaffinity(pid, {self._cpu})
        except ProcessLookupError:
            return  # why it ended is found out where it is listened to
        except OSError as error:
            self._fail("start", f"it cannot be pinned to CPU {self._cpu} ({error.strerror})")

    def facts(self, arguments: Sequence[str]) -> bytes:
        """What the executor prints with these arguments, in a guest that was booted.

        Raises TargetError.
        """
        try:
            status, data = self.output_of(arguments, self._pace.facts)
        except ExecutorLost as lost:
            self._fail("probe its kernel", str(lost))
        if status:
            self._fail("probe its kernel", f"wait status {status:#x}")
        return data

    def output_of(self, arguments: Sequence[str], deadline_s: float) -> tuple[int, bytes]:
        """The wait status, and what it printed, of the executor with these arguments, or of another
        program in the guest (the first argument is then its path). Raises GuestLost when the
        kernel went down, or said something against itself."""
        self._run(arguments, serve=False)
        what, status, size = WORDS.unpack(self._hear(WORDS.size, deadline_s))
        if what != ENDED:
            self._fail("run a program", "the answer is none")
        data = self._hear(size, self._pace.start)
        self._look(None)
        self._idle = True
        return status, data

    def start(self) -> None:
        """Run the executor, in a new guest unless the old one waits for something to do."""
        if not self._idle or self.pid is None:
            self.boot()
        self._run(self._arguments, serve=True)
        hello = Hello(*self._expect(self._pace.start, "start the executor"))
        problem = check_hello(hello)
        if problem:
            self._fail("start the executor", f"it {problem}")
        self._taint = hello.last >> 32
        self.has_bpf = hello.has_bpf
        self.starts += 1

    def ring_bell(self, pair: int, size: int, count: int, quick: bool = False) -> None:
        """Hand over a batch. quick: what it leaves behind is not looked at, which takes 40 ms."""
        assert self._bell is not None, "start() comes first"
        self._reported = 0.0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._bell.sendall(WORDS.pack(pair | (BELL_QUICK if quick else 0), size, count))

    def answer(self, deadline_s: float) -> Answer:
        """The next answer. Raises GuestLost, also when the guest gave no sign of life for its
        pace's silence; ExecutorLost when only the executor ended, or the guest was killed."""
        give_up = time.monotonic() + deadline_s
        words = (ALIVE, 0, 0)
        while words[0] == ALIVE:
            left = max(give_up - time.monotonic(), 0)
            words = WORDS.unpack(self._hear(WORDS.size, min(left, self._pace.silence)))
        if words[0] == ENDED:
            self._look(None)
            self._idle = True
            raise _ended(words[1])
        if words[0] == READY:
            self._last_words()
            raise GuestLost(self._report() or self._made(LOST))
        answer = Answer.of(*words)
        self._look(answer)
        if answer.taint != self._taint:
            title = f"{TAINTED} {answer.taint & ~self._taint:#x}"
            raise GuestLost(self._made(title)._replace(fatal=False), answer=answer)
        return answer

    def kill(self) -> None:
        """End the guest. May be repeated."""
        process, self._process = self._process, None
        if process is not None:
            # The group holds only this guest. Its leader is reaped here and nowhere else, so the
            # number cannot have passed to anyone else's group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(limits.EXIT_SECONDS_MAX)
        if self._bell is not None:
            self._bell.close()
        if self._console is not None:
            self._console.close()
        self._bell = self._console = None
        self._idle = False

    def stop(self) -> None:
        """There is nothing in a guest that is worth an orderly end."""
        self.kill()

    def log_tail(self) -> str:
        """The end of the console, as an ending for a message."""
        tail = self._console.tail(limits.LOG_TAIL_LINES) if self._console is not None else ""
        return "; its last words:\n  " + tail.replace("\n", "\n  ") if tail else ""

    def _run(self, arguments: Sequence[str], serve: bool) -> None:
        data = b"".join(argument.encode() + b"\0" for argument in arguments)
        assert self._bell is not None, "boot() comes first"
        self._idle = False
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._bell.sendall(WORDS.pack(RUN, len(data), int(serve)) + data)

    def _expect(self, deadline_s: float, what: str) -> tuple[int, int, int]:
        """Three words that must come. Raises TargetError."""
        try:
            first, second, third = WORDS.unpack(self._hear(WORDS.size, deadline_s))
        except ExecutorLost as lost:
            self._fail(what, str(lost))
        return first, second, third

    def _fail(self, what: str, why: str) -> None:
        tail = self.log_tail()
        self.kill()
        raise TargetError(f"the guest {self._boot_plan.kernel} did not {what}: {why}{tail}")

    def _hear(self, size: int, deadline_s: float) -> bytes:
        """That many bytes from the bell. Raises GuestLost."""
        assert self._bell is not None, "boot() comes first"
        assert self._console is not None, "boot() comes first"
        end = time.monotonic() + deadline_s
        bell = self._bell.fileno()
        while len(self._heard) < size:
            now = time.monotonic()
            if now >= end:
                raise GuestLost(self._report() or self._made(SILENT), silent=True)
            if self._reported and now - self._reported > REPORTED_SECONDS_MAX:
                self._look(None)
            fds = [bell, self._console.fd] if self._console.open else [bell]
            ready, _, _ = select.select(fds, [], [], min(LISTEN_S, end - now))
            self._console.drain()
            if not self._reported and find_reports(self._console.new()):
                self._reported = now
            if bell in ready and not self._hear_more():
                raise self._death()
        data, self._heard = self._heard[:size], self._heard[size:]
        return data

    def _hear_more(self) -> bool:
        """False when the other end of the bell is gone."""
        assert self._bell is not None, "called by _hear()"
        try:
            data = self._bell.recv(READ_BYTES)
        except ConnectionResetError:
            data = b""
        self._heard += data
        return bool(data)

    def _death(self) -> ExecutorLost:
        """Why the bell's other end is gone. A guest that somebody else killed has done nothing:
        its programs run once more, as those of any executor that was killed."""
        self._last_words()
        report = self._report()
        process = self._process
        assert process is not None, "called by _hear()"
        give_up = time.monotonic() + LAST_WORDS_S
        while (end := _end_of(process.pid)) is None and time.monotonic() < give_up:
            time.sleep(0.001)
        if report is None and end is not None and end.si_code != os.CLD_EXITED:
            number = end.si_status
            if number in KILLS:
                return ExecutorLost(f"the guest died of {signal_name(number)}", number)
        return GuestLost(report or self._made(LOST))

    def _last_words(self) -> None:
        """Read the console of a guest until it has said all: it ended, or is quiet."""
        assert self._console is not None, "called by those who heard something"
        end = time.monotonic() + LAST_WORDS_S
        while self._console.open and time.monotonic() < end:
            if not select.select([self._console.fd], [], [], QUIET_S)[0]:
                return
            self._console.drain()

    def _look(self, answer: Answer | None) -> None:
        """Raises GuestLost when the console says something against the kernel."""
        assert self._console is not None, "called by those who heard something"
        if self._report() is not None:
            self._last_words()
            report = self._report()
            assert report is not None, "what was read stays"
            raise GuestLost(report, answer=answer)
        self._console.mark()

    def _report(self) -> Report | None:
        """The first report in what the console said since the batch before."""
        assert self._console is not None, "called by those who heard something"
        self._console.drain()
        reports = find_reports(self._console.new())
        return reports[0] if reports else None

    def _made(self, title: str) -> Report:
        assert self._console is not None, "called by those who heard something"
        return made_report(title, self._console.new() or self._console.tail(limits.LOG_TAIL_LINES))


def _ended(status: int) -> ExecutorLost:
    """How an executor ended whose guest lives on."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return ExecutorLost(f"the executor died of {signal_name(number)}", number)
    return ExecutorLost(f"the executor exited with status {os.WEXITSTATUS(status)}")


def _end_of(pid: int) -> os.waitid_result | None:
    """How a child ended, None while it runs. It is left unreaped: see GuestLink.kill()."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
