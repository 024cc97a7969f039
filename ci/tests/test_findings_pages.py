"""Findings in released kernels: the index is strict, the pages are made from it, and what this
machine's kernel can show is seen again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ci.cli import exit_codes
from ci.cli.main import run
from ci.gate.compare import FULL_LOOK
from ci.gate.findings import FOLDER, Kind, Known, load_findings, see_again, shown_results
from ci.gate.findings_pages import DRAWN_FOR, differing, pages
from ci.gate.history import Seen
from ci.gate.index import IndexFileError, program_at
from conformance.model.predict import predict
from conformance.oracle.expected_change import with_facts
from conformance.oracle.ledger import load_ledger
from conformance.target.registry import open_target

FINDINGS = load_findings()
PAGES = Path(__file__).resolve().parents[2] / "docs" / "findings"
OF_MODEL = [finding for finding in FINDINGS if not finding.ledger]


def names(findings: list[Known]) -> list[str]:
    return [finding.id for finding in findings]


def test_the_pages_are_those_that_the_index_makes() -> None:
    assert differing(PAGES, pages(FINDINGS)) == []


def test_a_page_that_was_edited_left_over_or_lost_is_told(tmp_path: Path) -> None:
    wanted = pages(FINDINGS)
    for name, text in wanted.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert differing(tmp_path, wanted) == []
    (tmp_path / "old.md").write_text("x")
    (tmp_path / "README.md").write_text("x")
    (tmp_path / f"{FINDINGS[0].id}.md").unlink()
    assert set(differing(tmp_path, wanted)) == {"old.md", "README.md", f"{FINDINGS[0].id}.md"}


def test_there_are_enough_and_every_program_of_the_folder_is_one() -> None:
    assert len(FINDINGS) >= 9
    assert {finding.kind for finding in FINDINGS} == set(Kind)
    files = {f"findings/{path.name}" for path in FOLDER.glob("*.toml")} - {"findings/index.toml"}
    assert files <= {finding.program for finding in FINDINGS}


@pytest.mark.parametrize("finding", OF_MODEL, ids=names(OF_MODEL))
def test_the_model_has_the_results_that_are_told(finding: Known) -> None:
    program = program_at(finding.program)
    facts = with_facts(DRAWN_FOR, finding.facts)
    prediction = predict(program, facts, observe=int(FULL_LOOK))
    assert prediction.skip == ""
    assert shown_results(program, tuple(prediction.results)) == finding.results


def test_what_the_ledger_knows_is_in_it() -> None:
    ids = {entry.id for entry in load_ledger().entries}
    assert {finding.ledger for finding in FINDINGS if finding.ledger} <= ids


def test_this_machines_kernel_shows_what_the_index_says() -> None:
    ledger = load_ledger()
    seen: dict[Seen, int] = {}
    with open_target("host") as target:
        for finding in FINDINGS:
            shown, words = see_again(finding, program_at(finding.program), target, ledger)
            seen[shown] = seen.get(shown, 0) + 1
            expected = finding.expected(target.facts.release)
            # A mistake may have been fixed by an update; what is by design is there or is not.
            if expected is not None and shown is not Seen.SKIPPED and finding.kind is not Kind.BUG:
                assert shown is expected, f"{finding.id}: {words}"
    assert seen.get(Seen.FAILS, 0) >= len(FINDINGS) // 3


def test_what_would_poison_this_machine_is_not_run_here() -> None:
    finding = next(one for one in FINDINGS if one.id == "zero-page-stays-online")
    with open_target("host") as target:
        shown, words = see_again(finding, program_at(finding.program), target, load_ledger())
    assert shown is Seen.SKIPPED
    assert "could poison memory of this machine" in words


def test_other_results_are_not_taken_for_it() -> None:
    finding = next(one for one in FINDINGS if one.id == "mergeable-of-shared-memory")
    other = msgspec.structs.replace(finding, results=("-EINVAL",))
    with open_target("host") as target:
        shown, _ = see_again(other, program_at(finding.program), target, load_ledger())
    assert shown is Seen.PASSES


GOOD = """format = 1
[[finding]]
id = "a"
title = "t"
kind = "bug"
program = "history/empty-vector-advice.toml"
what = "w"
manual = "m"
cause = "c"
reference = "r"
requirements = ["madvise-effect"]
shows = ["6.1"]
results = ["0"]
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "bug"', 'kind = "odd"', "allowed: bug, undocumented"),
        ('"madvise-effect"', '"no-such-rule"', "unknown: no-such-rule"),
        ('shows = ["6.1"]', "shows = []", "must name releases"),
        ('shows = ["6.1"]', 'shows = ["6.1"]\nshows_not = ["6.1"]', "shows_not"),
        ('cause = "c"', 'cause = ""', "is empty"),
        ('shows = ["6.1"]', 'shows = ["6.1"]\nsince = "6.2"\nuntil = "6.1"', "is before since"),
        ('results = ["0"]', 'results = ["0"]\nodd = 1', "not known here"),
    ],
)
def test_a_mistake_in_the_index_is_told_with_its_place(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    assert old in GOOD
    (tmp_path / "index.toml").write_text(GOOD)
    assert len(load_findings(tmp_path)) == 1
    (tmp_path / "index.toml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(IndexFileError, match=message):
        load_findings(tmp_path)


def test_the_command_lists_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["findings"]) == exit_codes.CONFORMANT
    assert all(finding.id in capsys.readouterr().out for finding in FINDINGS[:1])
    assert run(["findings", "--write", str(tmp_path)]) == exit_codes.CONFORMANT
    assert differing(tmp_path, pages(FINDINGS)) == []
