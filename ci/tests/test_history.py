"""Past mistakes: the index is strict, every program is there, and each tells its mistake from what
is right."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from ci.cli import exit_codes
from ci.cli.main import run
from ci.gate.compare import FULL_LOOK
from ci.gate.history import (
    FOLDER,
    Bug,
    Seen,
    check,
    load_history,
    planted_in,
    shows,
    verdict_of,
)
from ci.gate.index import IndexFileError, program_at
from ci.tests.fake_kernels import FACTS, FakeKernel, facts
from conformance.model.predict import predict
from conformance.model.prediction import Prediction
from conformance.oracle.expected_change import flat_facts, with_facts
from conformance.oracle.judge import judge
from conformance.oracle.ledger_values import numbers_of
from conformance.oracle.verdict import VerdictKind
from conformance.program.outcome import Outcome, Snapshot, Status
from conformance.target.registry import open_target
from fuzz.mutants.kernel_mutants import PAST_HEADER, KernelMutant, read_past_mistakes
from fuzz.mutants.model_mutants import planted
from fuzz.mutants.past_mistakes import PAST_MISTAKES, past_mistake
from kernel.insert import read_anchors

BUGS = load_history()
# Of a kernel before 6.17, so that what only those can do wrong shows.
RICH = facts(hugetlb_pages_free=16, has_soft_dirty=True, mremap_many=False, mremap_vma_first=True)
BROUGHT_BACK = [bug for bug in BUGS if bug.mutant]
OF_FACTS = [bug for bug in BUGS if bug.facts]


def names(bugs: list[Bug]) -> list[str]:
    return [bug.id for bug in bugs]


def test_there_are_enough_and_every_program_of_the_folder_is_one() -> None:
    assert len(BUGS) >= 15
    files = {f"history/{path.name}" for path in FOLDER.glob("*.toml")} - {"history/index.toml"}
    assert files == {bug.program for bug in BUGS}


@pytest.mark.parametrize("bug", BUGS, ids=names(list(BUGS)))
def test_what_is_fixed_fails_on_no_later_release_and_names_its_program(bug: Bug) -> None:
    program_at(bug.program)
    if bug.fixed:
        later = [one for one in bug.fails if numbers_of(one) >= numbers_of(bug.fixed)]
        assert later == []
    assert bug.passes or not bug.fixed


@pytest.mark.parametrize("bug", BROUGHT_BACK, ids=names(BROUGHT_BACK))
def test_the_program_tells_the_mistake_of_the_model_from_a_right_kernel(bug: Bug) -> None:
    mutant = past_mistake(bug.mutant)
    assert mutant is not None
    program = program_at(bug.program)
    right = predict(program, RICH, observe=int(FULL_LOOK))
    assert right.skip == ""
    assert judge(program, as_predicted(right), right).kind is VerdictKind.CONFORMANT
    with planted(mutant):
        mistaken = as_predicted(predict(program, RICH, observe=int(FULL_LOOK)))
    verdict = judge(program, mistaken, right)
    assert verdict.bad
    assert shows(bug, program, verdict), verdict.differences[0]


def as_predicted(prediction: Prediction) -> Outcome:
    """Of a kernel that does what is predicted."""
    shots = (Snapshot(s.step, s.child, tuple(s.vmas), tuple(s.pages)) for s in prediction.snapshots)
    results, peeks = tuple(prediction.results), tuple(prediction.peeks)
    return Outcome(Status.DONE, results, peeks, tuple(shots))


@pytest.mark.parametrize("bug", OF_FACTS, ids=names(OF_FACTS))
def test_a_kernel_of_the_other_fact_fails_and_one_of_the_right_fact_passes(bug: Bug) -> None:
    program = program_at(bug.program)
    right = with_facts(RICH, bug.facts)
    wrong = with_facts(RICH, {name: not value for name, value in bug.facts.items()})
    assert check(bug, program, FakeKernel("right", right)).seen is Seen.PASSES
    failed = check(bug, program, FakeKernel("wrong", wrong))
    assert failed.seen is Seen.FAILS, failed.words
    assert failed.shown == failed.runs


def test_this_machines_kernel_is_as_the_index_says() -> None:
    skipped = []
    with open_target("host") as target:
        for bug in BUGS:
            checked = check(bug, program_at(bug.program), target, 1)
            if checked.seen is Seen.SKIPPED:
                skipped.append(bug.id)
                continue
            assert checked.seen in (Seen.PASSES, Seen.FAILS), f"{bug.id}: {checked.words}"
            expected = bug.expected(target.facts.release)
            # A distribution's update may have it fixed, or not yet: only Debian's was looked at.
            assert expected is None or checked.seen is expected or bug.fixed, bug.id
    assert len(skipped) < len(BUGS) // 2


def test_another_difference_is_not_taken_for_the_bug() -> None:
    bug = next(bug for bug in BUGS if bug.id == "dofork-of-huge-pages")
    other = replace(bug, identity=("madvise/COLD/*/*/page.*",))
    wrong = with_facts(RICH, {"dofork_refuses_special": True})
    assert check(other, program_at(bug.program), FakeKernel("wrong", wrong)).seen is Seen.OTHER


def test_a_kernel_that_lacks_what_it_takes_is_skipped() -> None:
    bug = next(bug for bug in BUGS if bug.id == "dofork-of-huge-pages")
    target = FakeKernel("small", FACTS)
    assert check(bug, program_at(bug.program), target).seen is Seen.SKIPPED
    assert verdict_of(bug, program_at(bug.program), target).kind is VerdictKind.SKIPPED
    assert flat_facts(FACTS)["hugetlb_pages_free"] == 0


def test_every_past_mistake_has_its_bug_and_can_be_had_in_a_guest() -> None:
    used = {bug.mutant for bug in BROUGHT_BACK}
    of_model = {(one.name, one.requirement, one.what) for one in PAST_MISTAKES}
    assert used == {one.name for one in PAST_MISTAKES}
    assert of_model == {(one.name, one.requirement, one.what) for one in read_past_mistakes()}


@pytest.mark.parametrize("mistake", read_past_mistakes(), ids=lambda one: one.name)
def test_a_guest_with_a_past_mistake_must_fail_where_its_release_passes(
    mistake: KernelMutant,
) -> None:
    planted = planted_in(mistake.target("uml"))
    assert planted == mistake.name
    for bug in BUGS:
        brought_back = bug.mutant == mistake.name
        assert bug.expected("7.3.4-madvet", planted) is (Seen.FAILS if brought_back else None)
    assert planted_in("uml") == planted_in("uml:mutant=0") == planted_in("debian:6.12") == ""


def test_the_lines_of_past_mistakes_name_each_of_them() -> None:
    """A row that no line asks for would be a mistake that nobody can bring back."""
    asked = " ".join(entry.line for entry in read_anchors(guest=True).insertions)
    asked += PAST_HEADER.read_text(encoding="ascii").partition("static inline")[2]
    for mistake in read_past_mistakes():
        assert f"MADVISE_PAST({mistake.name})" in asked


GOOD = """format = 1
[[bug]]
id = "a-bug"
title = "t"
program = "history/empty-vector-advice.toml"
wrong = "w"
reference = "r"
fixed = "6.9"
fails = ["6.1"]
passes = ["6.12"]
identity = ["*/*/*/*/*"]
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[bug]]", "[[bogus]]", "bogus"),
        ('id = "a-bug"', 'id = "A bug"', "allowed: words"),
        ('passes = ["6.12"]', 'passes = ["6.1"]', "both fail and pass"),
        ('fails = ["6.1"]', "fails = []", "what brings it back"),
        ('fails = ["6.1"]', 'fails = ["6.12", "6.1"]', "older release first"),
        ('fixed = "6.9"', 'fixed = "soon"', "allowed: a release"),
        ('wrong = "w"', 'wrong = " "', "is empty"),
        ('wrong = "w"', 'wrong = "w"\nmore = 1', "is not known here"),
        ('wrong = "w"', 'wrong = "w"\nfacts = { no_such = true }', "knows no fact"),
        ('identity = ["*/*/*/*/*"]', 'identity = ["x"]', "must have 5 parts"),
        ('program = "history/empty', 'program = "../history/empty', "below corpus"),
    ],
)
def test_a_mistake_in_the_index_is_told_with_its_place(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    assert old in GOOD
    (tmp_path / "index.toml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(IndexFileError, match=message):
        load_history(tmp_path)


def test_the_index_without_a_mistake_reads(tmp_path: Path) -> None:
    (tmp_path / "index.toml").write_text(GOOD)
    (bug,) = load_history(tmp_path)
    assert bug.expected("6.1.0-50-cloud-amd64") is Seen.FAILS
    assert bug.expected("6.12.117") is Seen.PASSES
    assert bug.expected("6.18.44") is None
    (tmp_path / "index.toml").write_text(GOOD + GOOD.removeprefix("format = 1\n"))
    with pytest.raises(IndexFileError, match="stands twice"):
        load_history(tmp_path)


def test_the_command_lists_and_tries(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["history"]) == exit_codes.CONFORMANT
    said = capsys.readouterr().out
    assert all(bug.id in said for bug in BUGS)
    assert run(["history", "--target", "host"]) in (exit_codes.CONFORMANT, exit_codes.FOUND)
    assert "empty-vector-advice" in capsys.readouterr().out
