"""A run that holds one of everything, for the tests of the reports."""

from __future__ import annotations

from typing import Final

import msgspec

from ci.report.result_tree import CaseResult, Cell, RunResult, Shown, State
from conformance.program.call import Madvise
from conformance.program.kernel_facts import KernelFacts
from conformance.program.mapping import Kind, Mapping, Touch
from conformance.program.outcome import PAGE_PRESENT, PAGE_READ, Outcome, Snapshot, Status
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from conformance.program.text import dumps
from conformance.program.wire import Observe

LOOK: Final = Observe.EACH_STEP | Observe.ISOLATED
FACTS: Final = KernelFacts(release="7.3.4-sample", advices=tuple(range(26)))
# DONTNEED of the second of three written pages; the kernel of this sample keeps what it held.
PROGRAM: Final = Program(
    (Mapping(Kind.ANON, 0, 3, touches=(Touch(0, 3),)),), (Madvise(page_address(1), PAGE, 4),)
)
HOSTILE: Final = "<script>alert(1)</script> ]]> # SKIP \x1b[31m \x00 reboot: System halted\r\n1..9"


def outcome() -> Outcome:
    """What the sample's kernel did: all three pages are still there."""
    setup = len(PROGRAM.setup())
    word = PAGE_PRESENT | PAGE_READ
    vmas = (page_address(0), page_address(3), 0, 0)
    pages = (word | 1 << 24, word | 1 << 24, word | 1 << 24)
    results = (0,) * (setup + len(PROGRAM.steps))
    return Outcome(Status.DONE, results, snapshots=(Snapshot(setup, False, vmas, pages),))


def shown() -> Shown:
    """The program with what it did."""
    return Shown(dumps(PROGRAM), msgspec.msgpack.encode(outcome()), int(LOOK))


def sample_run() -> RunResult:
    """Two targets, all states, one case of the sweep, unspecified steps."""
    cases = (
        CaseResult("walk.goes_on", "host", State.PASS, ("gap-counted",), 0.01, unspecified=2),
        CaseResult(
            "walk.keeps", "host", State.FAIL, ("madvise-dontneed-content",), 0.5,
            "assert 1 == 2", "E   assert 1 == 2\n" + HOSTILE, shown=(shown(),),
        ),
        CaseResult("walk.lacks", "host", State.SKIP, ("gap-stop",), 0.0, "host has no such call"),
        CaseResult("other.broke", "host", State.ERROR, (), 0.0, "TargetError: " + HOSTILE, HOSTILE),
        CaseResult(
            "sweep.madvise.DONTNEED.anon", "host", State.PASS, ("walk-order",), 0.001,
            cells=(
                Cell("DONTNEED/anon/whole", "conformant", "0 ...."),
                Cell("DONTNEED/anon/head", "conformant", "0 .www"),
                Cell("DONTNEED/anon/tail", "known", "EINVAL wwww"),
            ),
        ),
        CaseResult("walk.lacks", "shim", State.SKIP, ("gap-stop",), 0.0, "shim has no such call"),
        CaseResult("walk.goes_on", "shim", State.PASS, ("gap-counted",), 0.02),
    )  # fmt: skip
    facts = msgspec.to_builtins(FACTS)
    return RunResult(
        "conform", "2026-01-02T03:04:05+00:00", 1.5, "0.1.0", {"host": facts, "shim": facts}, cases
    )
