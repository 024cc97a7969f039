"""A run as KTAP version 1 (Documentation/dev-tools/ktap.rst): targets, their suites, their cases.

Read by tools/testing/kunit/kunit.py parse and by what reads kselftest's output.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from ci.report.result_tree import CaseResult, RunResult, State, summed

INDENT = "  "
LINES_MAX = 40  # of what is said of one case
# Lines at which kunit.py takes the kernel's output to have ended, wherever they stand.
_END = re.compile(r"(List of all partitions|Kernel panic - not syncing: VFS|reboot): ?")
_SKIP = " # SKIP"


def ktap(run: RunResult) -> str:
    """The text. Cases that were not run are in it, as errors: see result_tree.closed()."""
    lines = ["KTAP version 1", f"1..{len(run.target_names)}"]
    lines += [f"# {_plain(line)}" for line in _head(run)]
    states = []
    for number, target in enumerate(run.target_names, 1):
        cases = [case for case in run.cases if case.target == target]
        lines += (INDENT + line for line in _target(run, target, cases))
        states.append(summed([case.state for case in cases]))
        lines.append(_result(number, target, states[-1]))
    counts = run.counts()
    lines.append(
        f"# Totals: pass:{counts[State.PASS]} fail:{counts[State.FAIL]} xfail:0 xpass:0 "
        f"skip:{counts[State.SKIP]} error:{counts[State.ERROR]}"
    )
    return "\n".join(lines) + "\n"


def _head(run: RunResult) -> Iterator[str]:
    yield f"madvet {run.madvet_version} {run.what}, started {run.started}"
    yield f"steps left unspecified by the model: {run.unspecified}"
    if run.unended:
        yield f"NOT COMPLETE: {run.unended}"
    yield from run.notes


def _target(run: RunResult, target: str, cases: Sequence[CaseResult]) -> Iterator[str]:
    suites = [
        (suite, list(group)) for suite, group in groupby(sorted(cases, key=_suite), key=_suite)
    ]
    yield "KTAP version 1"
    yield f"# Subtest: {_name(target)}"
    yield f"1..{len(suites)}"
    if run.release(target):
        yield f"# Linux {_plain(run.release(target))}"
    for number, (suite, group) in enumerate(suites, 1):
        yield f"{INDENT}KTAP version 1"
        yield f"{INDENT}# Subtest: {suite}"
        yield f"{INDENT}1..{len(group)}"
        for at, case in enumerate(group, 1):
            yield from (INDENT + line for line in _case(at, case))
        yield _result(number, suite, summed([case.state for case in group]))


def _suite(case: CaseResult) -> str:
    return case.suite


def _case(number: int, case: CaseResult) -> Iterator[str]:
    if case.state in (State.FAIL, State.ERROR):
        for ident in case.requirements:
            yield f"# requirement {ident}"
        lines = case.output.splitlines()
        yield from (f"# | {_plain(line)}" for line in lines[-LINES_MAX:])
        if len(lines) > LINES_MAX:
            yield f"# {len(lines) - LINES_MAX} lines before these are left out"
    elif case.unspecified:
        yield f"# {case.unspecified} steps unspecified"
    yield _result(number, case.id, case.state, case.message)


def _result(number: int, name: str, state: State, message: str = "") -> str:
    word = "ok" if state in (State.PASS, State.SKIP) else "not ok"
    line = f"{word} {number} {_name(name)}"
    if state is State.SKIP:
        return f"{line} # SKIP {_plain(message)}".rstrip()
    if state is State.ERROR:
        return f"{line} # ERROR {_plain(message)}".rstrip()
    return f"{line} # {_plain(message)}" if message else line


def _name(text: str) -> str:
    """A name that holds no directive and no line's end."""
    return _plain(text).replace("#", "_")


def _plain(text: str) -> str:
    """One line that ends no log and starts no directive but the one before it."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return _END.sub(r"\1 - ", line).replace(_SKIP, " # skip")
