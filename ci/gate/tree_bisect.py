"""The same question asked of the commits of a git tree, by `git bisect run`.

It works in a worktree of its own: the user's checkout stays as it is. Each step builds, boots, and
asks (tree_step); what cannot be built or booted is skipped (125).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from ci.gate.bisect import Ends, Open, Say, verify_ends
from ci.gate.tree_step import CANNOT, GOODS_FILE, Job, build
from ci.kernels.own_tree import forget_copy
from conformance.program.program import Program
from conformance.target.guest_images import kernels_folder
from conformance.target.target import Target, TargetError

GIT_SECONDS_MAX: Final = 600  # of anything but the bisection itself
FIRST_BAD: Final = " is the first bad commit"
ONLY_SKIPPED: Final = "The first bad commit could be any of:"


class TreeError(Exception):
    """The tree or its commits cannot be used. str() says what git said."""


class TreeResult(msgspec.Struct, frozen=True):
    """commits: the first bad one, or all that it could be. subjects: of these. error: how likely
    a "good" on the way was wrong."""

    commits: tuple[str, ...]
    subjects: tuple[str, ...]
    ends: Ends
    error: float


class TreeBisect:
    """One bisection. command: builds the tree it is run in, and names on its last line the
    target to run, such as kernel:arch/x86/boot/bzImage; "" for the kernels that madvet builds."""

    def __init__(
        self, tree: Path, program: Path, command: str, flavour: str, open_one: Open, say: Say
    ) -> None:
        self._tree = tree.resolve()
        self._program = program.resolve()
        self._command = command
        self._flavour = flavour
        self._open = open_one
        self._say = say

    def run(self, program: Program, good: str, bad: str) -> TreeResult:
        """Raises TreeError, BisectError, TargetError."""
        commits = {side: self._commit(name) for side, name in (("good", good), ("bad", bad))}
        with tempfile.TemporaryDirectory(prefix="madvet-bisect-") as scratch:
            work = Path(scratch) / "tree"
            self._git(self._tree, "worktree", "add", "--detach", str(work), commits["bad"])
            try:
                return self._bisect(program, commits, work, Path(scratch))
            finally:
                self._git(self._tree, "worktree", "remove", "--force", str(work))
                forget_copy(kernels_folder(), work)

    def _bisect(
        self, program: Program, commits: dict[str, str], work: Path, scratch: Path
    ) -> TreeResult:
        def open_commit(commit: str) -> Target:
            self._git(work, "checkout", "--detach", "--force", commit)
            return self._open(build(work, self._command, self._flavour, self._say))

        ends = verify_ends(program, commits["good"], commits["bad"], open_commit, self._say)
        job = scratch / "job.json"
        goods = scratch / GOODS_FILE
        goods.write_bytes(b"")
        job.write_bytes(
            msgspec.json.encode(
                Job(str(self._program), self._command, self._flavour, ends.odds.attempts,
                    ends.question.good, ends.question.bad)
            )
        )  # fmt: skip
        self._git(work, "bisect", "start", commits["bad"], commits["good"])
        step = [sys.executable, "-m", "ci.gate.tree_step", str(job)]
        said = self._git(work, "bisect", "run", *step, seconds=None, allowed=(0, 2, CANNOT))
        found = _found(said)
        if not found:
            raise TreeError(f"git bisect came to no end:\n{said[-2000:]}")
        subjects = tuple(self._git(work, "log", "-1", "--format=%s", one).strip() for one in found)
        wrong = ends.odds.error(len(goods.read_bytes()))
        return TreeResult(found, subjects, ends, wrong)

    def _commit(self, name: str) -> str:
        return self._git(self._tree, "rev-parse", "--verify", f"{name}^{{commit}}").strip()

    def _git(
        self, folder: Path, *arguments: str, seconds: float | None = GIT_SECONDS_MAX,
        allowed: tuple[int, ...] = (0,),
    ) -> str:  # fmt: skip
        command = ["git", "-c", "safe.directory=*", "-C", str(folder), *arguments]
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        environment = {**os.environ, "PYTHONPATH": path, "LC_ALL": "C"}
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=seconds, env=environment,
                check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TargetError(f"git {arguments[0]} in {folder}: {error}") from error
        if done.returncode not in allowed:
            said = (done.stderr or done.stdout).strip()[-1000:]
            raise TreeError(f"git {' '.join(arguments[:2])} in {folder}: {said}")
        return done.stdout + done.stderr


def _found(said: str) -> tuple[str, ...]:
    """The commits that git names at its end."""
    lines = said.splitlines()
    for line in lines:
        if line.endswith(FIRST_BAD):
            return (line.removesuffix(FIRST_BAD),)
    if ONLY_SKIPPED in lines:
        rest = lines[lines.index(ONLY_SKIPPED) + 1 :]
        found = [line for line in rest if len(line) >= 40 and set(line) <= set("0123456789abcdef")]
        return tuple(found)
    return ()
