"""Judges typical programs on one core as fast as it can:
python -m ci.bench.pinned_campaign CPU [TARGET].

Says `ready` on standard output; for each number of seconds that it reads on standard input it
runs for so long and prints how many programs were judged, in how many seconds of the clock and
of CPU time. Worker and executor share the core, as a campaign's do.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from pathlib import Path
from typing import Final

from ci.compiled.activate import activate

BATCH: Final = 64
SEED: Final = 1


def serve(cpu_number: int, name: str) -> None:
    """Answer each line of standard input until it ends. Raises RuntimeError unless every
    program was judged conformant: a wrong answer is quickly given."""
    from conformance.oracle.ledger import load_ledger
    from conformance.program.wire import Observe
    from conformance.target.executor_target import Options
    from conformance.target.registry import open_target
    from fuzz.engine.lane import Lane
    from fuzz.engine.worker import IN_FLIGHT
    from fuzz.generate.seeded import SeededChooser
    from fuzz.generate.typical import typical

    os.sched_setaffinity(0, {cpu_number})
    chooser = SeededChooser(SEED)
    nothing = Observe(0)
    with open_target(name, Options(cpu=cpu_number)) as target:
        lane = Lane(target, load_ledger())
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        _say("ready")
        for line in sys.stdin:
            seconds = float(line)
            first = in_flight = 0
            cpu_before = _cpu_seconds(target.worker_pids())
            start = time.monotonic()
            while time.monotonic() - start < seconds:
                lane.start(first, [typical(chooser) for _ in range(BATCH)], nothing)
                first += BATCH
                in_flight += 1
                if in_flight == IN_FLIGHT:
                    lane.finish()
                    in_flight -= 1
            for _ in range(in_flight):
                lane.finish()
            took = time.monotonic() - start
            cpu_took = _cpu_seconds(target.worker_pids()) - cpu_before
            tally = lane.take_tally()
            if tally.judged("conformant") != first:
                raise RuntimeError(f"{first} typical programs, judged: {tally.verdicts}")
            _say(f"{first} {took} {cpu_took}")


def _cpu_seconds(executors: tuple[int, ...]) -> float:
    """CPU time of this process and of executors with the children that they have reaped."""
    ticks = 0
    for pid in executors:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks += sum(int(field) for field in stat[11:15])  # utime, stime, cutime, cstime
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    activate()
    serve(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "host")
