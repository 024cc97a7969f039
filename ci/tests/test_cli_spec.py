"""madvet spec, and the tree as it is: nothing is cut off between a requirement and its proof."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ci.cli.main import run
from ci.report.spec_trace import count_sweeps, problems_of_tree, trace_of_tree
from conformance.spec.registry import load


def test_every_requirement_is_decided_proved_and_exercised() -> None:
    trace = trace_of_tree(count_sweeps().programs)
    assert list(map(str, problems_of_tree(trace))) == []
    assert load().keys() == trace.marked.keys()


def test_a_case_that_is_taken_away_is_missed() -> None:
    trace = trace_of_tree(count_sweeps().programs)
    less = trace._replace(marked={i: c for i, c in trace.marked.items() if i != "gap-counted"})
    assert [(p.rule, p.where) for p in problems_of_tree(less)] == [("no-case", "gap-counted")]


def test_the_list_has_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["spec"]) == 0
    out = capsys.readouterr().out
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith("  ")}
    assert lines.keys() == load().keys()
    for ident, row in lines.items():
        assert int(row[1]) >= 1, ident
    assert int(lines["madvise-effect"][2].replace(",", "")) > 100
    assert int(lines["process-survives"][3].replace(",", "")) == 2000
    assert "fuzz: 2,000 programs of seed 1; " in out
    assert f"{len(load())} requirements, {len(load())} with a directed case" in out


def test_without_programs_of_the_fuzzer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["spec", "--programs", "0"]) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if " madvise-effect " in x]
    assert line.split()[3] == "-"


def test_one_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["spec", "madvise-guard-file", "--programs", "300"]) == 0
    out = capsys.readouterr().out
    row = load()["madvise-guard-file"]
    assert " ".join(row.text.split()[:6]) in " ".join(out.split())
    for words in (row.source, "advice_pages.py:", "test_guards.py::test_files_take", "6.13 on",
                  "GUARD_INSTALL/", " of 300 programs of seed 1"):  # fmt: skip
        assert words in out


def test_a_name_that_nothing_has_is_answered_with_near_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["spec", "gap-conted"]) == 2
    assert "near it are: gap-counted" in capsys.readouterr().err


def test_json_has_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "spec.json"
    assert run(["spec", "--json", str(path), "--programs", "200"]) == 0
    value = json.loads(path.read_text())
    assert (value["format"], value["problems"]) == (1, [])
    assert [row["id"] for row in value["requirements"]] == list(load())
    met = {row["id"]: row["fuzz_programs"] for row in value["requirements"]}
    assert met["process-survives"] == 200
    assert "fuzz: 200 programs of seed 1" in capsys.readouterr().out


def test_a_campaign_is_counted_from_its_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fuzz.json"
    fuzz = ["fuzz", "--programs", "256", "--seed", "5", "--workers", "1", "--surface", "madvise",
            "--target", "host", "--quiet", "--json", str(path)]  # fmt: skip
    assert run(fuzz) == 0
    out = tmp_path / "spec.json"
    assert run(["spec", "--campaign", str(path), "--json", str(out)]) == 0
    assert f"fuzz: 256 of the 256 programs of {path}" in capsys.readouterr().out
    met = {r["id"]: r["fuzz_programs"] for r in json.loads(out.read_text())["requirements"]}
    assert met["madvise-effect"] > 0 == met["walk-as-madvise"]


@pytest.mark.parametrize("text", [None, "", "{}", '{"options": 1}', "[]"])
def test_a_file_that_is_no_campaign(
    tmp_path: Path, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.json"
    if text is not None:
        path.write_text(text)
    assert run(["spec", "--campaign", str(path)]) == 2
    assert str(path) in capsys.readouterr().err
