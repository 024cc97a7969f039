"""A campaign's worker with native code where it exists: python -m ci.compiled.worker FD.

The engine knows nothing of native code; the command line names this module as the one that
its workers run.
"""

from __future__ import annotations

from runpy import run_module
from typing import Final

from ci.compiled.activate import activate

MODULE: Final = "ci.compiled.worker"  # for fuzz.engine.loop.Campaign(worker_module=...)

if __name__ == "__main__":
    activate()
    run_module("fuzz.engine.worker", run_name="__main__", alter_sys=True)
