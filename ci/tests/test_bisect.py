"""Bisection over a row of kernels that the model plays, and over a real git repository whose
commits "build" to targets."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from ci.cli import exit_codes
from ci.cli.main import run
from ci.gate import tree_step
from ci.gate.bisect import BisectError, Interval, bisect
from ci.gate.question import Answer, Odds, Question
from ci.kernels.build import Built, Wanted
from ci.kernels.catalogue import Flavour
from ci.tests.fake_kernels import FakeKernel, facts
from conformance.program.call import IoRange, ProcessMadvise
from conformance.program.mapping import Kind, Mapping
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from conformance.program.text import dumps
from conformance.target.guest_images import Image, Manifest
from conformance.target.target import Target, TargetError
from fuzz.mutants.shim_mutants import read_shim_mutants

# process_madvise() on oneself takes DONTNEED from 6.13 on: two rules, and the model knows both.
PROGRAM = Program(
    (Mapping(Kind.ANON, 0, 2),), (ProcessMadvise(4, (IoRange(page_address(0), PAGE),)),)
)
OLD, NEW = facts(self_any_advice=False), facts(self_any_advice=True)


def asked_of(kernels: Sequence[FakeKernel | None]) -> Interval:
    """Bisect a row; None: does not boot."""
    by_name = {f"k{i}": kernel for i, kernel in enumerate(kernels)}

    def open_one(name: str) -> Target:
        kernel = by_name[name]
        if kernel is None:
            raise TargetError(f"{name} does not boot")
        return kernel

    return bisect(PROGRAM, list(by_name), open_one, lambda line: None)


def row(old: int, new: int) -> list[FakeKernel | None]:
    kernels = [FakeKernel(f"old{i}", OLD) for i in range(old)]
    return [*kernels, *(FakeKernel(f"new{i}", NEW) for i in range(new))]


@pytest.mark.parametrize(("old", "new"), [(1, 1), (1, 9), (9, 1), (4, 5), (5, 4)])
def test_the_interval_is_found_wherever_it_is(old: int, new: int) -> None:
    found = asked_of(row(old, new))
    assert (found.good.name, found.bad.name) == (f"k{old - 1}", f"k{old}")
    assert found.between == ()
    assert found.asked <= 6
    assert found.error < 0.01


def test_kernels_that_cannot_tell_are_named_between() -> None:
    kernels = row(4, 4)
    kernels[3] = kernels[4] = None
    found = asked_of(kernels)
    assert (found.good.name, found.bad.name) == ("k2", "k5")
    assert [one.name for one in found.between] == ["k3", "k4"]
    assert all(one.told.answer is Answer.CANNOT for one in found.between)


@pytest.mark.parametrize(("old", "new", "words"), [(4, 0, "bad end"), (0, 4, "bad end")])
def test_ends_that_do_the_same_are_refused(old: int, new: int, words: str) -> None:
    with pytest.raises(BisectError, match=words):
        asked_of(row(old, new))


def test_a_bad_end_that_does_not_boot_is_the_environments_failure() -> None:
    with pytest.raises(TargetError, match="does not boot"):
        asked_of([*row(2, 2), None])


def test_a_good_end_that_is_not_right_is_refused() -> None:
    with pytest.raises(BisectError, match="good end"):
        asked_of([FakeKernel("claims", OLD, NEW), *row(1, 1)])


def test_attempts_follow_from_the_measured_rate() -> None:
    sure, rare = Odds(20, 20), Odds(2, 20)
    assert sure.attempts == 2
    assert 40 < rare.attempts < 80
    assert sure.missed <= 0.001
    assert rare.missed <= 0.001
    assert rare.error(5) == pytest.approx(1 - (1 - rare.missed) ** 5)


def test_what_shows_now_and_then_is_found_all_the_same() -> None:
    def sometimes() -> FakeKernel:
        runs = itertools.count(1)
        return FakeKernel("sometimes", OLD, NEW, sometimes=lambda: next(runs) % 4 == 0)

    kernels: list[FakeKernel | None] = [*row(3, 0), *(sometimes() for _ in range(3))]
    found = asked_of(kernels)
    assert (found.good.name, found.bad.name) == ("k2", "k3")
    assert found.odds.hits == 5
    assert found.odds.attempts > 10


def test_another_difference_is_not_taken_for_it() -> None:
    bad = Question(PROGRAM, OLD).ask(FakeKernel("new", NEW), 1)
    assert bad.answer is Answer.BAD
    assert bad.identity is not None
    sought = replace(bad.identity, difference="page.content.zero-not-written")
    other = Question(PROGRAM, OLD, sought).ask(FakeKernel("new", NEW), 1)
    assert other.answer is Answer.OTHER
    assert "EINVAL" in other.words


def test_the_command_wants_kernels_of_the_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.toml"
    path.write_text(dumps(PROGRAM))
    arguments = ["bisect", str(path), "--kernels", "host,shim", "--good", "host", "--bad"]
    assert run([*arguments, "uml"]) == exit_codes.BAD_INPUT
    assert "none of the kernels" in capsys.readouterr().err
    assert run([*arguments, "host"]) == exit_codes.BAD_INPUT
    assert "both host" in capsys.readouterr().err


GAP = """format = 1

[[mapping]]
kind = "anon"
at = 1
pages = 1

[[step]]
call = "madvise_ranges"
type = "single"
range = { start = "arena", length = "2p", advice = "DONTNEED" }
stats_fill = 0
"""
FAULT = next(row.target for row in read_shim_mutants() if row.name == "gap_counted_twice")


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", *who, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def repository(folder: Path, builds: list[str]) -> list[str]:
    """A commit for each: the target that it "builds" to, or "broken". Their ids."""
    folder.mkdir()
    git(folder, "init", "-q")
    commits = []
    for number, target in enumerate(builds):
        (folder / "target").write_text(target + "\n")
        (folder / "number").write_text(f"{number}\n")
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", f"commit {number}")
        commits.append(git(folder, "rev-parse", "HEAD").strip())
    return commits


BUILD = "cat target; ! grep -q broken target"


def test_a_tree_is_bisected_by_git_with_build_boot_and_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builds = ["shim", "shim", "broken", "shim", FAULT, "kernel:none", FAULT, FAULT]
    tree = tmp_path / "tree"
    commits = repository(tree, builds)
    path = tmp_path / "gap.toml"
    path.write_text(GAP)
    arguments = ["bisect", str(path), "--tree", str(tree), "--build", BUILD]
    assert run([*arguments, "--good", commits[0], "--bad", commits[-1]]) == exit_codes.CONFORMANT
    said = capsys.readouterr().out
    assert f"{commits[4]} commit 4" in said
    assert "the first bad commit is:" in said
    assert "20/20" in said
    assert "probability" in said
    assert git(tree, "status", "--porcelain") == ""
    assert git(tree, "rev-parse", "HEAD").strip() == commits[-1]
    assert len(git(tree, "worktree", "list").splitlines()) == 1


def test_commits_that_cannot_tell_are_all_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tmp_path / "tree"
    commits = repository(tree, ["shim", "broken", "broken", FAULT])
    path = tmp_path / "gap.toml"
    path.write_text(GAP)
    arguments = ["bisect", str(path), "--tree", str(tree), "--build", BUILD]
    assert run([*arguments, "--good", commits[0], "--bad", commits[-1]]) == exit_codes.CONFORMANT
    said = capsys.readouterr().out
    assert "one of" in said
    assert all(commit in said for commit in commits[1:])


def test_a_commit_that_there_is_not_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tmp_path / "tree"
    repository(tree, ["shim"])
    path = tmp_path / "gap.toml"
    path.write_text(GAP)
    arguments = ["bisect", str(path), "--tree", str(tree), "--build", BUILD]
    assert run([*arguments, "--good", "no-such", "--bad", "HEAD"]) == exit_codes.BAD_INPUT
    assert "rev-parse" in capsys.readouterr().err


def test_without_a_command_the_tree_is_built_as_kernels_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Path | None]] = []

    def fake_build(flavour: Flavour, wanted: Wanted, say: object) -> Built:
        asked.append((flavour.name, wanted.tree))
        manifest = Manifest(1, flavour.name, "x86_64", "7.3", "own", "0", (), 1.0)
        return Built(Image(tmp_path / "lean-0", manifest), fresh=True)

    monkeypatch.setattr(tree_step, "build_kernel", fake_build)
    name = tree_step.build(tmp_path, "", "lean", lambda line: None)
    assert name == f"kernel:{tmp_path / 'lean-0' / 'image'}"
    assert asked == [("lean", tmp_path)]


def test_a_tree_that_holds_no_kernel_cannot_tell(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="holds no kernel sources"):
        tree_step.build(tmp_path, "", "lean", lambda line: None)
