"""The documents say what the code says: links, commands, classes, exit codes, facts."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ci.cli import exit_codes
from ci.cli.main import COMMANDS
from conformance.abi import control_v1 as v1
from conformance.abi.advice import ADVICES
from conformance.abi.scalars import DataModel
from conformance.oracle.verdict import VerdictKind
from conformance.program.kernel_facts import KernelFacts

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])
EXIT_CODES = {
    exit_codes.CONFORMANT,
    exit_codes.FOUND,
    exit_codes.BAD_INPUT,
    exit_codes.HARNESS_FAILED,
    exit_codes.NOTHING_RAN,
}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_pages_are_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", ["README.md", "docs/verdicts.md", "CONTRIBUTING.md"])
def test_commands_named_in_documents_exist(page: str) -> None:
    named = set(re.findall(r"\bmadvet ([a-z]+)", text_of(page)))
    prose = {"runs", "itself", "works", "looks"}  # sentences about madvet
    assert named - prose <= set(COMMANDS)


@pytest.mark.parametrize("page", ["README.md", "docs/verdicts.md"])
def test_every_class_of_verdict_is_explained(page: str) -> None:
    text = text_of(page)
    assert [kind.value for kind in VerdictKind if kind.value not in text] == []


def test_the_readme_lists_every_exit_code() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d) \|", text_of("README.md"), re.MULTILINE)}
    assert listed == EXIT_CODES


def test_every_fact_is_explained_and_no_other() -> None:
    rows = re.findall(r"^\| (`[^|]*) \|", text_of("docs/facts.md"), re.MULTILINE)
    listed = re.findall(r"`(\w+)`", " ".join(rows))
    assert sorted(listed) == sorted(KernelFacts.__struct_fields__)


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="no mandoc on this machine")
def test_the_man_page_has_no_mistakes() -> None:
    command = ["mandoc", "-Tlint", str(ROOT / "docs/madvise_ranges.2")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # Whether other man pages are installed is the machine's business.
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if line]
    assert [line for line in complaints if "mandoc.db" not in line and "Xr" not in line] == []


def test_the_man_page_names_every_member() -> None:
    words = set(re.findall(r"\w+", text_of("docs/madvise_ranges.2")))
    for layout in v1.STRUCTS:
        assert layout.tag in words
        for placed in layout.placed(DataModel.LP64):
            assert placed.path.split(".")[-1] in words, placed.path


@pytest.mark.parametrize(
    ("before", "behind", "use"),
    [
        ("accepted are\n", ".El", "whole"),
        ("This is possible with\n", "The opposite", "default"),
        ("for another process only\n", "are accepted", "remote"),
    ],
)
def test_the_man_page_lists_the_advices(before: str, behind: str, use: str) -> None:
    listed = text_of("docs/madvise_ranges.2").partition(before)[2].partition(behind)[0]
    right = {f"MADV_{advice.name}" for advice in ADVICES if getattr(advice, use)}
    assert set(re.findall(r"MADV_\w+", listed)) == right
