"""The command as a whole: help at once, errors without tracebacks, packages from one root."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from ci.cli import exit_codes, main, origin
from ci.cli.main import COMMANDS, cli, failure, run
from conformance.target.target import TargetError, TargetNameError

ROOT = Path(__file__).resolve().parents[2]


def test_help_does_not_import_what_it_does_not_need() -> None:
    """What makes --help answer within 0.2 s; the time itself is measured by the bench."""
    code = (
        "import sys; from ci.cli.main import run; run(['--help']); "
        "slow = {'rich', 'msgspec', 'conformance.model', 'pytest'}; "
        "sys.exit(len(slow & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for name in COMMANDS:
        assert name in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = import_module(COMMANDS[name].module).command
    assert isinstance(command, click.Command)
    assert run([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"madvet {name}" in out


def test_no_command_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == exit_codes.BAD_INPUT
    assert "Commands:" in "".join(capsys.readouterr())


def test_an_unknown_command_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fly"]) == exit_codes.BAD_INPUT
    assert "fly" in capsys.readouterr().err


def test_the_exit_codes_are_in_the_help() -> None:
    for code in range(5):
        assert f"{code} " in str(cli.epilog)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (TargetNameError("no target 'x'"), exit_codes.BAD_INPUT, "no target 'x'"),
        (TargetError("no compiler"), exit_codes.HARNESS_FAILED, "no compiler"),
        (OSError(28, "No space left on device"), exit_codes.HARNESS_FAILED, "No space left"),
        (ValueError("odd"), exit_codes.HARNESS_FAILED, "internal error: ValueError: odd"),
    ],
)
def test_failures_have_words_and_codes(
    error: Exception, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failure(error) == code
    told = capsys.readouterr().err
    assert words in told
    assert "Traceback" not in told


def test_a_traceback_can_be_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(main.TRACEBACK_SWITCH, "1")
    with pytest.raises(ValueError, match="odd") as raised:
        raise ValueError("odd")
    assert failure(raised.value) == exit_codes.HARNESS_FAILED
    assert "Traceback" in capsys.readouterr().err


def test_packages_from_one_root_are_fine() -> None:
    assert origin.foreign_packages() == ""


def test_a_package_from_elsewhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fuzz").mkdir()
    (tmp_path / "fuzz" / "__init__.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['madvet', '--help']; "
         f"sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; "
         "from ci.cli.main import main; main()"],
        env={**os.environ, "PYTHONPATH": ""}, cwd="/", timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == exit_codes.HARNESS_FAILED
    assert f"'fuzz' comes from {tmp_path / 'fuzz'}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_distribution_that_shadows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: {"ci": ["rival"]})
    assert "rival" in origin._owner("ci")
    assert "PYTHONPATH" in origin._owner("fuzz")


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    done = subprocess.run(
        f"{sys.executable} -m ci.cli.main mutants --list | head -1",
        shell=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.startswith("shim/")
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
