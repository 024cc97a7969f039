"""Who may build what at the same time: a flavour is built by one, sources that do not change
serve many. A lock ends with the process that holds it."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from ci.kernels.commands import KernelError

LOCKS: Final = "locks"


class Lock:
    """A lock by name in a cache. Entering it takes nothing yet: alone() is for changing what it
    guards, together() for relying on it; each gives up the other, leaving gives up both."""

    def __init__(self, kernels: Path, name: str, say: Callable[[str], None]) -> None:
        """Raises KernelError when the folder cannot be written to."""
        self.name = name
        self._say = say
        try:
            (kernels / LOCKS).mkdir(parents=True, exist_ok=True, mode=0o755)
            self._file: IO[bytes] = (kernels / LOCKS / name).open("ab")
        except OSError as error:
            raise KernelError(
                f"cannot write to {error.filename}: {error.strerror}; "
                "set MADVET_KERNELS to a folder of yours"
            ) from error

    def alone(self) -> None:
        """Wait until nobody else has it."""
        self._take(fcntl.LOCK_EX)

    def together(self) -> None:
        """Wait until nobody has it alone. What alone() left there may have changed meanwhile."""
        self._take(fcntl.LOCK_SH)

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def _take(self, how: int) -> None:
        try:
            fcntl.flock(self._file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            self._say(f"waiting for another build of {self.name}")
            fcntl.flock(self._file, how)


@contextlib.contextmanager
def told(kernels: Path) -> Iterator[None]:
    """What the system refuses inside becomes a KernelError: a disk that is full, files that
    others took away."""
    try:
        yield
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise KernelError(f"{error.strerror}{where} (in {kernels})") from error
