"""End to end: typical programs generated, run, predicted and judged, on one core and on two."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final, NamedTuple

from ci.report.figure import AT_LEAST, Figure

ONE_CORE: Final = 8000.0  # programs a second
TWO_CORES: Final = 1.8  # times as many
ROUNDS: Final = 5
ROUND_SECONDS: Final = 2.0


class Run(NamedTuple):
    """What one round of one campaign did: programs a second, CPU microseconds for each."""

    rate: float
    cpu_us: float


class Campaign:
    """A campaign pinned to one core, running only while it is asked to."""

    def __init__(self, cpu: int, target: str = "host") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ci.bench.pinned_campaign", str(cpu), target],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def begin(self, seconds: float) -> None:
        """Start to run for so long."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()

    def result(self) -> Run:
        """Wait until the run that was begun is over."""
        programs, seconds, cpu_seconds = (float(word) for word in self._read().split())
        return Run(programs / seconds, 1e6 * cpu_seconds / programs)

    def end(self) -> None:
        """Stop for good."""
        self._process.communicate(timeout=60)

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a campaign ended with status {self._process.wait()}")
        return line


def campaign_figures() -> list[Figure]:
    """Programs a second on one core, on two, and how much more that is.

    The rounds are interleaved: one core, the other, both. Each figure is its best round,
    since whatever else runs on the machine can only slow a round down.
    """
    cpus = sorted(os.sched_getaffinity(0))[:2]
    campaigns = [Campaign(cpu) for cpu in cpus]
    one: list[Run] = []
    both: list[float] = []
    for _ in range(ROUNDS):
        for campaign in campaigns:
            campaign.begin(ROUND_SECONDS)
            one.append(campaign.result())
        for campaign in campaigns:
            campaign.begin(ROUND_SECONDS)
        both.append(sum(campaign.result().rate for campaign in campaigns))
    for campaign in campaigns:
        campaign.end()
    how = f"best of {len(one)} rounds of {ROUND_SECONDS:.0f} s"
    best = max(run.rate for run in one)
    cpu_us = min(run.cpu_us for run in one)
    figures = [
        Figure("end to end, CPU time", cpu_us, "us CPU", note=f"{1e6 / cpu_us:,.0f}/s if alone"),
        Figure("end to end, one core", best, "programs/s", AT_LEAST, ONE_CORE, how),
    ]
    if len(cpus) < 2:
        alone = "this machine has one core"
        return [*figures, Figure("two cores / one", None, "times", AT_LEAST, TWO_CORES, alone)]
    return [
        *figures,
        Figure("end to end, two cores", max(both), "programs/s", note=f"best of {ROUNDS}"),
        Figure("two cores / one", max(both) / best, "times", AT_LEAST, TWO_CORES),
    ]
