"""The campaign's view of one worker: its process, its socket, the leases it has."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Final

from fuzz.engine import messages as m
from fuzz.engine.schedule import Lease

ROOT: Final = Path(__file__).resolve().parents[2]  # where conformance, fuzz and ci lie
LOG_LINES: Final = 12  # of a worker's standard error, quoted in a message


class WorkerProcess:
    """One worker, from its start to its end. number: 0.. module: what `python -m` runs, with
    the number of its socket as the only argument."""

    def __init__(self, number: int, begin: m.Begin, module: str) -> None:
        self.number = number
        self.leases: deque[Lease] = deque()
        self.ready = False
        self.executors: tuple[int, ...] = ()  # pids, for tests that kill them
        self.failed: m.Failed | None = None
        self.told_to_stop = False
        self._log = Path(begin.folder) / f"worker-{number}.log"
        ours, theirs = socket.socketpair()
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", module, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(theirs.fileno(),),
                    env=_environment(),
                    start_new_session=True,  # the terminal's Ctrl-C is the campaign's to handle
                )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self.end = m.CampaignEnd(ours)
        self._say(begin)

    @property
    def pid(self) -> int:
        """Of the worker's process."""
        return self._process.pid

    def give(self, lease: Lease) -> None:
        """One more lease."""
        self.leases.append(lease)
        self._say(m.Work(lease))

    def tell(self, news: m.Seen | m.Learn | m.Corpus) -> None:
        """What another worker found out, or what is to be run first."""
        self._say(news)

    def flush(self) -> bool:
        """Send what it had no room for; True when nothing is left."""
        try:
            return self.end.flush()
        except m.Closed:
            return True  # its death is noticed where its messages are read

    def stop(self) -> None:
        """Ask it to finish what runs and end. May be repeated."""
        if not self.told_to_stop:
            self.told_to_stop = True
            self._say(m.Stop())

    def kill(self) -> None:
        """End it at once; its executors end when their pipes close. May be repeated."""
        self._process.kill()
        self.reap(5.0)

    def reap(self, timeout_s: float) -> int | None:
        """Its exit status when it has ended, None while it lives on after the timeout."""
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self.end.close()
        return status

    def last_words(self) -> str:
        """The end of what it wrote on standard error, for a message; "" if nothing."""
        lines = self._log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
        return "".join(f"\n  {line}" for line in lines)

    def _say(self, message: m.FromCampaign) -> None:
        try:
            self.end.send(message)
        except m.Closed:
            return  # its death is noticed where its messages are read


def _environment() -> dict[str, str]:
    """That of this process, and the way to the same packages."""
    path = os.environ.get("PYTHONPATH")
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT),
    }
