"""What becomes of cases in the journal of a run, with and without xdist, and when it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ci.report.case_ids import case_id
from ci.report.journal import DIED, JournalError, read_journal
from ci.report.result_tree import COMPLETE, NOT_RUN, RunResult, State

ROOT = Path(__file__).resolve().parents[2]
CONFTEST = """
import pytest
from ci.tests.sample_run import FACTS, LOOK, PROGRAM, outcome
from conformance.cases.evidence import EVIDENCE, Evidence, Run

def pytest_addoption(parser):
    parser.addoption("--target", default="a,b")

def pytest_configure(config):
    config.addinivalue_line("markers", "requirement(id): x")

def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", metafunc.config.getoption("--target").split(","))

@pytest.fixture
def kernel(name, request):
    evidence = request.node.stash[EVIDENCE] = Evidence(name, FACTS)
    evidence.runs.append(Run(PROGRAM, LOOK, outcome()))
    yield evidence
    evidence.unspecified = 3
"""
CASES = """
import os, pytest

@pytest.mark.requirement("gap-counted")
def test_good(kernel): pass

@pytest.mark.requirement("gap-stop")
def test_bad(kernel): assert 1 == 2

def test_lacking(kernel): pytest.skip("there is no such thing")

def test_harness(kernel): raise OSError("the disk is full")

@pytest.fixture
def broken(kernel): raise RuntimeError("not to be had")

def test_set_up(broken): pass

@pytest.fixture
def untidy(kernel):
    yield
    assert False, "the rule was not met"

def test_taken_down(untidy): pass
"""
STATES = {
    "good": State.PASS,
    "bad": State.FAIL,
    "lacking": State.SKIP,
    "harness": State.ERROR,
    "set_up": State.ERROR,
    "taken_down": State.ERROR,
}


def record(folder: Path, cases: str, *arguments: str) -> tuple[int, Path]:
    """Run these cases in a process of their own; its exit status, and the journal."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_sample.py").write_text(cases)
    journal = folder / "run.jsonl"
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null",
            "--import-mode=importlib", f"--rootdir={folder}", "-p", "ci.report.case_recorder",
            f"--madvet-journal={journal}", str(folder), *arguments,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=folder, timeout=120, check=False,
        capture_output=True,
    )  # fmt: skip
    return done.returncode, journal


def states(run: RunResult, target: str) -> dict[str, State]:
    return {
        case.id.removeprefix("sample."): case.state for case in run.cases if case.target == target
    }


@pytest.mark.parametrize("arguments", [(), ("-n2",)], ids=["alone", "xdist"])
def test_every_case_gets_its_state(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    _, journal = record(tmp_path, CASES, *arguments)
    run = read_journal(journal)
    assert states(run, "a") == STATES
    assert states(run, "b") == STATES
    assert run.unended == ""
    assert run.targets["a"]["release"] == "7.3.4-sample"
    by_id = {case.id: case for case in run.cases if case.target == "b"}
    assert by_id["sample.good"].requirements == ("gap-counted",)
    assert by_id["sample.good"].unspecified == 3
    assert by_id["sample.good"].shown == ()
    assert 'call = "madvise"' in by_id["sample.bad"].shown[0].program
    assert by_id["sample.bad"].shown[0].outcome
    assert by_id["sample.lacking"].message == "there is no such thing"
    assert "the disk is full" in by_id["sample.harness"].message
    assert "the rule was not met" in by_id["sample.taken_down"].message


def test_a_run_that_dies_says_so(tmp_path: Path) -> None:
    cases = CASES + "\ndef test_zz_dies(kernel): os.kill(os.getpid(), 9)\ndef test_zzz(kernel): 0\n"
    status, journal = record(tmp_path, cases)
    assert status == -signal.SIGKILL
    run = read_journal(journal)
    assert run.unended == DIED
    assert states(run, "a")["good"] is State.PASS
    assert states(run, "b")["zzz"] is State.ERROR
    assert states(run, "b")[COMPLETE] is State.ERROR
    assert {case.message for case in run.cases if "zz" in case.id} == {NOT_RUN}


def test_a_worker_that_dies_loses_no_case(tmp_path: Path) -> None:
    cases = "import os\ndef test_dies(kernel): os.kill(os.getpid(), 9)\ndef test_good(kernel): 0\n"
    _, journal = record(tmp_path, cases, "-n1")
    run = read_journal(journal)
    assert states(run, "a") == {"dies": State.ERROR, "good": State.PASS}


def test_a_target_that_does_not_run_ends_it(tmp_path: Path) -> None:
    cases = "import pytest\ndef test_a(kernel): pytest.exit('no such kernel', returncode=3)\n"
    status, journal = record(tmp_path, cases)
    run = read_journal(journal)
    assert status == 3
    assert "no such kernel" in run.unended
    assert states(run, "b") == {"a": State.ERROR, COMPLETE: State.ERROR}


def test_cases_that_cannot_be_read_end_it(tmp_path: Path) -> None:
    _, journal = record(tmp_path, "import nothing_of_this_name\n")
    run = read_journal(journal)
    assert "during collection" in run.unended
    assert "nothing_of_this_name" in run.notes[0]
    assert run.counts()[State.PASS] == 0


def test_one_id_means_one_case(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "test_sample.py").write_text(CASES)
    status, _ = record(tmp_path, CASES)
    assert status == 4


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"", "does not start"),
        (b"no json\nx\n", "line 1"),
        (b'{"type":"note","text":"x"}\n', "does not start"),
        (b'{"type":"begin","format":9,"what":"","started":"","madvet_version":"","targets":[]}\n',
         "format 9"),
        (b"[" * 100_000 + b"\n\n", "line 1"),
    ],
)  # fmt: skip
def test_what_is_no_journal_is_refused(tmp_path: Path, text: bytes, word: str) -> None:
    (tmp_path / "x").write_bytes(text)
    with pytest.raises(JournalError, match=word):
        read_journal(tmp_path / "x")


_RECORDED: list[bytes] = []


@pytest.mark.parametrize("cut", range(2, 400, 7))
def test_a_journal_cut_anywhere_is_no_pass(tmp_path: Path, cut: int) -> None:
    (tmp_path / "cut").write_bytes(record_once(tmp_path)[:-cut])
    try:
        run = read_journal(tmp_path / "cut")
    except JournalError:
        return
    assert run.unended == DIED
    assert run.counts()[State.ERROR]


def record_once(folder: Path) -> bytes:
    if not _RECORDED:
        _RECORDED.append(record(folder, "def test_good(kernel): 0\n")[1].read_bytes())
    return _RECORDED[0]


@pytest.mark.parametrize(
    ("nodeid", "expected"),
    [
        ("conformance/cases/test_walk.py::test_a_gap[host]", ("walk.a_gap", "host")),
        ("test_walk.py::test_a_gap", ("walk.a_gap", "")),
        ("test_x.py::test_y[shim-COLD]", ("x.y.COLD", "shim")),
        ("test_x.py::test_y[COLD-shim:mutant=3]", ("x.y.COLD", "shim:mutant=3")),
        ("test_x.py::test_y[debian:6.12-MADV/anon-shared/across-two]",
         ("x.y.MADV.anon-shared.across-two", "debian:6.12")),
        ("test_x.py::TestZ::test_y[host-a b#c]", ("x.y.a_b_c", "host")),
    ],
)  # fmt: skip
def test_ids(nodeid: str, expected: tuple[str, str]) -> None:
    targets = ("host", "shim", "shim:mutant=3", "debian:6.12")
    assert case_id(nodeid, targets) == expected
