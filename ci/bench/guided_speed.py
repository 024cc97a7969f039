"""What guidance costs: CPU time of a guided program beside that of a random one, in a guest."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from pathlib import Path
from typing import Final

from ci.report.figure import AT_LEAST, Figure
from conformance.oracle.ledger import load_ledger
from conformance.target.executor_target import Options
from conformance.target.guest_images import find_image
from conformance.target.registry import open_target
from conformance.target.target import TargetError
from fuzz.engine.budget import GUIDED, RANDOM, CampaignOptions
from fuzz.engine.lane import Lane
from fuzz.engine.schedule import BATCH, observe_of
from fuzz.engine.worker import guide_of, source_of

NAME: Final = "uml, guided / random programs"
SHARE: Final = 0.5  # of the programs in the same CPU time
SEED: Final = 3
WARM: Final = 2048  # programs until seeds are rare
MEASURED: Final = 1024  # in each round
ROUNDS: Final = 4  # the best of them counts, as in the other figures: the machine is others' too


def guided_figures() -> list[Figure]:
    """One after the other, on one CPU. Raises TargetError."""
    try:
        find_image("uml")
    except TargetError as error:
        return [Figure(NAME, None, "times", AT_LEAST, SHARE, str(error))]
    cpu = min(os.sched_getaffinity(0))
    seconds = {engine: _cpu_seconds(engine, cpu) for engine in (RANDOM, GUIDED)}
    note = f"CPU time, best of {ROUNDS} rounds of {MEASURED} programs after {WARM}"
    return [Figure(NAME, seconds[RANDOM] / seconds[GUIDED], "times", AT_LEAST, SHARE, note)]


def _cpu_seconds(engine: str, cpu: int) -> float:
    """Of this process and of the guest, for the programs of the best round."""
    options = CampaignOptions(targets=("uml",), seed=SEED, workers=1, engine=engine)
    source, guide = source_of(options), guide_of(options)
    with open_target("uml", Options(cpu=cpu)) as target:
        lane = Lane(target, load_ledger(), guide)
        used = []
        for first in range(0, WARM + ROUNDS * MEASURED, BATCH):
            if first >= WARM and first % MEASURED == 0:
                used.append(_used(target.worker_pids()))
            if guide is not None:
                programs = guide.draw(first, BATCH)
            else:
                programs = [source.program(number) for number in range(first, first + BATCH)]
            lane.start(first, programs, observe_of(first // BATCH, 1))
            lane.finish()
        used.append(_used(target.worker_pids()))
    return min(after - before for before, after in pairwise(used))


def _used(pids: tuple[int, ...]) -> float:
    """CPU seconds of this process and of guests; theirs are threads and children of one process."""
    ticks = 0
    for pid in pids:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks += sum(int(field) for field in stat[11:15])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")
