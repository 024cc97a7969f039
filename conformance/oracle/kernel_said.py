"""What a kernel said of itself: its log accuses it, whatever the program's results are."""

from __future__ import annotations

from typing import Final

from conformance.oracle.explain import Steps
from conformance.oracle.verdict import Difference, VerdictKind
from conformance.program.outcome import Outcome, Status
from conformance.spec.cite import cite

# Titles as conformance.target.kernel_log makes them, by their beginning.
HANG_TITLES: Final = (
    "INFO: task hung",
    "INFO: rcu detected stall",
    "BUG: soft lockup",
    "BUG: hard lockup",
    "BUG: workqueue lockup",
    "no output from guest",
    "lost connection to guest",
)
LEAK_TITLES: Final = ("leak: ", "memory leak")
WORDLESS: Final = "kernel went down without a word"  # a target that hands in no log with a crash
FIELD: Final = "kernel."  # then the title


def accused(outcome: Outcome) -> bool:
    """Is there anything that the kernel says against itself?"""
    return bool(outcome.log) or outcome.status is Status.CRASHED


def title_of(log: str) -> str:
    """The first line of a log."""
    return log.partition("\n")[0].strip() or WORDLESS


def kind_of(title: str) -> VerdictKind:
    """Crash, or what else a title tells of."""
    if title.startswith(HANG_TITLES):
        return VerdictKind.HANG
    return VerdictKind.LEAK if title.startswith(LEAK_TITLES) else VerdictKind.CRASH


def kernel_difference(steps: Steps, outcome: Outcome) -> Difference:
    """The difference between a kernel that said this and one that is quiet."""
    title = title_of(outcome.log)
    step, where = _place(steps, outcome)
    words = f"{where}: kernel log: {title}"
    return Difference(step, FIELD + title, title, "says nothing", words, cite("kernel-quiet"))


def _place(steps: Steps, outcome: Outcome) -> tuple[int, str]:
    """The step in which it was said, and words for it.

    Nobody knows it of a program that went on to its end, and of one whose guest took with it
    what was noted of its progress. Of a program of one step it is taken to be that one.
    """
    last = len(steps.all) - 1
    unknown = outcome.status in (Status.DONE, Status.NOT_RUN) or not (
        outcome.step or outcome.results
    )
    if not unknown:
        step = min(outcome.step, last)
        return step, steps.words(step)
    return last, steps.words(last) if last == steps.setup else "some step"
