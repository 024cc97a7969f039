"""A campaign's folder as a report: what it found is drawn, and one that died is no pass."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ci.cli import exit_codes
from ci.cli.main import run
from ci.report.campaign_tree import NO_CAMPAIGN, NOT_ENDED, PROGRAMS, campaign_tree, is_campaign
from ci.report.html import html
from ci.report.ktap_check import check_ktap
from ci.report.page_model import Page
from ci.report.result_tree import COMPLETE, ID, State
from ci.tests.sample_run import FACTS, LOOK, PROGRAM, outcome
from conformance.oracle.verdict import Difference, Verdict, VerdictKind
from fuzz.findings.finding import Evidence, Finding
from fuzz.findings.store import DATABASE, FindingsError, Store

ROOT = Path(__file__).resolve().parents[2]
VERDICT = Verdict(
    VerdictKind.DIVERGENCE,
    (
        Difference(
            1, "page.content", "kept", "zeros", "page 1 was kept", "madvise-dontneed-content"
        ),
    ),
)
FINDING = Finding(
    "madvise/DONTNEED/anon/madvise-dontneed-content/page.content", VERDICT, PROGRAM, 4, 5, "uml",
    FACTS.release, 1, 17, Evidence(outcome(), int(LOOK), FACTS),
)  # fmt: skip


def fuzz(folder: Path, *arguments: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "ci.cli.main", "fuzz", "--quiet", "--out", str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode


def test_a_campaign_that_found_nothing_is_a_pass(tmp_path: Path) -> None:
    assert fuzz(tmp_path, "--target", "shim", "--programs", "500", "--seed", "1") == 0
    assert is_campaign(tmp_path)
    tree = campaign_tree(tmp_path, "0")
    assert tree.unended == ""
    assert [(case.id, case.state) for case in tree.cases] == [(PROGRAMS, State.PASS)]
    assert tree.targets["shim"]["ranges_call"] == "shim"
    assert "500 programs" in tree.notes[0]
    page = tmp_path / "x.html"
    assert run(["report", str(tmp_path), "--html", str(page)]) == exit_codes.CONFORMANT
    assert "All conformant" in page.read_text()


def test_findings_of_a_real_campaign_are_drawn(tmp_path: Path) -> None:
    arguments = ("--target", "shim", "--canary", "--programs", "3000", "--seed", "1")
    assert fuzz(tmp_path, *arguments) == exit_codes.FOUND
    tree = campaign_tree(tmp_path, "0")
    found = [case for case in tree.cases if case.state is State.FAIL]
    assert found
    assert all(ID.fullmatch(case.id) for case in found)
    assert all(case.identity in case.output or case.requirements for case in found)
    drawn = [finding.drawings[0] for finding in Page(tree).findings]
    assert any(len(drawing.parts) > 1 for drawing in drawn)
    assert all(drawing.reason == "" for drawing in drawn)
    ktap, page = tmp_path / "x.ktap", tmp_path / "x.html"
    command = ["report", str(tmp_path), "--html", str(page), "--ktap", str(ktap)]
    assert run(command) == exit_codes.FOUND
    assert check_ktap(ktap.read_text()).failed == len(found)


def test_evidence_survives_the_store_and_is_drawn(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        number = store.begin_campaign(b"{}")
        store.keep(FINDING)
        store.end_campaign(number, b"{}")
    tree = campaign_tree(tmp_path, "0")
    case = tree.cases[0]
    assert case.requirements == ("madvise-dontneed-content",)
    assert "4 of 5 runs" in case.message
    assert "kernel: A pages 0 to 2: w w w" in html(tree)


def test_a_campaign_that_died_is_no_pass(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.begin_campaign(msgspec.json.encode({"options": {}}))
    tree = campaign_tree(tmp_path, "0")
    assert tree.unended == NOT_ENDED
    assert [case.id for case in tree.cases] == [COMPLETE]
    assert run(["report", str(tmp_path)]) == exit_codes.HARNESS_FAILED


def test_a_folder_from_before_campaigns_were_told_of_says_so(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.keep(FINDING)
    with sqlite3.connect(tmp_path / DATABASE) as database:
        database.execute("DROP TABLE campaign")
    assert campaign_tree(tmp_path, "0").unended == NO_CAMPAIGN


def test_a_harness_error_of_a_campaign_is_no_pass(tmp_path: Path) -> None:
    tally = {"programs": 10, "unspecified": 0, "verdicts": {"harness-error": 1}, "known": {}}
    summary = {
        "ending": "budget", "failure": "", "seconds": 1.0, "options": {"seed": 1}, "total": tally,
        "targets": {"host": {"facts": None, **tally}},
    }  # fmt: skip
    with Store(tmp_path) as store:
        store.end_campaign(store.begin_campaign(b"{}"), msgspec.json.encode(summary))
    tree = campaign_tree(tmp_path, "0")
    assert [case.state for case in tree.cases] == [State.ERROR]


@pytest.mark.parametrize("what", ["nothing", "folder", "file"])
def test_what_is_no_run_is_bad_input(
    tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x"
    if what == "folder":
        path.mkdir()
    if what == "file":
        path.write_text("no run\n")
    assert run(["report", str(path)]) == exit_codes.BAD_INPUT
    assert str(path) in capsys.readouterr().err


def test_a_broken_summary_is_told(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.begin_campaign(b"no json")
    with pytest.raises(FindingsError, match="summary"):
        campaign_tree(tmp_path, "0")
