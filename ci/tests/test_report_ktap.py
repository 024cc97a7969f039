"""KTAP: read by a strict reader of our own, and by the kernel's where a tree is at hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.report.ktap import ktap
from ci.report.ktap_check import Counts, KtapError, check_ktap
from ci.report.result_tree import CaseResult, RunResult, State, closed
from ci.tests.sample_run import sample_run

TREES = [Path(name) for name in os.environ.get("MADVET_LINUX_TREES", "").split(":") if name]
GOOD = """\
KTAP version 1
1..2
# anything
  KTAP version 1
  # Subtest: host
  1..2
  # why
  ok 1 walk.a
  ok 2 walk.b # SKIP for no reason
ok 1 host
  KTAP version 1
  # Subtest: shim
  1..1
  not ok 1 walk.a # ERROR
not ok 2 shim
# Totals: pass:1
"""


def test_the_reader_counts_cases() -> None:
    assert check_ktap(GOOD) == Counts(1, 1, 1)


@pytest.mark.parametrize(
    ("right", "wrong", "word"),
    [
        ("KTAP version 1\n1..2", "1..2", "is not 'KTAP version 1'"),
        ("1..2\n# anything", "1..3\n# anything", "before the plan is done"),
        ("1..2\n# anything", "1..1\n# anything", "behind the last test"),
        ("1..2\n# anything", "1..0\n# anything", "no plan"),
        ("  1..2\n  # why\n", "", "no plan"),
        ("  ok 2 walk.b", "  ok 3 walk.b", "no result of test 2"),
        ("  ok 2 walk.b", "  ok 2 walk.a", "second test called 'walk.a'"),
        ("  ok 1 walk.a\n", "", "no result of test 1"),
        ("  # Subtest: host\n", "", "name of its subtest"),
        ("ok 1 host", "ok 1 hosts", "for the subtest 'host'"),
        ("ok 1 host", "not ok 1 host", "a subtest that is ok"),
        ("not ok 2 shim", "ok 2 shim", "a subtest that is not ok"),
        ("ok 1 host\n", "", "no result of test 1"),
        ("  ok 1 walk.a", " ok 1 walk.a", "depth"),
        ("# Totals: pass:1\n", "# Totals: pass:1", "does not end"),
        ("# anything", "\n", "depth"),
    ],
)
def test_the_reader_is_strict(right: str, wrong: str, word: str) -> None:
    assert right in GOOD
    with pytest.raises(KtapError, match=word):
        check_ktap(GOOD.replace(right, wrong, 1))


def test_a_run_is_told_whole() -> None:
    text = ktap(sample_run())
    assert check_ktap(text) == Counts(passed=3, failed=2, skipped=2)
    for line in (
        "    ok 3 walk.lacks # SKIP host has no such call",
        "    # requirement madvise-dontneed-content",
        "# steps left unspecified by the model: 2",
        "# Totals: pass:3 fail:1 xfail:0 xpass:0 skip:2 error:1",
    ):
        assert line in text.splitlines()


def test_what_was_not_run_is_no_pass() -> None:
    run = msgspec.structs.replace(sample_run(), unended="the power went")
    text = ktap(closed(run, [("walk.never", "host")]))
    assert "not ok 5 walk.never # ERROR was not run" in text.replace("not ok 4", "not ok 5")
    assert "# NOT COMPLETE: the power went" in text
    assert text.count("run.complete # ERROR the power went") == 2
    assert check_ktap(text).failed == 2 + 1 + 2


CASES = st.builds(
    CaseResult,
    id=st.from_regex(r"[a-z]{1,3}\.[a-z]{1,3}", fullmatch=True),
    target=st.sampled_from(["host", "shim", "kernel:a # b"]),
    state=st.sampled_from(State),
    message=st.text(max_size=40),
    output=st.text(max_size=80),
)


@given(st.lists(CASES, min_size=1, max_size=8, unique_by=lambda case: (case.id, case.target)))
def test_any_message_leaves_it_well_formed(cases: list[CaseResult]) -> None:
    run = RunResult("conform", "2026-01-01T00:00:00+00:00", 1.0, "0", {}, tuple(cases))
    counts = run.counts()
    assert check_ktap(ktap(run)) == (
        counts[State.PASS], counts[State.FAIL] + counts[State.ERROR], counts[State.SKIP],
    )  # fmt: skip


def kunit(path: Path) -> subprocess.CompletedProcess[str]:
    """The kernel's own parser; nothing is written into its tree."""
    tool = TREES[-1] / "tools/testing/kunit/kunit.py"
    return subprocess.run(
        [sys.executable, "-B", str(tool), "parse", str(path)],
        capture_output=True, text=True, check=False, cwd=path.parent,
    )  # fmt: skip


@pytest.mark.skipif(not TREES, reason="MADVET_LINUX_TREES names no unpacked Linux trees")
def test_the_kernels_parser_counts_the_same(tmp_path: Path) -> None:
    path = tmp_path / "out.ktap"
    path.write_text(ktap(sample_run()))
    done = kunit(path)
    assert "Ran 7 tests: passed: 3, failed: 2, skipped: 2" in done.stdout
    assert done.returncode == 1
    good = [case for case in sample_run().cases if case.state in (State.PASS, State.SKIP)]
    path.write_text(ktap(msgspec.structs.replace(sample_run(), cases=tuple(good))))
    done = kunit(path)
    assert "Ran 5 tests: passed: 3, skipped: 2" in done.stdout, done.stdout
    assert "ERROR" not in done.stdout
    assert done.returncode == 0
