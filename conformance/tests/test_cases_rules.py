"""Every case is marked, its programs meet the mark, and what it lacks is said."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = """
import pytest
from conformance.cases.layouts import anon, madvise
CALL = madvise(1, 1, "RANDOM")
"""
SOUND = """
@pytest.mark.requirement("madvise-effect", "vma-split")
def test_sound(kernel):
    assert kernel.run((anon(0, 3),), CALL).results == (0,)
"""
OTHERS = """
@pytest.mark.requirement("madvise-effect", "vma-merge")
def test_of_another_rule(kernel):
    kernel.run((anon(0, 3),), CALL)

@pytest.mark.requirement("vma-split")
def test_wrong(kernel):
    assert kernel.run((anon(0, 3),), CALL).results == (1,)

@pytest.mark.requirement("vma-split")
def test_idle(kernel):
    pass

@pytest.mark.requirement("vma-split")
def test_lacking(kernel):
    kernel.lacks("a third hand")
"""


def run_cases(folder: Path, cases: str) -> tuple[int, str]:
    """pytest on some cases, with the conftest of the cases: its exit status and all it said."""
    (folder / "conftest.py").write_text("from conformance.cases.conftest import *\n")
    (folder / "test_some.py").write_text(HEAD + cases)
    command = [sys.executable, "-m", "pytest", "-q", "--target=host", "-p", "no:cacheprovider",
               f"--rootdir={folder}", "-rA", str(folder)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_case_passes_only_if_it_proves_what_it_says(tmp_path: Path) -> None:
    code, said = run_cases(tmp_path, SOUND + OTHERS)
    assert code == 1
    for pattern in (
        r"PASSED .*::test_sound\[host\]",
        r"ERROR .*::test_of_another_rule\[host\]",
        r"AssertionError: \['vma-merge'\] not met; met were: ",
        r"FAILED .*::test_wrong\[host\]",
        r"ERROR .*::test_idle\[host\]",
        r"AssertionError: the case ran no program",
        r"host lacks a third hand",
    ):
        assert re.search(pattern, said), pattern
    assert "1 skipped" in said


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ('requirement("vma-cut")', "no requirement is called 'vma-cut'"),
        ("skipif(False, reason='')", "it is marked with no requirement"),
    ],
)
def test_a_case_without_a_requirement_that_exists_is_no_case(
    tmp_path: Path, mark: str, words: str
) -> None:
    case = SOUND.replace('requirement("madvise-effect", "vma-split")', mark)
    code, said = run_cases(tmp_path, case)
    assert (code, words in said) == (4, True), said
