"""madvet gate as people call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ci.cli import exit_codes
from ci.cli.gate import report_json
from ci.cli.main import run
from ci.gate.state import load_state
from ci.tests.test_cli_fuzz import madvet
from fuzz.mutants.shim_mutants import read_shim_mutants

PAGE = "docs/json.md"
FAULT = next(row.target for row in read_shim_mutants() if row.name == "gap_counted_twice")
SECTION = "madvet gate --json FILE"


def test_a_planted_fault_is_a_regression_in_words_json_and_a_file(tmp_path: Path) -> None:
    done = madvet(
        "gate", "--base", "shim", "--head", FAULT, "--programs", "256", "--budget", "60",
        "--folder", "g", "--json", "g.json", "--quiet", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == exit_codes.FOUND, done.stdout + done.stderr
    report = json.loads((tmp_path / "g.json").read_bytes())
    assert report["fails"]
    for key in report["fails"]:
        group = report["gate"]["groups"][key]
        settled = group["settled"]
        assert settled["shown"] == settled["runs"]
        assert settled["mappings"] <= 3
        assert settled["steps"] <= 2
        assert f"REGRESSION: {key.removeprefix('regression ')}" in done.stdout
        assert settled["compared"]["requirement"] in done.stdout
        path = tmp_path / "g" / settled["file"]
        assert run(["replay", "--target", FAULT, str(path)]) == exit_codes.FOUND
        assert run(["replay", "--target", "shim", str(path)]) == exit_codes.CONFORMANT


def test_the_document_of_the_json_names_its_members(tmp_path: Path) -> None:
    arguments = ["gate", "--base", "host", "--head", "host", "--programs", "0", "--budget", "2"]
    assert run([*arguments, "--folder", str(tmp_path), "--quiet"]) == exit_codes.CONFORMANT
    state = load_state(tmp_path)
    assert state is not None
    report = report_json(state)
    text = Path(__file__).parents[2].joinpath(PAGE).read_text(encoding="utf-8")
    section = text.split(SECTION, 1)[1]
    for name in (*report, *report["gate"], *report["gate"]["options"]):
        assert f"`{name}`" in section, name


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--base", "host"], exit_codes.BAD_INPUT, "--head"),
        (["--base", "host,shim", "--head", "host"], exit_codes.BAD_INPUT, "one target"),
        (["--base", "hose", "--head", "host"], exit_codes.BAD_INPUT, "there is no target"),
        (
            ["--base", "host", "--head", "kernel:/no/such/image"],
            exit_codes.HARNESS_FAILED,
            "--head kernel:/no/such/image",
        ),
        (  # taken for user mode Linux: it ends at once
            ["--base", "host", "--head", "kernel:/bin/true"],
            exit_codes.HARNESS_FAILED,
            "--head kernel:/bin/true: the guest /bin/true did not boot",
        ),
    ],
)
def test_what_cannot_be_used_is_told(
    arguments: list[str], code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["gate", *arguments, "--folder", str(tmp_path)]) == code
    told = capsys.readouterr()
    assert words in told.err
    assert "Traceback" not in told.err


def test_reports_are_those_of_every_command(tmp_path: Path) -> None:
    paths = {name: tmp_path / f"r.{name}" for name in ("ktap", "junit", "html")}
    options = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    arguments = ["gate", "--base", "shim", "--head", FAULT, "--programs", "64", "--budget", "30"]
    folder = tmp_path / "g"
    assert run([*arguments, "--folder", str(folder), "--quiet", *options]) == exit_codes.FOUND
    said = paths["ktap"].read_text(encoding="utf-8")
    assert "ok 1 gate.programs" in said
    assert "not ok 2 gate.regression_" in said
    assert "<failure" in paths["junit"].read_text(encoding="utf-8")
    assert "gate.regression_" in paths["html"].read_text(encoding="utf-8")
    later = tmp_path / "later.ktap"
    assert run(["report", str(folder), "--ktap", str(later)]) == exit_codes.FOUND
    assert later.read_text(encoding="utf-8").count("not ok") == said.count("not ok")


def test_a_report_that_cannot_be_written_is_told_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ktap", "json"):
        option = [f"--{name}", str(tmp_path / "no" / "file")]
        arguments = ["gate", "--base", "host", "--head", "host", "--folder", str(tmp_path / "g")]
        assert run([*arguments, *option]) == exit_codes.HARNESS_FAILED
        assert "no/file" in capsys.readouterr().err
    assert not (tmp_path / "g").exists()


def test_another_gate_is_not_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["gate", "--base", "host", "--head", "host", "--budget", "1", "--quiet"]
    arguments += ["--folder", str(tmp_path), "--programs", "64"]
    assert run(arguments) in (exit_codes.CONFORMANT, exit_codes.NOTHING_RAN)
    capsys.readouterr()
    assert run([*arguments, "--resume", "--seed", "2"]) == exit_codes.BAD_INPUT
    assert "seed 1, now 2" in capsys.readouterr().err
    first = load_state(tmp_path)
    assert run([*arguments, "--resume"]) == exit_codes.CONFORMANT
    second = load_state(tmp_path)
    assert first is not None
    assert second is not None
    assert second.next >= first.next
