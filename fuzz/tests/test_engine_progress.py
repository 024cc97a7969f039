"""What is shown while a campaign runs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from fuzz.engine.budget import Clock
from fuzz.engine.loop import Snapshot
from fuzz.engine.progress import Lines, Panel, Rate, Silent, choose_progress, clock, line, panel
from fuzz.engine.statistics import Tally

TALLY = Tally(
    programs=12_345,
    steps=40_000,
    unspecified=400,
    advices={"DONTNEED": 900, "COLD": 1},
    known={"x": 5},
    verdicts={"not-reproduced": 2},
)


def test_a_line_says_it_all() -> None:
    text = line(Snapshot(3723.4, TALLY, 1, True), 4321.0)
    assert "1:02:03" in text
    assert "12,345 programs" in text
    assert "4,321/s" in text
    assert "1 finding " in text
    assert "1.00% of steps unspecified" in text
    assert text.endswith("finishing")


def test_lines_come_every_ten_seconds() -> None:
    out = io.StringIO()
    with Lines(out) as show:
        for tenth in range(350):
            show(Snapshot(tenth / 10, TALLY, 0, False))
    assert len(out.getvalue().splitlines()) == 3


def test_a_panel_shows_rate_findings_and_advices() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100)
    console.print(panel(Snapshot(10.0, TALLY, 3, True), 1000.0))
    text = out.getvalue()
    for words in ("1,000 programs/s", "3 findings", "DONTNEED", "900", "5 known", "2 not repro"):
        assert words in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_stream_decides_what_is_shown() -> None:
    assert isinstance(choose_progress(True, Terminal()), Silent)
    assert isinstance(choose_progress(False, Terminal()), Panel)
    assert isinstance(choose_progress(False, io.StringIO()), Lines)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    for second in range(1, 100):
        shown = rate.update(float(second), second * 100)
    assert shown == pytest.approx(100)
    for second in range(100, 110):
        shown = rate.update(float(second), 9900 + (second - 99) * 500)
    assert shown == pytest.approx(500)


def test_times_are_written_as_hours_minutes_seconds() -> None:
    assert [clock(s) for s in (0.0, 59.9, 60.0, 7322.0)] == [
        "0:00:00", "0:00:59", "0:01:00", "2:02:02",
    ]  # fmt: skip


def test_a_clock_without_a_limit_is_never_up() -> None:
    assert not Clock(None).is_up()
    assert Clock(None).left(0.25) == 0.25
    assert Clock(0.0).is_up()
    assert Clock(0.0).left(0.25) == 0.0
