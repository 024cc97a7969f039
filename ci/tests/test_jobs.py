"""What jobs conclude: new is new, what base has too is not, and nothing left out is a pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from ci.cli import exit_codes
from ci.jobs import base_checkout
from ci.jobs.__main__ import MARK, made, main
from ci.jobs.base_checkout import NoBase, find_base, shown_by_base, worktree
from ci.jobs.ending import conclude, job_code
from ci.jobs.guests import BUILD, IF_BUILT, NONE, ready
from ci.jobs.madvet_steps import FOUND_WITH_ERRORS, conform, function_of, fuzz, replay, times_of
from ci.jobs.nightly import FOUND, merge_corpus
from ci.jobs.step import CHECKOUT, TIMED_OUT, Bad, Done, run_step
from ci.report.ktap_check import check_ktap
from ci.tests.test_campaign_tree import FINDING

OK, BAD = exit_codes.CONFORMANT, exit_codes.FOUND
HARNESS, NOTHING = exit_codes.HARNESS_FAILED, exit_codes.NOTHING_RAN
ONE = Bad("fuzz", "host", "a/b/c/d/e")
SOME = Done("a", BAD, "", bad=(ONE,))


@pytest.mark.parametrize(
    ("steps", "new", "code"),
    [
        ([Done("a", OK, ""), Done("b", None, "no guest")], [], OK),
        ([SOME], [ONE], BAD),
        ([SOME], [], OK),  # base shows it, too
        ([Done("a", BAD, "")], [], BAD),  # found, and nobody can say what
        ([SOME, Done("b", HARNESS, "")], [], HARNESS),
        ([SOME, Done("b", HARNESS, "")], [ONE], BAD),
        ([Done("a", OK, ""), Done("b", TIMED_OUT, "")], [], HARNESS),
        ([Done("a", OK, ""), Done("b", exit_codes.BAD_INPUT, "")], [], HARNESS),
        ([Done("a", None, "x"), Done("b", NOTHING, "")], [], NOTHING),
        ([], [], NOTHING),
    ],
)
def test_exit_codes(steps: list[Done], new: list[Bad], code: int) -> None:
    assert job_code(steps, new) == code


def test_the_end_is_told_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    other = ONE._replace(name="old")
    steps = [Done("a", BAD, "found", 1.0, (ONE, other)), Done("b", None, "not built")]
    code = conclude("on-change", steps, {other: "shows there as well"}, tmp_path)
    assert code == BAD
    said = capsys.readouterr().out
    assert "NEW: host: a/b/c/d/e" in said
    assert "not new: host: old: shows there as well" in said
    assert "1 steps, 1 skipped, 1 new findings, 1 that base has too; exit 1" in said
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [one["name"] for one in summary["new"]] == ["a/b/c/d/e"]
    assert summary["steps"][1]["exit_code"] is None
    assert "NEW: host" in page.read_text()


def runs(state: Path) -> bool:
    try:
        return state.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_step_has_a_time_limit_and_leaves_nothing(tmp_path: Path) -> None:
    script = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '600']); "
    script += "print(p.pid, flush=True); time.sleep(600)"
    log = tmp_path / "log"
    done = run_step("x", [sys.executable, "-c", script], log, 2.0)
    assert done.code == TIMED_OUT
    state = Path(f"/proc/{log.read_text().strip()}/stat")
    until = time.monotonic() + 10  # dying takes a moment
    while (running := runs(state)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not running


def test_a_fault_is_found_and_base_is_asked(tmp_path: Path) -> None:
    done = fuzz("shim:mutant=1", 6, 1, tmp_path)
    assert done.code == BAD
    assert done.bad
    assert {one.target for one in done.bad} == {"shim:mutant=1"}
    first = done.bad[:1]
    # The same sources with the same fault: base shows it as well.
    assert shown_by_base(first, CHECKOUT, tmp_path).keys() == set(first)
    # Where there is no such fault, it is new.
    elsewhere = [first[0]._replace(target="shim")]
    assert shown_by_base(elsewhere, CHECKOUT, tmp_path) == {}
    # What base cannot read is new.
    unreadable = tmp_path / "x.toml"
    unreadable.write_text("format = 99\n")
    assert shown_by_base([first[0]._replace(program=unreadable)], CHECKOUT, tmp_path) == {}


def test_files_of_the_corpus_that_fail_are_named(tmp_path: Path) -> None:
    found = fuzz("shim:mutant=1", 6, 1, tmp_path).bad
    done = replay("shim:mutant=1", tmp_path / "fuzz-shim:mutant=1" / "findings", tmp_path)
    assert done.code == BAD
    assert {one.program for one in done.bad} == {one.program for one in found}


def test_cases_that_fail_are_named_and_found_in_base(tmp_path: Path) -> None:
    only = ("-k", "unknown_version or no_length_succeeds")
    done = conform("shim:mutant=3", tmp_path, *only)
    assert done.code in (BAD, OK)
    cases = [Bad("cases", "shim", "madvise.no_length_succeeds_where_nothing_is_mapped")]
    assert shown_by_base(cases, CHECKOUT, tmp_path) == {}
    assert function_of(cases[0].name) == "test_no_length_succeeds_where_nothing_is_mapped"


def test_errors_beside_failures_are_not_explained_by_base() -> None:
    step = Done("cases", HARNESS, FOUND_WITH_ERRORS, bad=(ONE,))
    assert job_code([step], []) == HARNESS


def test_a_finding_that_shows_seldom_is_tried_more_often() -> None:
    assert times_of(FINDING) == 5  # 4 of 5
    assert times_of(msgspec.structs.replace(FINDING, shown=1)) == 21


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", *who, "-C", str(folder), *arguments], capture_output=True,
                          text=True, check=True)  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three commits; the last of them on a branch."""
    for name in ("MADVET_BASE", "GITHUB_BASE_REF", "CI_MERGE_REQUEST_DIFF_BASE_SHA"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for number in range(2):
        (folder / "pyproject.toml").write_text(f"# {number}\n")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", str(number))
    monkeypatch.setattr(base_checkout, "CHECKOUT", folder)
    return folder


def test_base_is_where_the_change_left_the_main_branch(repository: Path) -> None:
    assert find_base("") == git(repository, "rev-parse", "HEAD^")  # on main itself
    git(repository, "checkout", "-qb", "change")
    git(repository, "commit", "-q", "--allow-empty", "-m", "change")
    assert find_base("") == git(repository, "rev-parse", "main")
    assert find_base("main^") == git(repository, "rev-parse", "main^")


def test_a_base_that_is_not_here_is_told(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADVET_BASE", "0" * 40)
    with pytest.raises(NoBase, match="fetch-depth"):
        find_base("")


def test_the_first_commit_has_no_base(repository: Path) -> None:
    git(repository, "checkout", "-q", "HEAD^")
    git(repository, "branch", "-qD", "main")
    with pytest.raises(NoBase, match="first commit"):
        find_base("")


def test_the_worktree_of_base_goes_away(repository: Path) -> None:
    with worktree("HEAD^") as tree:
        assert (tree / "pyproject.toml").read_text() == "# 0\n"
    assert not tree.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_a_guest_that_is_not_built_is_left_out_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADVET_KERNELS", str(tmp_path / "none"))
    booted, steps = ready("uml", IF_BUILT, tmp_path)
    assert (booted, [step.code for step in steps]) == (False, [None])
    assert "madvet kernels build uml" in capsys.readouterr().out
    assert ready("uml", NONE, tmp_path)[0] is False
    assert BUILD != IF_BUILT


def test_nights_add_to_the_corpus(tmp_path: Path) -> None:
    ours, before, tonight = tmp_path / "ours", tmp_path / "before", tmp_path / "tonight"
    for folder in (ours / "seeds", before / "seeds", before / FOUND, tonight):
        folder.mkdir(parents=True)
    (ours / "seeds" / "a.toml").write_text("ours")
    (before / "seeds" / "a.toml").write_text("theirs")
    (before / FOUND / "x.toml").write_text("large program")
    (tonight / "x.toml").write_text("small")
    (tonight / "y.toml").write_text("new")
    to = tmp_path / "to"
    assert merge_corpus([ours, before], [tonight], to) == (3, 1)
    assert (to / "seeds" / "a.toml").read_text() == "ours"
    assert (to / FOUND / "x.toml").read_text() == "small"
    assert merge_corpus([ours, to], [], tmp_path / "next") == (3, 0)


def test_only_what_a_job_made_is_emptied(tmp_path: Path) -> None:
    out = made(tmp_path / "out")
    (out / "old.xml").touch()
    assert list(made(tmp_path / "out").iterdir()) == [out / MARK]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(Exception, match="no job made it"):
        made(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["gate", "--base", "host"],
        ["nothing"],
        ["gate", "--tree", "/nonexistent", "--base", "x"],
        [],
    ],
)
def test_bad_usage(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["ci/jobs/run", *arguments])
    assert main() == exit_codes.BAD_INPUT


def test_the_gate_of_two_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["x", "gate", "--base", "shim", "--head", "shim", "--budget", "10",
               "--out", str(tmp_path / "o")]  # fmt: skip
    monkeypatch.setattr(sys, "argv", command)
    assert main() == exit_codes.CONFORMANT
    assert (tmp_path / "o" / "gate.json").is_file()


def gate_of(repository: Path, out: Path, build: str, monkeypatch: pytest.MonkeyPatch) -> int:
    command = ["x", "gate", "--tree", str(repository), "--base", "HEAD^", "--build", build,
               "--budget", "10", "--out", str(out)]  # fmt: skip
    monkeypatch.setattr(sys, "argv", command)
    return main()


def test_the_gate_builds_both_commits(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The base says 0, and has the fault that head lacks: a fix, which is no regression.
    build = "grep -q 0 pyproject.toml && echo shim:mutant=3 || echo shim"
    assert gate_of(repository, tmp_path / "o", build, monkeypatch) == exit_codes.CONFORMANT
    steps = json.loads((tmp_path / "o" / "summary.json").read_text())["steps"]
    assert [step["words"] for step in steps[:2]] == ["shim:mutant=3", "shim"]
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_the_gate_fails_for_a_fault_of_head(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = "grep -q 1 pyproject.toml && echo shim:mutant=3 || echo shim"
    assert gate_of(repository, tmp_path / "o", build, monkeypatch) == exit_codes.FOUND


def test_a_kernel_that_does_not_build_is_no_pass(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gate_of(repository, tmp_path / "o", "echo no >&2; false", monkeypatch) == HARNESS


def test_a_commit_that_there_is_not_is_bad_input(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["x", "gate", "--tree", str(repository), "--base", "nothing", "--out",
               str(tmp_path / "o")]  # fmt: skip
    monkeypatch.setattr(sys, "argv", command)
    assert main() == exit_codes.BAD_INPUT


def kselftest(*arguments: str, target: str = "shim") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(CHECKOUT / "ci/jobs/kselftest"), *arguments],
        env={**os.environ, "MADVET_TARGET": target}, capture_output=True, text=True, check=False,
    )  # fmt: skip


HAS_VENV = (CHECKOUT / ".venv/bin/madvet").exists()


@pytest.mark.skipif(not HAS_VENV, reason="this checkout has no .venv of its own")
@pytest.mark.parametrize(
    ("requirement", "target", "code"),
    [("madvise-length", "shim", 0), ("default-future", "shim", 4), ("", "kernel:/nothing", 1)],
)
def test_kselftest_has_its_exit_codes(requirement: str, target: str, code: int) -> None:
    done = kselftest("--requirement", requirement, target=target)
    assert done.returncode == code, done.stdout + done.stderr
    counts = check_ktap(done.stdout)
    assert bool(counts.passed) == (code == 0)
    assert bool(counts.failed) == (code == 1)
