"""The exhaustive sweeps: each case is a group of programs that differ in the last word of their
ids, all of them judged. Which of them failed, its message says."""

from __future__ import annotations

from functools import cache
from os import environ
from typing import Final

import pytest

from conformance.cases.evidence import EVIDENCE, Evidence
from conformance.cases.judged import judge_programs
from conformance.cases.sweep_groups import Ahead, allowed, groups, poison
from conformance.oracle.ledger import Ledger, load_ledger
from conformance.target.target import Target

# Programs that are run at once: four batches. Under xdist the next group is another worker's.
AHEAD: Final = Ahead(0 if "PYTEST_XDIST_WORKER" in environ else 256)


@cache
def ledger() -> Ledger:
    """What is known."""
    return load_ledger()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A case for each group of the chapter that the function is marked with."""
    mark = next(metafunc.definition.iter_markers("sweep"))
    metafunc.parametrize("group", list(groups(mark.args[0])))


def judged(target: Target, request: pytest.FixtureRequest, chapter: str, group: str) -> None:
    """Run the programs of a group that this target may run; the case fails if any is bad."""
    safe = allowed(target, chapter, group)
    if not safe and poison(chapter, group):
        pytest.skip(f"{target.name} is a machine that people use")
    if not safe:
        pytest.skip(f"{target.name} has no madvise_ranges()")
    evidence = request.node.stash[EVIDENCE] = Evidence(target.name, target.facts)
    found = judge_programs(target, safe, ledger(), AHEAD.take(target, chapter, group))
    evidence.swept, evidence.runs = found.swept, found.bad_runs
    evidence.unspecified, evidence.known = found.unspecified, tuple(sorted(found.known))
    request.node.add_marker(pytest.mark.requirement(*sorted(found.met)))
    if found.bad:
        pytest.fail("\n".join([f"{len(found.bad)} of {len(safe)} are bad", *found.bad]), False)
    if not found.ran:
        pytest.skip(f"{target.name} lacks {', '.join(sorted(found.skipped))}")


@pytest.mark.sweep("madvise")
def test_madvise(target: Target, request: pytest.FixtureRequest, group: str) -> None:
    judged(target, request, "madvise", group)


@pytest.mark.sweep("process_madvise")
def test_process_madvise(target: Target, request: pytest.FixtureRequest, group: str) -> None:
    judged(target, request, "process_madvise", group)


@pytest.mark.sweep("options")
def test_options(target: Target, request: pytest.FixtureRequest, group: str) -> None:
    judged(target, request, "options", group)


@pytest.mark.sweep("placement")
def test_placement(target: Target, request: pytest.FixtureRequest, group: str) -> None:
    judged(target, request, "placement", group)


@pytest.mark.sweep("error-order")
def test_error_order(target: Target, request: pytest.FixtureRequest, group: str) -> None:
    judged(target, request, "error-order", group)
