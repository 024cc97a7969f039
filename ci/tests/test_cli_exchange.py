"""madvet import, export, reproducer, mail: what goes to others, and comes from them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from ci.cli import exit_codes
from ci.cli.main import run

ROOT = Path(__file__).resolve().parents[2]
TEN = (ROOT / "fuzz/tests/ten_programs.syz").read_text(encoding="ascii")
SEED = ROOT / "corpus/seeds/dontneed-private-anonymous.toml"
ILP32 = ROOT / "corpus/seeds/compat-process-madvise.toml"


def test_import_and_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "ten.syz"
    source.write_text(TEN, encoding="ascii")
    assert run(["import", "--syz", str(source)]) == exit_codes.BAD_INPUT
    assert "10 programs; --out names a folder" in capsys.readouterr().err
    out = tmp_path / "out"
    assert run(["import", "--syz", str(source), "--out", str(out)]) == exit_codes.CONFORMANT
    files = capsys.readouterr().out.split()
    assert [Path(name).name for name in files] == [f"ten-{n:02}.toml" for n in range(1, 11)]
    for given in (files, [str(out)]):
        assert run(["export", "--syz", *given]) == exit_codes.CONFORMANT
        assert capsys.readouterr().out == TEN


def test_what_is_not_supported_is_told_or_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "x.syz"
    source.write_text("socket(0x1)\nmadvise(0x0, 0x0, 0x4)\n", encoding="ascii")
    assert run(["import", "--syz", str(source)]) == exit_codes.BAD_INPUT
    assert "line 1: socket: not supported" in capsys.readouterr().err
    words = ["import", "--syz", str(source), "--skip-unsupported"]
    assert run(words) == exit_codes.CONFORMANT
    shown = capsys.readouterr()
    assert "left out: line 1: socket" in shown.err
    assert "# Left out: line 1: socket" in shown.out
    assert run(["export", "--syz", str(ILP32)]) == exit_codes.BAD_INPUT
    assert "32-bit processes" in capsys.readouterr().err
    source.write_bytes(b"\xff\xfe")
    assert run(["import", "--syz", str(source)]) == exit_codes.BAD_INPUT
    assert "is no text" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_a_reproducer_is_written_and_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.c"
    assert run(["reproducer", str(SEED), "-o", str(out), "--run"]) == exit_codes.CONFORMANT
    assert capsys.readouterr().out == "host: as expected\n"
    assert run(["reproducer", str(SEED)]) == exit_codes.CONFORMANT
    assert capsys.readouterr().out == out.read_text(encoding="ascii")
    assert run(["reproducer", str(ILP32)]) == exit_codes.BAD_INPUT
    assert "cannot be written in C" in capsys.readouterr().err
    assert run(["reproducer", str(SEED), "--target", "host,shim"]) == exit_codes.BAD_INPUT


FINDING = """
[finding]
title = "step 1 madvise: page 1: kernel kept; model zeros (madvise-dontneed-content)"
verdict = "divergence"
requirement = "madvise-dontneed-content"
expected = "zeros"
observed = "present, what the layout wrote to page 1"
stability = "5 of 5 runs"
found_on = "6.18.44, target host"
"""


def test_a_mail_says_what_where_expected_by_whom_and_how_to_see_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "finding.toml"
    path.write_text(SEED.read_text(encoding="utf-8") + FINDING, encoding="utf-8")
    assert run(["mail", str(path), "--target", "host,shim:mutant=3"]) == exit_codes.CONFORMANT
    text = capsys.readouterr().out
    head, _, code = text.partition("// SPDX")
    assert re.search(r"^Subject: \[madvet\] divergence: .*\n\n", text)
    assert "madvise-dontneed-content" in head
    assert "zeros" in head
    assert "  step 1  madvise(arena+1p, 2p, DONTNEED)" in head
    assert re.search(r"^  host +Linux \S+ +as expected$", head, re.MULTILINE)
    assert "#include <sys/mman.h>" in code
    assert max(map(len, head.splitlines())) <= 72
    assert head.isascii()


def test_a_mail_of_what_is_no_finding_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["mail", str(SEED)]) == exit_codes.BAD_INPUT
    assert "no table [finding]" in capsys.readouterr().err
