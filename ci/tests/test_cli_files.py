"""replay, show, shrink, conform, doctor and mutants as people call them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ci.cli import exit_codes
from ci.cli.main import run
from ci.cli.opening import CANARY_ONE_IN
from ci.cli.replay import FILES_SHOWN
from ci.tests.test_cli_fuzz import ROOT, madvet, members
from conformance.program.text import FindingTable, dumps, loads
from fuzz.generate.programs import ProgramSource
from fuzz.mutants.canary import sings

GOOD = """# a page given back
format = 1

[[mapping]]
kind = "anon"
at = 0
pages = 2
touch = ["w 0..1"]

[[step]]
call = "madvise"
start = "arena"
length = "1p"
advice = "DONTNEED"
"""

HOSTILE = {
    "empty": b"",
    "not-utf8": GOOD.encode() + b"\xff\xfe",
    "truncated": GOOD.encode()[: len(GOOD) // 2 + 7],
    "huge": b"# " + b"x" * (2 << 20),
    "wrong-type": GOOD.replace("pages = 2", 'pages = "two"').encode(),
    "unknown-key": GOOD.replace("pages = 2", "pages = 2\nsize = 3").encode(),
    "no-toml": b"\0\1\2 [[[",
    "future": GOOD.replace("format = 1", "format = 2").encode(),
}


def write(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / f"{name}.toml"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_file_is_exit_code_2_and_named(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, name, HOSTILE[name])
    for arguments in (["replay", "--target", "host", str(path)], ["show", str(path)]):
        assert run(arguments) == exit_codes.BAD_INPUT
        error = capsys.readouterr().err
        assert path.name in error
        assert "Traceback" not in error


def test_a_bad_file_does_not_hide_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "bad", b"")
    write(tmp_path, "good", GOOD)
    assert run(["replay", "--target", "host", str(tmp_path)]) == exit_codes.BAD_INPUT
    told = capsys.readouterr()
    assert "1 programs on host: 1 conformant" in told.out
    assert "1 files could not be read" in told.err


def test_what_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", str(tmp_path / "none")]) == exit_codes.BAD_INPUT
    assert "no such file" in capsys.readouterr().err
    assert run(["replay", str(tmp_path)]) == exit_codes.BAD_INPUT
    assert "no program files" in capsys.readouterr().err


def test_the_corpus_is_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", str(ROOT / "corpus")]) == exit_codes.CONFORMANT
    out = capsys.readouterr().out
    assert re.search(r"\d+ programs on host, shim: .*\d+ conformant", out)
    assert "ledger files are well-formed" in out


def test_what_is_for_guests_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "guest").mkdir()
    write(tmp_path / "guest", "reclaim", GOOD + '\n[[step]]\ncall = "reclaim"\n')
    write(tmp_path, "good", GOOD)
    assert run(["replay", "--target", "host", str(tmp_path)]) == exit_codes.CONFORMANT
    out = capsys.readouterr().out
    assert "1 programs on host: 1 conformant" in out
    assert "1 programs were left out: only guests" in out


def test_a_ledger_file_that_is_none_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "ledger"
    folder.mkdir()
    write(folder, "known", "format = 1\n[[known]]\nid = 'x'\n")
    assert run(["replay", str(tmp_path)]) == exit_codes.BAD_INPUT
    assert "known.toml" in capsys.readouterr().err


def test_few_files_are_all_named_and_many_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "only", GOOD)
    assert run(["replay", "--target", "host", str(tmp_path)]) == exit_codes.CONFORMANT
    assert "only.toml" in capsys.readouterr().out
    for i in range(FILES_SHOWN):
        write(tmp_path, f"more-{i}", GOOD)
    assert run(["replay", "--target", "host", str(tmp_path)]) == exit_codes.CONFORMANT
    assert "only.toml" not in capsys.readouterr().out
    assert run(["replay", "--target", "host", "--all", str(tmp_path)]) == exit_codes.CONFORMANT
    assert "only.toml" in capsys.readouterr().out


def test_times_runs_each_alone_so_often(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "good", GOOD)
    assert run(["replay", "--target", "host", "--times", "7", str(path)]) == exit_codes.CONFORMANT
    assert "diverged 0/7" in capsys.readouterr().out


def test_a_reproducer_that_shows_nothing_says_what_was_expected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = loads(GOOD.encode(), "x").program
    text = dumps(program, "", FindingTable(title="the page stayed", identity="a/b/c/d/e"))
    path = write(tmp_path, "fixed", text)
    assert run(["replay", "--target", "host", str(path)]) == exit_codes.CONFORMANT
    out = capsys.readouterr().out
    assert "reproduced 0/5" in out
    assert "the page stayed" in out


def test_only_what_cannot_run_is_exit_code_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """hugetlb pages that no machine has free."""
    text = GOOD.replace('kind = "anon"', 'kind = "hugetlb"').replace("pages = 2", "pages = 2048")
    text = text.replace('touch = ["w 0..1"]\n', "")
    path = write(tmp_path, "huge", text)
    code = run(["replay", "--target", "host", str(path)])
    assert code == exit_codes.NOTHING_RAN, capsys.readouterr()


def test_a_thousand_random_files_are_replayed(tmp_path: Path) -> None:
    source = ProgramSource(11)
    for i in range(1000):
        write(tmp_path, f"{i:04}", dumps(source.program(i)))
    done = madvet("replay", "--target", "host", str(tmp_path))
    assert done.returncode == exit_codes.CONFORMANT, done.stdout[-2000:] + done.stderr
    assert "1000 programs on host:" in done.stdout


def test_show_draws_and_judges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "good", GOOD)
    assert run(["show", "--target", "host", str(path)]) == exit_codes.CONFORMANT
    out = capsys.readouterr().out
    for words in ("a page given back", "layout", "step 1", "DONTNEED", "conformant"):
        assert words in out
    assert run(["show", "--no-run", "--ascii", str(path)]) == exit_codes.CONFORMANT
    assert capsys.readouterr().out.isascii()


def test_shrink_keeps_what_diverges_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The canary's lie about the first call is kept; the steps after it go."""
    programs = map(ProgramSource(1).program, range(100_000))
    before = next(p for p in programs if len(p.steps) > 2 and sings(p.steps[0], CANARY_ONE_IN))
    path = write(tmp_path, "program", dumps(before))
    out = tmp_path / "small.toml"
    code = run(["shrink", "--target", "shim", "--canary", "--out", str(out), str(path)])
    assert code == exit_codes.FOUND
    small = loads(out.read_bytes(), "x").program
    assert len(small.steps) == 1
    assert len(small.layout) <= len(before.layout)
    assert "5/5" in capsys.readouterr().err


def test_shrink_of_what_does_not_diverge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "good", GOOD)
    assert run(["shrink", "--target", "host", str(path)]) == exit_codes.CONFORMANT
    assert "nothing to shrink" in capsys.readouterr().out


def test_doctor_says_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == exit_codes.CONFORMANT
    out = capsys.readouterr().out
    assert "Programs can run here" in out
    assert "C compiler" in out


def test_doctor_without_a_compiler_says_so() -> None:
    done = madvet("doctor", env={"CC": "/nonexistent-compiler"})
    assert done.returncode == exit_codes.HARNESS_FAILED
    assert "/nonexistent-compiler" in done.stdout
    assert "Traceback" not in done.stderr


def test_the_cases_pass_and_a_requirement_can_be_chosen() -> None:
    done = madvet("conform", "--target", "host,shim", "--requirement", "gap-")
    assert done.returncode == exit_codes.CONFORMANT, done.stdout[-3000:]
    assert "passed" in done.stdout
    assert "deselected" in done.stdout
    none = madvet("conform", "--requirement", "no-such-rule")
    assert none.returncode == exit_codes.NOTHING_RAN


def test_cases_on_a_target_that_cannot_run_are_no_divergence() -> None:
    done = madvet("conform", "--target", "host", env={"CC": "/nonexistent-compiler"})
    assert done.returncode == exit_codes.HARNESS_FAILED, done.stdout[-3000:]


def test_mutants_are_killed_and_scored(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    done = madvet("mutants", "shim/version_ignored", "model/gap_is_enomem", "--json", str(path))
    assert done.returncode == exit_codes.CONFORMANT, done.stdout + done.stderr
    assert "2 of 2 mutants killed" in done.stdout
    value = json.loads(path.read_text())
    assert set(value) == members("mutants --json", "## `madvet mutants --json FILE`")
    assert {frozenset(mutant) for mutant in value["mutants"]} == {
        frozenset(members("mutant", "A mutant:"))
    }


def test_a_survivor_is_exit_code_1() -> None:
    done = madvet("mutants", "model/remove_takes_copies", "--time", "0.01", "--seed", "3")
    assert done.returncode == exit_codes.FOUND, done.stdout + done.stderr
    assert "SURVIVED model/remove_takes_copies" in done.stdout


def test_mutants_are_listed_and_unknown_ones_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["mutants", "--list"]) == exit_codes.CONFORMANT
    assert "shim/gap_counted_twice" in capsys.readouterr().out
    assert run(["mutants", "no_such_fault"]) == exit_codes.BAD_INPUT
    assert "--list" in capsys.readouterr().err


def test_the_demonstration_ends_well() -> None:
    done = madvet("mutants", "--demo")
    assert done.returncode == exit_codes.CONFORMANT, done.stdout + done.stderr
    assert "reproduced 5/5 with the fault, 0/5 without it" in done.stdout
