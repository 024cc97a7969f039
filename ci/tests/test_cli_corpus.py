"""madvet corpus: few programs that reach all, and a folder that only grows by what is new."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from ci.cli import exit_codes
from ci.cli.main import cli
from conformance.program.text import dumps
from fuzz.generate.programs import ProgramSource


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["corpus", *arguments], standalone_mode=False)
    return (done.return_value if done.exception is None else -1), done.output + repr(done.exception)


def folder(path: Path, first: int, count: int) -> Path:
    path.mkdir()
    for number in range(first, first + count):
        program = ProgramSource(3).program(number)
        (path / f"p{number}.toml").write_text(dumps(program), encoding="utf-8")
    return path


def test_few_programs_do_and_a_merge_adds_what_is_new(tmp_path: Path) -> None:
    many = folder(tmp_path / "many", 0, 60)
    few = tmp_path / "few"
    code, words = run("minimise", str(many), "--target", "host", "--out", str(few))
    assert code == exit_codes.CONFORMANT, words
    files = list(few.glob("*.toml"))
    assert 5 < len(files) < 60
    code, words = run("merge", str(many), "--target", "host", "--out", str(few))
    assert code == exit_codes.CONFORMANT, words
    assert "0 of 60 programs were added" in words
    more = folder(tmp_path / "more", 100, 40)
    code, words = run("merge", str(more), "--target", "host", "--out", str(few))
    assert len(list(few.glob("*.toml"))) > len(files)
    code, words = run("stat", str(few), "--target", "host")
    assert code == exit_codes.CONFORMANT, words
    assert "marks" in words


def test_bad_use_is_told(tmp_path: Path) -> None:
    many = folder(tmp_path / "many", 0, 2)
    code, words = run("minimise", str(many), "--target", "host", "--out", str(many))
    assert code == -1
    assert "madvet corpus merge" in words
    code, words = run("stat", str(many), "--target", "host,shim")
    assert "one target" in words
    code, words = run("stat", str(tmp_path / "none"), "--target", "host")
    assert "no such file" in words
