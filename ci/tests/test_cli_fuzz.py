"""madvet fuzz as people call it: what it prints, writes and exits with."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ci.cli import exit_codes
from ci.cli.fuzz import again
from ci.cli.main import cli, run
from ci.cli.summary import exit_code
from conformance.oracle.verdict import Verdict, VerdictKind
from conformance.program.program import Program
from fuzz.engine.budget import CampaignOptions
from fuzz.engine.loop import CampaignResult, Ending
from fuzz.engine.schedule import Account, Lease
from fuzz.engine.statistics import Tally
from fuzz.findings.finding import Finding

ROOT = Path(__file__).resolve().parents[2]
MADVET = [sys.executable, "-m", "ci.cli.main"]


def madvet(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more.pop("env", {})}
    return subprocess.run(
        [*MADVET, *arguments], text=True, capture_output=True, timeout=300, env=environment, **more
    )


def members(page: str, title: str) -> set[str]:
    """The members that a table of docs/json.md names, in the section that starts with `title`."""
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    section = text.split(title, 1)[1].split("\n\n", 2)[1]
    assert page in text
    return {
        name
        for row in re.findall(r"^\| (`[^|]*`) \|", section, re.MULTILINE)
        for name in re.findall(r"`([a-z_]+)`", row)
    }


def test_a_clean_run_says_so_in_words_and_json(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    done = madvet(
        "fuzz", "--target", "host,shim", "--programs", "1000", "--seed", "5", "--json", str(path),
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == exit_codes.CONFORMANT, done.stdout + done.stderr
    assert "1,000 programs" in done.stdout
    assert "all programs were run" in done.stdout
    assert "unspecified:" in done.stdout
    assert "seed 5" in done.stderr
    assert list(tmp_path.iterdir()) == [path]
    value = json.loads(path.read_text())
    assert set(value) == members("fuzz --json", "## `madvet fuzz --json FILE`")
    assert set(value["account"]) == members("account", "`account`: what became")
    assert set(value["total"]) == members("tally", "A tally:")
    assert value["account"]["done"] == 1000
    assert value["targets"]["host"]["facts"]["ranges_call"] == "absent"
    assert value["exit_code"] == 0


def test_the_canary_is_found_with_files_and_exit_code_1(tmp_path: Path) -> None:
    out, path = tmp_path / "out", tmp_path / "f.json"
    done = madvet(
        "fuzz", "--target", "shim", "--programs", "4000", "--seed", "1", "--canary",
        "--out", str(out), "--json", str(path),
    )  # fmt: skip
    assert done.returncode == exit_codes.FOUND, done.stdout + done.stderr
    value = json.loads(path.read_text())
    assert value["findings"]
    for found in value["findings"]:
        assert set(found) == members("finding", "A finding:")
        assert Path(found["file"]).is_file()
        assert found["title"] in done.stdout
        assert found["times"] >= 1
    files = sorted(str(file) for file in (out / "findings").glob("*.toml"))
    again = madvet("replay", "--target", "shim", "--canary", *files)
    assert again.returncode == exit_codes.FOUND
    assert again.stdout.count("reproduced 5/5") == len(files)
    honest = madvet("replay", "--target", "shim", *files)
    assert honest.returncode == exit_codes.CONFORMANT
    assert honest.stdout.count("reproduced 0/5") == len(files)


def test_two_campaigns_in_one_folder(tmp_path: Path) -> None:
    both = [
        subprocess.Popen(
            [*MADVET, "fuzz", "--target", "shim", "--programs", "6000", "--seed", seed,
             "--canary", "--no-shrink", "--out", str(tmp_path), "--workers", "1", "--quiet"],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for seed in ("1", "2")
    ]  # fmt: skip
    told = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [exit_codes.FOUND] * 2
    named = {name for text in told for name in re.findall(r"(\S+\.toml)$", text, re.MULTILINE)}
    assert len(named) >= 2
    assert {str(path) for path in (tmp_path / "findings").glob("*.toml")} == named
    replayed = madvet("replay", "--target", "shim", "--canary", str(tmp_path))
    assert replayed.returncode == exit_codes.FOUND
    assert "reproduced 0" not in replayed.stdout


def test_out_that_cannot_be_used_is_told_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    done = madvet("fuzz", "--programs", "100", "--out", str(file / "below"))
    assert done.returncode == exit_codes.HARNESS_FAILED
    assert str(file) in done.stderr
    assert "programs" not in done.stdout
    done = madvet("fuzz", "--programs", "100", "--json", str(tmp_path / "none" / "f.json"))
    assert done.returncode == exit_codes.HARNESS_FAILED
    assert "--json" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not there")
def test_a_full_disk_is_told_and_the_finding_printed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    script = (
        f"mount -t tmpfs -o size=128k none {out} || exit 77; "
        f"head -c 20000 /dev/zero > {out}/filler; "
        f"exec {' '.join(MADVET)} fuzz --target shim --programs 100000 --seed 1 --canary "
        f"--out {out} --quiet"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        text=True, capture_output=True, timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode != 77, done.stderr
    assert "could not be kept in a file" in done.stderr
    assert "make room there" in done.stderr
    assert "[finding]" in done.stdout
    assert done.returncode in (exit_codes.FOUND, exit_codes.HARNESS_FAILED)


def started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*MADVET, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_ctrl_c_finishes_writes_and_prints(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    process = started("fuzz", "--target", "shim", "--json", str(path), "--seed", "3")
    time.sleep(3.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == exit_codes.CONFORMANT, out + err
    assert "it was interrupted" in out
    assert json.loads(path.read_text())["ending"] == "interrupted"
    assert "Traceback" not in err


def test_ctrl_c_twice_leaves_at_once(tmp_path: Path) -> None:
    process = started("fuzz", "--target", "shim", "--workers", "1")
    time.sleep(2.0)
    process.send_signal(signal.SIGINT)
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - start < 10
    # The first may have been enough, if the batch was done that soon.
    assert process.returncode in (exit_codes.HARNESS_FAILED, exit_codes.CONFORMANT)
    assert "interrupted" in out + err
    assert "Traceback" not in err


def children(pid: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    own = [int(word) for word in path.read_text().split()] if path.exists() else []
    return own + [below for child in own for below in children(child)]


def test_a_campaign_that_is_killed_leaves_no_process_behind() -> None:
    process = started("fuzz", "--target", "shim", "--workers", "2")
    time.sleep(3.0)
    below = children(process.pid)
    assert len(below) >= 4, "two workers with an executor each"
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in below) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [pid for pid in below if Path(f"/proc/{pid}").exists()] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "moon"], "host, shim"),
        (["--surface", "mmap"], "madvise_ranges"),
        (["--advice", "DONTNED"], "DONTNEED"),
        (["--time", "soon"], "90s"),
        (["--time", "0"], "90s"),
        (["--programs", "0"], "from 1"),
        (["--programs", "many"], "no whole number"),
        (["--seed", "-1"], "no whole number"),
        (["--workers", "999"], "from 1 to 256"),
        (["--fail-on", "everything"], "divergence"),
        (["surplus"], "unexpected extra argument"),
    ],
)
def test_bad_usage_is_exit_code_2_and_says_what_is_allowed(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fuzz", *arguments]) == exit_codes.BAD_INPUT
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_times_are_read_with_units() -> None:
    runner = CliRunner()
    told = runner.invoke(cli, ["fuzz", "--time", "1x"])
    assert told.exit_code == exit_codes.BAD_INPUT
    assert "8h" in told.output


OPTIONS = CampaignOptions(targets=("host",), seed=9, workers=2, programs=100)


def result(**more: Any) -> CampaignResult:
    usual: dict[str, Any] = {
        "ending": Ending.BUDGET,
        "failure": "",
        "facts": {},
        "tallies": {"host": Tally(programs=100, verdicts={"conformant": 100})},
        "account": Account(100, (), 0),
        "findings": {},
        "seconds": 1.0,
        "deaths": 0,
        "reached": {},
    }
    return CampaignResult(**{**usual, **more})


def tally(**verdicts: int) -> dict[str, Tally]:
    named = {name.replace("_", "-"): count for name, count in verdicts.items()}
    return {"host": Tally(programs=sum(named.values()), verdicts=named)}


FOUND = Finding("a/b/c/d/e", Verdict(VerdictKind.DIVERGENCE), Program((), ()), 5, 5, "host", "6")
ALL_BAD = ("divergence", "crash", "hang", "abi-mishandling", "leak")


@pytest.mark.parametrize(
    ("outcome", "fail_on", "code"),
    [
        (result(), ALL_BAD, exit_codes.CONFORMANT),
        (result(tallies=tally(conformant=9, known=1)), ALL_BAD, exit_codes.CONFORMANT),
        (result(findings={"x": FOUND}), ALL_BAD, exit_codes.FOUND),
        (result(findings={"x": FOUND}), ("crash",), exit_codes.CONFORMANT),
        (result(findings={"x": FOUND}, failure="disk"), ALL_BAD, exit_codes.FOUND),
        (result(failure="disk"), ALL_BAD, exit_codes.HARNESS_FAILED),
        (result(tallies=tally(conformant=9, harness_error=1)), ALL_BAD, exit_codes.HARNESS_FAILED),
        (result(account=Account(90, (Lease(0, 10),), 0)), ALL_BAD, exit_codes.HARNESS_FAILED),
        (result(tallies=tally(skipped=10)), ALL_BAD, exit_codes.NOTHING_RAN),
        (result(tallies=tally()), ALL_BAD, exit_codes.NOTHING_RAN),
        (result(tallies=tally(conformant=9, not_reproduced=1)), ALL_BAD, exit_codes.CONFORMANT),
        (
            result(tallies=tally(conformant=9, not_reproduced=1)),
            ("not-reproduced",),
            exit_codes.FOUND,
        ),
    ],
)
def test_exit_codes_follow_from_what_happened(
    outcome: CampaignResult, fail_on: tuple[str, ...], code: int
) -> None:
    assert exit_code(outcome, fail_on) == code


def test_the_command_to_run_it_again_names_what_decides() -> None:
    words = again(OPTIONS)
    assert words == "madvet fuzz --target host --seed 9 --programs 100"
    fuller = CampaignOptions(
        targets=("shim", "host"), seed=1, workers=1, surfaces=("madvise",), advices=(4, 20),
        seconds=90.0, canary=5, wrapper="x:y", append="mem=1G quiet",
    )  # fmt: skip
    assert again(fuller) == (
        "madvet fuzz --target shim,host --seed 1 --append 'mem=1G quiet' --surface madvise "
        "--advice DONTNEED,COLD --time 90 --canary"
    )


def test_a_page_of_coverage_needs_a_kernel_that_can_tell(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = madvet(
        "fuzz", "--target", "host", "--programs", "64", "--coverage", str(page), cwd=tmp_path
    )
    if page.exists():
        pytest.skip("this machine's own kernel has KCOV")
    assert done.returncode == exit_codes.HARNESS_FAILED, done.stdout + done.stderr
    assert "madvet kernels build uml" in done.stderr
    nowhere = madvet("fuzz", "--coverage", "no/such/page.html", cwd=tmp_path)
    assert nowhere.returncode == exit_codes.HARNESS_FAILED
    assert "there is no folder" in nowhere.stderr


def test_a_guided_campaign_without_kcov_says_what_it_goes_by(tmp_path: Path) -> None:
    done = madvet(
        "fuzz", "--target", "host", "--programs", "128", "--engine", "guided", cwd=tmp_path
    )
    assert done.returncode == exit_codes.CONFORMANT, done.stdout + done.stderr
    assert "marks of the model" in done.stdout
    assert "madvet kernels build uml" in done.stdout or "edges of the kernel" in done.stdout


def test_a_corpus_is_for_engines_that_keep_one(tmp_path: Path) -> None:
    done = madvet("fuzz", "--corpus", str(tmp_path), "--programs", "64", cwd=tmp_path)
    assert done.returncode == exit_codes.BAD_INPUT
    assert "--engine guided" in done.stderr


def test_races_say_by_what_they_were_judged(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    done = madvet(
        "fuzz", "--target", "host,shim", "--races", "--programs", "1280", "--seed", "5", "--json",
        str(path), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == exit_codes.CONFORMANT, done.stdout + done.stderr
    assert "--races" in done.stderr  # the command to run it again
    value = json.loads(path.read_text())["total"]
    assert set(value["races"]) == {"order", "invariants"}
    assert sum(value["races"].values()) == value["programs"] == 1280
    assert f"races: {value['races']['order']:,} explained by an order" in done.stdout


def test_races_are_for_the_engine_that_draws_them(tmp_path: Path) -> None:
    done = madvet("fuzz", "--races", "--engine", "guided", "--programs", "64", cwd=tmp_path)
    assert done.returncode == exit_codes.BAD_INPUT
    assert "--races is for --engine random" in done.stderr
