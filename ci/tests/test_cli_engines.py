"""madvet fuzz --engine: what an engine needs, and what is for it alone, is told in one line."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from ci.cli import exit_codes, properties
from ci.cli.main import run
from fuzz.engine.engines import NEEDS, Need

needs_atheris = pytest.mark.skipif(
    find_spec("atheris") is None, reason="atheris is not installed: pip install 'madvet[atheris]'"
)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--database", "x"), "--database is for --engine hypothesis"),
        (("--corpus", "x"), "--corpus is for --engine guided or atheris"),
        (("--property", "x:y"), "--property is for --engine atheris"),
        (("--engine", "magic"), "'magic' is not one of"),
    ],
)
def test_what_is_for_another_engine_is_refused(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fuzz", "--target", "shim", *arguments]) == exit_codes.BAD_INPUT
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("engine", ["atheris", "hypothesis"])
def test_an_engine_that_is_not_installed_says_how_to_get_it(
    engine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(NEEDS, engine, Need("no_such_module_at_all", engine))
    arguments = ["fuzz", "--target", "shim", "--engine", engine, "--programs", "64"]
    assert run(arguments) == exit_codes.HARNESS_FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"is not installed: pip install 'madvet[{engine}]'")


def test_a_database_that_cannot_be_had_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["fuzz", "--target", "shim", "--engine", "hypothesis", "--programs", "64",
                 "--workers", "1", "--quiet", "--database", "redis://127.0.0.1:1/0"]  # fmt: skip
    assert run(arguments) == exit_codes.HARNESS_FAILED
    assert "redis://127.0.0.1:1/0" in capsys.readouterr().err


@needs_atheris
def test_a_property_that_holds_and_one_that_is_none(tmp_path: Path) -> None:
    name = "conformance.tests.test_codec_properties:test_what_is_packed_comes_back"
    corpus = str(tmp_path / "corpus")
    assert properties.run_property(name, None, 4000, corpus, None) == exit_codes.CONFORMANT
    assert any(Path(corpus).iterdir())
    assert properties.run_property("json:loads", 9.0, None, "", None) == exit_codes.BAD_INPUT
