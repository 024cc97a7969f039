"""Guests beside the host: typical programs a second, how soon one is judged, what a crash costs."""

from __future__ import annotations

import os
import signal
import time
from typing import Final, NamedTuple

from ci.bench.campaign_speed import Campaign, Run
from ci.report.figure import AT_LEAST, AT_MOST, Figure
from conformance.program.program import Program
from conformance.target.executor_target import ExecutorTarget, Options
from conformance.target.guest import KINDS, open_guest
from conformance.target.guest_images import find_image
from conformance.target.guest_machine import qemu_program
from conformance.target.target import TargetError
from fuzz.generate.seeded import SeededChooser
from fuzz.generate.typical import typical

ROUNDS: Final = 5
ROUND_SECONDS: Final = 3.0
TWO_GUESTS: Final = 1.8  # times as many programs on two cores
BATCH: Final = 64
BOOTS: Final = 3


class Required(NamedTuple):
    """Of one kind of guest. rate: programs a second. first_s, crash_s: 0 for no requirement."""

    rate: float
    first_s: float = 0.0
    crash_s: float = 0.0


REQUIRED: Final = {
    "uml": Required(1000.0, 1.0, 2.0),
    "qemu": Required(1500.0, 3.0, 3.0),
    "qemu-debug": Required(100.0),
}


def guest_figures() -> list[Figure]:
    """For each kind of guest that is built, and the host's rate to compare. Raises TargetError,
    and RuntimeError from a campaign that ends."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    rate, cpu_us, _ = _rates("host", cpus[:1])
    figures = [
        Figure("host, one core", rate, "programs/s"),
        Figure("host, CPU time", cpu_us, "us CPU", note=_alone(cpu_us)),
    ]
    for name, required in REQUIRED.items():
        missing = _missing(name)
        if missing:
            figures.append(_least(f"{name}, one guest", None, required.rate, missing))
        else:
            figures += _of_guest(name, required, cpus)
    return figures


def _missing(name: str) -> str:
    """Why a guest cannot be measured here; "" if it can."""
    try:
        find_image(KINDS[name][0])
        if name != "uml":
            qemu_program()
    except TargetError as error:
        return str(error)
    return ""


def _of_guest(name: str, required: Required, cpus: list[int]) -> list[Figure]:
    one, cpu_us, both = _rates(name, cpus)
    how = f"best of {ROUNDS} rounds of {ROUND_SECONDS:.0f} s, judged"
    figures = [
        _least(f"{name}, one guest", one, required.rate, how),
        Figure(f"{name}, CPU time", cpu_us, "us CPU", note=_alone(cpu_us)),
    ]
    if both is not None:
        figures.append(Figure(f"{name}, two guests", both, "programs/s"))
        figures.append(
            Figure(f"{name}, two guests / one", both / one, "times", AT_LEAST, TWO_GUESTS)
        )
    first, crash = _boots(name, cpus[0])
    figures.append(_most(f"{name}, boot to first outcome", first, required.first_s))
    figures.append(_most(f"{name}, a crash in a batch of {BATCH}", crash, required.crash_s))
    return figures


def _alone(cpu_us: float) -> str:
    return f"{1e6 / cpu_us:,.0f}/s if alone"


def _rates(name: str, cpus: list[int]) -> tuple[float, float, float | None]:
    """Programs a second of one campaign, CPU microseconds for each, and programs a second of two
    campaigns side by side, None where there is one core."""
    campaigns = [Campaign(cpu, name) for cpu in cpus]
    one: list[Run] = []
    both: list[float] = []
    for _ in range(ROUNDS):
        for campaign in campaigns:
            campaign.begin(ROUND_SECONDS)
            one.append(campaign.result())
        if len(campaigns) > 1:
            for campaign in campaigns:
                campaign.begin(ROUND_SECONDS)
            both.append(sum(campaign.result().rate for campaign in campaigns))
    for campaign in campaigns:
        campaign.end()
    rate = max(run.rate for run in one)
    return rate, min(run.cpu_us for run in one), max(both) if both else None


def _boots(name: str, cpu: int) -> tuple[float, float]:
    """Seconds from nothing to a first outcome, and those that a crash adds to a batch whose
    guest it takes; the best of each."""
    chooser = SeededChooser(1)
    programs = [typical(chooser) for _ in range(BATCH)]
    first: list[float] = []
    crash: list[float] = []
    for _ in range(BOOTS):
        began = time.monotonic()
        with open_guest(name, Options(cpu=cpu)) as target:
            target.run_batch(programs[:1])
            first.append(time.monotonic() - began)
            usual = _batch_s(target, programs)
            pid = target.process.pid
            assert pid is not None, "it has just answered"
            os.kill(pid, signal.SIGABRT)  # as user mode Linux ends when it panics
            crash.append(_batch_s(target, programs) - usual)
    return min(first), min(crash)


def _batch_s(target: ExecutorTarget, programs: list[Program]) -> float:
    began = time.monotonic()
    target.run_batch(programs)
    return time.monotonic() - began


def _least(name: str, value: float | None, required: float, note: str) -> Figure:
    return Figure(name, value, "programs/s", AT_LEAST, required, note)


def _most(name: str, value: float, required: float) -> Figure:
    how = f"best of {BOOTS}"
    return Figure(name, value, "s", AT_MOST if required else "", required, how)
