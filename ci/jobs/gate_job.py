"""The gate for a kernel tree: the kernel of a change, and that of its base, built and compared."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from ci.cli import exit_codes
from ci.gate.tree_step import build
from ci.jobs.ending import conclude
from ci.jobs.guests import QEMU
from ci.jobs.step import MADVET, Done, run_step
from ci.kernels.commands import KernelError
from ci.kernels.provision import TO_BUILD, Need, provide
from conformance.target.target import TargetError

GATE_SECONDS_MORE: Final = 600  # to boot both, and to end
GIT_SECONDS_MAX: Final = 600


class TreeError(Exception):
    """The tree, or a commit of it, cannot be used. str() says which and why."""


def gate(
    tree: Path | None, base: str, head: str, build_with: str, flavour: str, budget: float, out: Path
) -> int:
    """The exit code: that of `madvet gate`. Without a tree base and head are targets, such as
    kernel:FILE for a bzImage; with one they are commits of it. Raises TreeError."""
    if tree is None:
        return _gated(base, head, budget, [], out)
    with _checked_out(tree, base) as old, _checked_out(tree, head) as new:
        names: list[str] = []
        steps: list[Done] = []
        for side, folder in (("base", old), ("head", new)):
            click.echo(f"== kernel of {side}")
            try:
                provide(_needs(build_with, flavour), install=True, say=click.echo)
                names.append(build(folder, build_with, flavour, click.echo))
            except (KernelError, TargetError) as error:
                click.echo(f"-- kernel of {side}: not built: {error}", err=True)
                steps.append(Done(f"kernel of {side}", exit_codes.HARNESS_FAILED, str(error)))
                return conclude("gate", steps, {}, out)
            steps.append(Done(f"kernel of {side}", exit_codes.CONFORMANT, names[-1]))
        return _gated(names[0], names[1], budget, steps, out)


def _needs(build_with: str, flavour: str) -> tuple[Need, ...]:
    """What it takes to build and boot. Whose own command builds knows what that needs, and a
    target that cannot be booted says why."""
    if build_with:
        return ()
    return TO_BUILD if flavour == "uml" else (*TO_BUILD, QEMU)


def _gated(base: str, head: str, budget: float, steps: list[Done], out: Path) -> int:
    command = [
        *MADVET, "gate", "--base", base, "--head", head, "--budget", f"{budget:g}", "--quiet",
        "--folder", str(out / "gate"), "--json", str(out / "gate.json"),
    ]  # fmt: skip
    log = out / "gate.log"
    done = run_step("gate", command, log, budget + GATE_SECONDS_MORE)
    click.echo(log.read_text(encoding="utf-8", errors="replace"))
    return conclude("gate", [*steps, done], {}, out)


@contextmanager
def _checked_out(tree: Path, commit: str) -> Iterator[Path]:
    """A commit of a kernel's tree in a worktree of its own; the user's checkout stays as it is."""
    with tempfile.TemporaryDirectory(prefix="madvet-gate-") as folder:
        path = Path(folder) / "tree"
        _git(tree, "worktree", "add", "--detach", str(path), commit)
        try:
            yield path
        finally:
            _git(tree, "worktree", "remove", "--force", str(path))


def _git(tree: Path, *arguments: str) -> None:
    command = ["git", "-c", "safe.directory=*", "-C", str(tree), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=GIT_SECONDS_MAX, check=False
    )
    if done.returncode:
        raise TreeError(f"{tree}: git {' '.join(arguments[:2])}: {done.stderr.strip()}")
