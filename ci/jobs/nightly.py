"""Every night: hours. Everything on every target that boots; what was found joins the corpus."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ci.jobs.ending import conclude
from ci.jobs.guests import FLAVOURS, ready
from ci.jobs.madvet_steps import conform, fuzz, replay
from ci.jobs.step import CHECKOUT, MADVET, Done, run_step

HERE: Final = "host,shim"
FOUND: Final = "found"  # in the merged corpus: what nights have found
MUTANTS: Final = ("gap_counted_twice", "stats_not_written", "version_ignored")
MUTANTS_SECONDS_MAX: Final = 900


def nightly(guest: str, seconds: float, seed: int, corpus: Path | None, out: Path) -> int:
    """The exit code: whatever is found fails a night. seconds: of all fuzzes together. corpus:
    the merged corpus of the night before, or None."""
    steps: list[Done] = []
    targets = [HERE]
    for target in FLAVOURS:
        booted, more = ready(target, guest, out)
        steps += more
        targets += [target] * booted
    for target in targets:
        steps += [conform(target, out), replay(target, CHECKOUT / "corpus", out)]
        if corpus is not None and (corpus / FOUND).is_dir():
            steps.append(replay(target, corpus / FOUND, out, "found before"))
        steps.append(fuzz(target, seconds / len(targets), seed, out))
    # A fuzzer that finds nothing has to show that it can.
    command = [*MADVET, "mutants", "--target", "shim", *MUTANTS]
    steps.append(run_step("planted faults", command, out / "mutants.log", MUTANTS_SECONDS_MAX))
    sources = [CHECKOUT / "corpus", *([corpus] if corpus is not None else [])]
    merged, new = merge_corpus(sources, sorted(out.glob("fuzz-*/findings")), out / "corpus")
    notes = [f"{out / 'corpus'}: {merged} files, {new} of them new tonight"]
    return conclude("nightly", steps, {}, out, notes)


def merge_corpus(sources: list[Path], findings: list[Path], to: Path) -> tuple[int, int]:
    """All corpora together, the first having the first say, and what was found. A finding has one
    file, the smallest that showed it. How many files there are, and how many findings are new."""
    for source in sources:
        for path in _files(source):
            target = to / path.relative_to(source)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    new = 0
    (to / FOUND).mkdir(parents=True, exist_ok=True)
    for folder in findings:
        for path in _files(folder):
            target = to / FOUND / path.name
            new += not target.exists()
            if not target.exists() or path.stat().st_size < target.stat().st_size:
                shutil.copyfile(path, target)
    return len(list(_files(to))), new


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
