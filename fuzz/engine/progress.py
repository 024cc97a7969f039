"""What a campaign shows while it runs: a live panel on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from fuzz.engine.loop import Snapshot
from fuzz.engine.statistics import NOT_REPRODUCED

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

LINE_EVERY_S: Final = 10.0
PANEL_EVERY_S: Final = 0.25
ADVICES_SHOWN: Final = 30  # a table of three columns and ten rows
RATE_OVER_S: Final = 3.0  # the rate shown is that of the last seconds, not of the whole run


class Progress(Protocol):
    """Shows snapshots; enter it before the first and leave it after the last."""

    def __enter__(self) -> Callable[[Snapshot], None]: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def choose_progress(quiet: bool, stream: TextIO | None = None) -> Progress:
    """A panel where the stream (standard error) is a terminal, lines otherwise, or silence."""
    out = sys.stderr if stream is None else stream
    if quiet:
        return Silent()
    return Panel() if out.isatty() else Lines(out)


class Rate:
    """Programs per second over the last few seconds."""

    def __init__(self) -> None:
        self._marks: list[tuple[float, int]] = [(0.0, 0)]

    def update(self, seconds: float, programs: int) -> float:
        """Note where the campaign stands; the rate since RATE_OVER_S ago."""
        marks = self._marks
        marks.append((seconds, programs))
        while len(marks) > 2 and marks[1][0] <= seconds - RATE_OVER_S:
            del marks[0]
        passed = seconds - marks[0][0]
        return (programs - marks[0][1]) / passed if passed > 0 else 0.0


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Callable[[Snapshot], None]:
        return lambda snapshot: None

    def __exit__(self, *_: object) -> None: ...


class Lines:
    """One line every ten seconds: for logs."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._next = LINE_EVERY_S
        self._rate = Rate()

    def __enter__(self) -> Callable[[Snapshot], None]:
        return self._show

    def __exit__(self, *_: object) -> None: ...

    def _show(self, snapshot: Snapshot) -> None:
        if snapshot.seconds < self._next:
            return
        self._next = snapshot.seconds + LINE_EVERY_S
        rate = self._rate.update(snapshot.seconds, snapshot.total.programs)
        self._out.write(line(snapshot, rate) + "\n")
        self._out.flush()


def line(snapshot: Snapshot, rate: float) -> str:
    """The state of a campaign in one line."""
    total = snapshot.total
    return (
        f"{clock(snapshot.seconds)}  {total.programs:,} programs judged  {rate:,.0f}/s  "
        f"{snapshot.findings} finding{'' if snapshot.findings == 1 else 's'}  "
        f"{total.unspecified_share:.2%} of steps unspecified"
        + ("  finishing" if snapshot.stopping else "")
    )


def clock(seconds: float) -> str:
    """h:mm:ss."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


class Panel:
    """Redraws in place on a terminal."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._drawn = 0.0
        self._rate = Rate()

    def __enter__(self) -> Callable[[Snapshot], None]:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._live.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def _show(self, snapshot: Snapshot) -> None:
        now = time.monotonic()
        if self._live is None or now - self._drawn < PANEL_EVERY_S:
            return
        self._drawn = now
        rate = self._rate.update(snapshot.seconds, snapshot.total.programs)
        self._live.update(panel(snapshot, rate), refresh=True)


def panel(snapshot: Snapshot, rate: float) -> RenderableType:
    """The state of a campaign with its steps by advice."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    total = snapshot.total
    head = Text()
    head.append(f"{rate:,.0f} programs/s", style="bold")
    head.append(f"   {total.programs:,} judged   {total.steps:,} steps   ")
    style = "bold red" if snapshot.findings else "green"
    head.append(f"{snapshot.findings} findings", style=style)
    head.append(f"   {clock(snapshot.seconds)}")
    if snapshot.stopping:
        head.append("   finishing", style="yellow")
    facts = Text(
        f"{total.unspecified_share:.2%} of steps unspecified   "
        f"{sum(total.known.values()):,} known by the ledger   "
        f"{sum(total.skipped.values()):,} skipped   "
        f"{total.judged(NOT_REPRODUCED):,} not reproduced",
        style="dim",
    )
    table = Table.grid(padding=(0, 2))
    cells = [
        f"{name:<16}{count:>11,}"
        for name, count in sorted(total.advices.items(), key=lambda item: -item[1])
    ][:ADVICES_SHOWN]
    rows = (len(cells) + 2) // 3
    for row in range(rows):
        table.add_row(*cells[row::rows])
    return Group(head, facts, Text("calls by advice", style="dim"), table)
