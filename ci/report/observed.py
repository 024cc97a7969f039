"""What a kernel did with one program, in a few words: results, then each VMA with its pages.

"-EINVAL [wwww]", "0 [ww][dd ..][ww]": a VMA stands in brackets, with the flags that advice gives
and a character for each page as pictures.MEANINGS explains them.
"""

from __future__ import annotations

from itertools import groupby
from typing import Final

from ci.report.pictures import page_cell, snapshot_vmas
from conformance.abi import vm_flags
from conformance.oracle.explain import result_class
from conformance.program import call as c
from conformance.program.outcome import Outcome, Snapshot, Status
from conformance.program.program import Program

# Flags that an advice may set; the others say what was mapped.
ADVISED: Final = (
    vm_flags.SR | vm_flags.RR | vm_flags.DC | vm_flags.WF | vm_flags.DD | vm_flags.HG
    | vm_flags.NH | vm_flags.MG | vm_flags.GU
)  # fmt: skip
RUN_MAX: Final = 8  # pages in a row that look the same; of more, their number is said
_CALLS: Final = (c.Madvise, c.ProcessMadvise, c.MadviseRanges)


def observed(program: Program, outcome: Outcome) -> str:
    """The words. For a run that did not end, how it ended."""
    if outcome.status is not Status.DONE:
        return outcome.status.name.lower().replace("_", " ")
    setup = len(program.setup())
    results = [
        result_class(step, outcome.results[setup + i])
        for i, step in enumerate(program.steps)
        if isinstance(step, _CALLS) and setup + i < len(outcome.results)
    ]
    words = [", ".join(results) or "no call"]
    last = [snapshot for snapshot in outcome.snapshots if not snapshot.child][-1:]
    child = [snapshot for snapshot in outcome.snapshots if snapshot.child][-1:]
    words += map(_memory, last)
    words += [f"child {_memory(snapshot)}" for snapshot in child]
    return " ".join(words)


def _memory(snapshot: Snapshot) -> str:
    vmas = snapshot.vmas
    flags = [vm_flags.names(flag & ADVISED) for flag in vmas[2::4]]
    out = []
    for (start, end, _), names in zip(snapshot_vmas(vmas), flags, strict=True):
        pages = snapshot.pages[max(start, 0) : end]
        cells = "".join(_run("".join(group)) for _, group in groupby(map(page_cell, pages)))
        out.append(f"[{names} {cells}]" if names else f"[{cells}]")
    return "".join(out)


def _run(cells: str) -> str:
    return cells if len(cells) <= RUN_MAX else f"{cells[0]}\N{MULTIPLICATION SIGN}{len(cells)}"
