"""What looking costs: the executor against a bare loop of the same calls (executor --bench)."""

from __future__ import annotations

import json
import subprocess
import tempfile
from typing import Final

from ci.report.figure import AT_LEAST, Figure
from conformance.target.executor_build import build_executor
from conformance.target.executor_target import choose_tmp_root

BPF_OF_BARE: Final = 0.75  # raw vm_flags by a BPF iterator
SMAPS_OF_BARE: Final = 0.55  # VmFlags as text, where BPF is not allowed
BENCH_SECONDS_MAX: Final = 120.0


def executor_figures() -> list[Figure]:
    """CPU time per typical program in batches of 64, and the two ratios, from one run.

    Raises CalledProcessError when the executor's own benchmark fails.
    """
    with tempfile.TemporaryDirectory(dir=choose_tmp_root()) as folder:
        done = subprocess.run(
            [str(build_executor()), "--bench", "--tmp", folder],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=BENCH_SECONDS_MAX,
        )
    said: dict[str, float] = json.loads(done.stdout)
    how = f"median of {said['rounds']:.0f} rounds, batch {said['batch']:.0f}"
    bpf_how = how if "bpf_us" in said else "no BPF iterator: needs root and BTF"
    return [
        Figure("bare loop", said["bare_us"], "us CPU", note="the same calls, no look"),
        Figure("executor, BPF", said.get("bpf_us"), "us CPU", note=bpf_how),
        Figure("executor, smaps", said["smaps_us"], "us CPU"),
        Figure(
            "executor, BPF / bare loop",
            said.get("bpf_of_bare"),
            "of speed",
            AT_LEAST,
            BPF_OF_BARE,
            bpf_how,
        ),
        Figure(
            "executor, smaps / bare loop", said["smaps_of_bare"], "of speed", AT_LEAST,
            SMAPS_OF_BARE, how,
        ),
    ]  # fmt: skip
