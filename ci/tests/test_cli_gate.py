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

PAGE = "docs/json.md"
SECTION = "madvet gate --json FILE"


def test_a_planted_fault_is_a_regression_in_words_json_and_a_file(tmp_path: Path) -> None:
    done = madvet(
        "gate", "--base", "shim", "--head", "shim:mutant=9", "--programs", "256", "--budget", "60",
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
        assert f"REGRESSION: {group['first']['identity']}" in done.stdout
        assert settled["compared"]["requirement"] in done.stdout
        path = tmp_path / "g" / settled["file"]
        assert run(["replay", "--target", "shim:mutant=9", str(path)]) == exit_codes.FOUND
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
    ],
)
def test_what_cannot_be_used_is_told(
    arguments: list[str], code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["gate", *arguments, "--folder", str(tmp_path)]) == code
    told = capsys.readouterr()
    assert words in told.err
    assert "Traceback" not in told.err


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
