"""What the base of a change shows as well: found there, it is no fault of the change.

Only what head has found is asked of base, so that a change without findings costs nothing: each
program is run by the base's own sources, in a worktree of their own. What base cannot say, because
it cannot read the program or has no kernel for the guest, counts as new, and is said to.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ci.jobs.madvet_steps import (
    CONFORM_SECONDS_MAX,
    REPLAY_LINE,
    REPLAY_SECONDS_MAX,
    failed_cases,
    function_of,
)
from ci.jobs.step import CHECKOUT, MADVET, Bad, run_logged

ANOTHER: Final = "another finding than the file's"  # as `madvet replay` says
GIT_SECONDS_MAX: Final = 300
BATCH_MAX: Final = 100  # programs of one replay


class NoBase(Exception):
    """There is nothing to compare with. str() says why, and what to do."""


def find_base(given: str) -> str:
    """The commit that a change is compared with: `given` or what the CI names, at the point
    where the change left it; the commit before, on the main branch itself. Raises NoBase."""
    names = [
        given,
        os.environ.get("MADVET_BASE", ""),
        _branch(os.environ.get("GITHUB_BASE_REF", "")),
        os.environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA", ""),
    ]
    named = next(filter(None, names), "")
    for name in (named,) if named else ("origin/HEAD", "origin/main", "main"):
        fork = _git("merge-base", "HEAD", name)
        if fork and fork != _git("rev-parse", "HEAD"):
            return fork
        if named and not fork:
            raise NoBase(
                f"{named} has no commit in common with this one, or is not here: fetch it with "
                "its history (GitHub: fetch-depth: 0; GitLab: GIT_DEPTH: 0)"
            )
    before = _git("rev-parse", "--verify", "HEAD^")
    if not before:
        raise NoBase("this is the first commit, or the only one that was fetched")
    return before


def _branch(name: str) -> str:
    return f"origin/{name}" if name else ""


def _git(*arguments: str) -> str:
    """What git prints; "" when it fails."""
    command = ["git", "-c", "safe.directory=*", "-C", str(CHECKOUT), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=GIT_SECONDS_MAX, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """The tree of a commit, for a while. Raises NoBase."""
    with tempfile.TemporaryDirectory(prefix="madvet-base-") as folder:
        path = Path(folder) / "base"
        _git("worktree", "add", "--detach", str(path), commit)
        if not (path / "pyproject.toml").is_file():
            raise NoBase(f"{commit[:12]} could not be checked out")
        try:
            yield path
        finally:
            _git("worktree", "remove", "--force", str(path))


def shown_by_base(bad: Sequence[Bad], tree: Path, out: Path) -> dict[Bad, str]:
    """Those that base shows as well, and for each what it said."""
    cases = [one for one in bad if one.program is None]
    known = _failing(tree, out, cases)
    shown = {one: "fails there as well" for one in cases if (one.target, one.name) in known}
    programs = [one for one in bad if one.program is not None]
    together = sorted({(one.target, one.times) for one in programs})
    for number, (target, times) in enumerate(together):
        group = [one for one in programs if (one.target, one.times) == (target, times)]
        for first in range(0, len(group), BATCH_MAX):
            log = out / f"base-replay-{number}-{first}.log"
            batch = group[first : first + BATCH_MAX]
            found = _shown(target, times, [str(one.program) for one in batch], tree, log)
            shown |= {one: "shows there as well" for one in batch if str(one.program) in found}
    return shown


def _failing(tree: Path, out: Path, cases: Sequence[Bad]) -> set[tuple[str, str]]:
    """Which of these cases fail in base's tree; those that it does not have do not."""
    failing: set[tuple[str, str]] = set()
    for number, target in enumerate(sorted({case.target for case in cases})):
        functions = sorted({function_of(case.name) for case in cases if case.target == target})
        journal = out / f"base-cases-{number}.run.jsonl"
        command = [
            *MADVET, "conform", "--target", target, "--run", str(journal),
            "--", "-q", "-k", " or ".join(functions),
        ]  # fmt: skip
        run_logged(command, out / f"base-cases-{number}.log", CONFORM_SECONDS_MAX, tree)
        if journal.exists():
            failing |= {(bad.target, bad.name) for bad in failed_cases("base", journal)}
    return failing


def _shown(target: str, times: int, programs: list[str], tree: Path, log: Path) -> set[str]:
    """The programs with which base's madvet finds the same."""
    command = [*MADVET, "replay", "--target", target, "--times", str(times), *programs]
    run_logged(command, log, REPLAY_SECONDS_MAX, tree)
    found: set[str] = set()
    current = ""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        match = REPLAY_LINE.match(line)
        if match is not None:
            current = match[3]
            found.add(current)
        elif not line.startswith(" "):
            current = ""  # of another file, or the end
        elif ANOTHER in line:
            found.discard(current)
    return found
