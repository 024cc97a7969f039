"""What a gate comes to: which classes fail it, and the exit code."""

from __future__ import annotations

from enum import Enum
from typing import Final

from ci.gate.compare import Status
from ci.gate.run import INTERRUPTED
from ci.gate.settle import flaky, is_evidence
from ci.gate.state import Group, State

FAILING: Final = frozenset({Status.REGRESSION, Status.UNEXPLAINED})
PASS, FOUND, FAILED, NOTHING = 0, 1, 3, 4  # exit codes, as ci.cli.exit_codes has them


class Weight(Enum):
    """How a class counts."""

    FAILS = "fails"  # a regression, or unexplained, and it showed again
    FLAKY = "flaky"  # it did not show again, or not every time
    PASSES = "passes"


def weight(group: Group) -> Weight:
    """How a class counts. One that was not run again counts as it was first seen. One that shows
    now and then, but twice at least, is as real as any other."""
    fails = group.first.status in FAILING
    settled = group.settled
    if settled is None or not flaky(settled):
        return Weight.FAILS if fails else Weight.PASSES
    return Weight.FAILS if fails and is_evidence(settled) else Weight.FLAKY


def keys(state: State, wanted: Weight) -> list[str]:
    """Keys of the classes that count so, in order of their names."""
    return sorted(key for key, group in state.groups.items() if weight(group) is wanted)


def exit_code(state: State) -> int:
    """What was found outweighs what failed, as neither is a pass."""
    if keys(state, Weight.FAILS):
        return FOUND
    if state.failure or state.ended == INTERRUPTED or state.count(Status.HARNESS):
        return FAILED
    return PASS if state.compared else NOTHING


def verdict_words(state: State) -> str:
    """The last line for a person."""
    code = exit_code(state)
    if code == FOUND:
        return f"{len(keys(state, Weight.FAILS))} classes of regressions or unexplained changes"
    if code == FAILED:
        return (
            state.failure
            or state.ended
            or (f"{state.count(Status.HARNESS)} programs gave no evidence: this is no pass")
        )
    if code == NOTHING:
        return "nothing could be compared: this is no pass"
    part = f" ({state.ended}: {state.next} of {state.total} programs)" if state.ended else ""
    return f"no regression, nothing unexplained{part}"
