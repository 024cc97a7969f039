"""The exhaustive sweeps: each case is a group of programs that differ in the last word of their
ids, all of them judged. Which of them failed, its message says."""

from __future__ import annotations

from functools import cache

import pytest

from conformance.cases.evidence import EVIDENCE, Evidence
from conformance.cases.judged import judge_programs
from conformance.oracle.ledger import Ledger, load_ledger
from conformance.program.call import MadviseRanges
from conformance.program.kernel_facts import RangesCall
from conformance.sweep.cells import Cell
from conformance.sweep.chapters import CHAPTERS
from conformance.sweep.swept import Swept
from conformance.target.registry import is_guest
from conformance.target.target import Target


@cache
def groups(chapter: str) -> dict[str, tuple[Cell | Swept, ...]]:
    """The programs of a chapter, by what their ids have in common."""
    out: dict[str, list[Cell | Swept]] = {}
    for item in CHAPTERS[chapter]():
        out.setdefault(item.id.rpartition("/")[0], []).append(item)
    return {name: tuple(items) for name, items in out.items()}


@cache
def ledger() -> Ledger:
    """What is known."""
    return load_ledger()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A case for each group of the chapter that the function is marked with."""
    mark = next(metafunc.definition.iter_markers("sweep"))
    metafunc.parametrize("group", list(groups(mark.args[0])))


def judged(target: Target, request: pytest.FixtureRequest, items: tuple[Cell | Swept, ...]) -> None:
    """Run the programs of a group that this target may run; the case fails if any is bad."""
    guest = is_guest(target.name)
    safe = [item for item in items if guest or not (isinstance(item, Cell) and item.guest)]
    if not safe:
        pytest.skip(f"{target.name} is a machine that people use")
    if target.facts.ranges_call is RangesCall.ABSENT:
        safe = [item for item in safe if not isinstance(item.program.steps[0], MadviseRanges)]
        if not safe:
            pytest.skip(f"{target.name} has no madvise_ranges()")
    evidence = request.node.stash[EVIDENCE] = Evidence(target.name, target.facts)
    found = judge_programs(target, safe, ledger())
    evidence.swept, evidence.runs = found.swept, found.bad_runs
    evidence.unspecified, evidence.known = found.unspecified, tuple(sorted(found.known))
    request.node.add_marker(pytest.mark.requirement(*sorted(found.met)))
    if found.bad:
        pytest.fail("\n".join([f"{len(found.bad)} of {len(safe)} are bad", *found.bad]), False)
    if not found.ran:
        pytest.skip(f"{target.name} lacks {', '.join(sorted(found.skipped))}")


@pytest.mark.sweep("madvise")
def test_madvise(target: Target, request: pytest.FixtureRequest, group: str) -> None:
    judged(target, request, groups("madvise")[group])


@pytest.mark.sweep("process_madvise")
def test_process_madvise(target: Target, request: pytest.FixtureRequest, group: str) -> None:
    judged(target, request, groups("process_madvise")[group])


@pytest.mark.sweep("options")
def test_options(target: Target, request: pytest.FixtureRequest, group: str) -> None:
    judged(target, request, groups("options")[group])


@pytest.mark.sweep("placement")
def test_placement(target: Target, request: pytest.FixtureRequest, group: str) -> None:
    judged(target, request, groups("placement")[group])


@pytest.mark.sweep("error-order")
def test_error_order(target: Target, request: pytest.FixtureRequest, group: str) -> None:
    judged(target, request, groups("error-order")[group])
