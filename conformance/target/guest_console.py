"""The console of a guest: read without waiting, kept, and told apart by batch."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

KEPT_CHARACTERS: Final = 1 << 18  # of what was said before; the log file has all of it
PIPE_BYTES: Final = 1 << 20  # what a guest may say while nobody reads
READ_BYTES: Final = 1 << 16
LOG_BYTES_MAX: Final = 64 << 20  # a guest that repeats itself for hours must not fill a disk


class GuestConsole:
    """What comes out of the read end of a pipe. log: a file that gets all of it."""

    def __init__(self, fd: int, log: Path) -> None:
        self.fd = fd
        self.open = True
        self._log = log
        self._logged = log.stat().st_size if log.exists() else 0
        self._text = ""
        self._mark = 0  # in _text: what lies behind it is new
        os.set_blocking(fd, False)
        with contextlib.suppress(OSError):  # an ordinary user's limit may be lower
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def drain(self) -> None:
        """Take what is there; notices the end."""
        parts = []
        while self.open:
            try:
                data = os.read(self.fd, READ_BYTES)
            except BlockingIOError:
                break
            if not data:
                self.open = False
                break
            parts.append(data)
        if parts:
            self._keep(b"".join(parts))

    def new(self) -> str:
        """What was said since mark() was called last."""
        return self._text[self._mark :]

    def mark(self) -> None:
        """What was said so far is no news any more."""
        self._mark = len(self._text)

    def tail(self, lines: int) -> str:
        """The last lines."""
        return "\n".join(self._text.rstrip().splitlines()[-lines:])

    def close(self) -> None:
        """Give the descriptor back. Once."""
        self.open = False
        os.close(self.fd)

    def _keep(self, data: bytes) -> None:
        room = LOG_BYTES_MAX - self._logged
        if room > 0:
            with self._log.open("ab") as log:
                self._logged += log.write(data[:room])
        self._text += data.decode("utf-8", "replace").replace("\r", "")
        surplus = len(self._text) - KEPT_CHARACTERS
        if surplus > 0:
            self._text = self._text[surplus:]
            self._mark = max(0, self._mark - surplus)
