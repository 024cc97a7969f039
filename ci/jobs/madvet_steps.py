"""The steps that jobs are made of: cases, corpus, fuzz, each with what it found."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Final

from ci.cli import exit_codes
from ci.jobs.step import CHECKOUT, MADVET, Bad, Done, run_step
from ci.report.journal import JournalError, read_journal
from ci.report.result_tree import RunResult, State
from conformance.oracle.verdict import BAD_KINDS
from fuzz.findings.finding import Finding
from fuzz.findings.store import FindingsError, Store

CONFORM_SECONDS_MAX: Final = 900
REPLAY_SECONDS_MAX: Final = 600
FUZZ_SECONDS_MORE: Final = 300  # to settle and shrink what was found, and to end
# A finding that shows in k of n runs is missed by all of so many with 1 %.
MISSED: Final = 0.01
TIMES_MAX: Final = 60
FOUND_WITH_ERRORS: Final = "found, and not all judged"
# What `madvet replay` says of a file that diverged: verdict, target, file.
REPLAY_LINE: Final = re.compile(
    rf"({'|'.join(sorted(kind.value for kind in BAD_KINDS))})\s+(\S+)\s+(\S+\.toml)\b"
)


def conform(target: str, out: Path, *pytest_arguments: str) -> Done:
    """The written cases, with all reports that need nothing more."""
    name = f"cases on {target}"
    stem = f"cases-{target.replace(',', '-')}"
    journal = out / f"{stem}.run.jsonl"
    command = [
        *MADVET, "conform", "--target", target, "--run", str(journal),
        *(f"--{kind}={out / f'{stem}.{suffix}'}"
          for kind, suffix in (("ktap", "ktap"), ("junit", "xml"), ("html", "html"))),
        "--", "-q", *pytest_arguments,
    ]  # fmt: skip
    done = run_step(name, command, out / f"{stem}.log", CONFORM_SECONDS_MAX)
    if done.code != exit_codes.FOUND:
        return done
    run = _read(journal)
    if run is None or run.counts()[State.ERROR]:
        # Whatever of it base shows as well: not all of it was judged.
        done = done._replace(code=exit_codes.HARNESS_FAILED, words=FOUND_WITH_ERRORS)
    return done._replace(bad=tuple(failed_cases(name, journal)))


def failed_cases(step: str, journal: Path) -> list[Bad]:
    """What failed in a run of cases; nothing that can be told for one that cannot be read."""
    run = _read(journal)
    cases = run.cases if run is not None else ()
    return [Bad(step, case.target, case.id) for case in cases if case.state is State.FAIL]


def _read(journal: Path) -> RunResult | None:
    try:
        return read_journal(journal)
    except JournalError:
        return None


def replay(target: str, folder: Path, out: Path, what: str = "corpus") -> Done:
    """The programs of a folder, each judged."""
    name = f"{what} on {target}"
    log = out / f"{what.replace(' ', '-')}-{target.replace(',', '-')}.log"
    command = [*MADVET, "replay", "--target", target, str(folder)]
    done = run_step(name, command, log, REPLAY_SECONDS_MAX)
    if done.code != exit_codes.FOUND:
        return done
    found = REPLAY_LINE.findall(log.read_text(encoding="utf-8", errors="replace"))
    bad = [Bad(name, where, file, CHECKOUT / file) for _, where, file in found]
    return done._replace(bad=tuple(bad))


def fuzz(target: str, seconds: float, seed: int, out: Path) -> Done:
    """Random programs for a while. The seed is the whole of the test."""
    name = f"fuzz on {target}"
    folder = out / f"fuzz-{target.replace(',', '-')}"
    command = [
        *MADVET, "fuzz", "--quiet", "--target", target, "--time", f"{seconds:g}",
        "--seed", str(seed), "--out", str(folder), "--json", f"{folder}.json",
    ]  # fmt: skip
    done = run_step(f"{name}, seed {seed}", command, Path(f"{folder}.log"),
                    seconds + FUZZ_SECONDS_MORE)  # fmt: skip
    page = [*MADVET, "report", str(folder), f"--html={folder}.html", f"--junit={folder}.xml"]
    if folder.is_dir():
        run_step(f"report of {name}", page, Path(f"{folder}.report.log"), REPLAY_SECONDS_MAX)
    return done._replace(bad=tuple(_findings(name, folder)))


def function_of(case: str) -> str:
    """The test function of a case, by its id: "walk.a_gap.host" is of test_a_gap()."""
    return f"test_{case.split('.')[1]}"


def _findings(step: str, folder: Path) -> list[Bad]:
    if not folder.is_dir():
        return []
    try:
        with Store(folder) as store:
            stored = list(store.findings())
    except FindingsError:
        return []  # the step itself has failed, too, and says why
    return [
        Bad(step, one.finding.target, one.finding.identity, one.path, times_of(one.finding))
        for one in stored
    ]


def times_of(finding: Finding) -> int:
    """How often a finding is to be run so that it is missed with a probability of MISSED."""
    share = finding.shown / finding.runs
    if share >= 1:
        return finding.runs
    needed = math.log(MISSED) / math.log(1 - share) if share > 0 else TIMES_MAX
    return min(TIMES_MAX, max(finding.runs, math.ceil(needed)))
