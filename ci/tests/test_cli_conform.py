"""madvet conform as people call it: reports of every kind, and exit codes that deserve them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import junitparser
import msgspec
import pytest

from ci.cli import exit_codes
from ci.cli.report_options import code_of, counts_line
from ci.report.journal import read_journal
from ci.report.ktap_check import check_ktap
from ci.report.outputs import NOT_ENDED, OutputError, Wanted, prepare
from ci.report.result_tree import CaseResult, State, closed
from ci.tests.sample_run import sample_run
from conformance.target.guest_images import find_image
from conformance.target.target import TargetError

ROOT = Path(__file__).resolve().parents[2]


def conform(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ci.cli.main", "conform", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, capture_output=True, timeout=300,
        check=False, **more,
    )  # fmt: skip


def test_reports_of_one_run_agree(tmp_path: Path) -> None:
    names = {name: tmp_path / f"out.{name}" for name in ("ktap", "junit", "kcidb", "html", "run")}
    options = [f"--{name}={path}" for name, path in names.items()]
    done = conform("--target", "shim", "--requirement", "madvise-length", *options)
    assert done.returncode == exit_codes.CONFORMANT, done.stdout + done.stderr
    run = read_journal(names["run"])
    counts = run.counts()
    assert counts[State.PASS] >= 2
    assert check_ktap(names["ktap"].read_text()).passed == counts[State.PASS]
    xml = junitparser.JUnitXml.fromfile(str(names["junit"]))
    assert xml.tests == len(run.cases)
    tests = msgspec.json.decode(names["kcidb"].read_bytes())["tests"]
    assert [test["path"] for test in tests] == [f"madvet.{case.id}" for case in run.cases]
    assert "out.ktap" in done.stdout
    page = names["html"].read_text()
    assert [case.id for case in run.cases if case.id not in page] == []
    assert sorted(tmp_path.iterdir()) == sorted(names.values())


def test_no_case_chosen_is_no_pass(tmp_path: Path) -> None:
    path = tmp_path / "out.ktap"
    done = conform("--target", "shim", "--requirement", "no-such-rule", f"--ktap={path}")
    assert done.returncode == exit_codes.NOTHING_RAN
    assert check_ktap(path.read_text()).passed == 0
    assert "Traceback" not in done.stdout + done.stderr


def test_a_place_that_cannot_be_written_is_told_before_anything_runs(tmp_path: Path) -> None:
    for option in ("--ktap", "--run"):
        done = conform("--target", "shim", f"{option}={tmp_path / 'none' / 'x'}")
        assert done.returncode == exit_codes.HARNESS_FAILED
        assert option in done.stderr
        assert "No such file" in done.stderr
        assert "passed" not in done.stdout


def test_listing_the_cases_runs_and_records_none() -> None:
    done = conform("--target", "shim", "--requirement", "madvise-length", "--", "--collect-only")
    assert done.returncode == exit_codes.CONFORMANT
    assert "test_no_length_succeeds" in done.stdout


def test_a_report_found_after_a_crash_is_no_pass(tmp_path: Path) -> None:
    wanted = Wanted(ktap=tmp_path / "x.ktap", junit=tmp_path / "x.xml")
    prepare(wanted, "conform", ("host",))
    assert NOT_ENDED in (tmp_path / "x.ktap").read_text()
    assert check_ktap((tmp_path / "x.ktap").read_text()) == (0, 1, 0)
    assert junitparser.JUnitXml.fromfile(str(tmp_path / "x.xml")).errors == 1


def test_two_reports_do_not_share_a_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="two reports"):
        prepare(Wanted(tmp_path / "x", tmp_path / ".." / tmp_path.name / "x"), "conform", ())


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([State.PASS, State.SKIP], exit_codes.CONFORMANT),
        ([State.PASS, State.FAIL], exit_codes.FOUND),
        ([State.ERROR, State.FAIL], exit_codes.FOUND),
        ([State.PASS, State.ERROR], exit_codes.HARNESS_FAILED),
        ([State.SKIP, State.SKIP], exit_codes.NOTHING_RAN),
        ([], exit_codes.NOTHING_RAN),
    ],
)
def test_the_exit_code_a_run_deserves(states: list[State], code: int) -> None:
    cases = tuple(CaseResult(f"a.{i}", "host", state) for i, state in enumerate(states))
    assert code_of(msgspec.structs.replace(sample_run(), cases=cases)) == code


def test_a_run_that_did_not_end_deserves_no_zero() -> None:
    run = msgspec.structs.replace(
        sample_run(), cases=(CaseResult("a.b", "host", State.PASS),), unended="it died"
    )
    assert code_of(closed(run, [])) == exit_codes.HARNESS_FAILED


def test_skipped_and_unspecified_are_told() -> None:
    line = counts_line(sample_run())
    assert "3 passed, 1 failed, 1 errors, 2 skipped, 2 steps unspecified" in line


def test_words_for_a_guests_command_line_reach_its_kernel() -> None:
    """One that is told to start a program that is not there does not come up."""
    try:
        find_image("uml")
    except TargetError as error:
        pytest.skip(str(error))
    done = conform("--target", "uml", "--append", "rdinit=/nothing", "--requirement", "abi-")
    assert done.returncode == exit_codes.HARNESS_FAILED, done.stdout
    assert "did not boot" in done.stdout + done.stderr
