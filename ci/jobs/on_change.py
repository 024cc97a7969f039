"""On a change: minutes. Cases, corpus and a short fuzz, here and on a guest; only what the base of
the change does not show fails it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ci.jobs.base_checkout import NoBase, find_base, shown_by_base, worktree
from ci.jobs.ending import conclude
from ci.jobs.guests import ready
from ci.jobs.madvet_steps import conform, fuzz, replay
from ci.jobs.step import CHECKOUT, Bad, Done

HERE: Final = "host,shim"
GUEST: Final = "uml"
# On user mode Linux the sweep takes minutes; nightly runs it there.
WITHOUT_SWEEP: Final = ("-k", "not test_sweep")


def on_change(base: str, guest: str, seconds: float, seed: int, out: Path) -> int:
    """The exit code. seconds: of each of the two fuzzes. guest: one of guests.CHOICES."""
    corpus = CHECKOUT / "corpus"
    steps = [
        conform(HERE, out),
        replay(HERE, corpus, out),
        fuzz(HERE, seconds, seed, out),
    ]
    booted, more = ready(GUEST, guest, out)
    steps += more
    if booted:
        steps += [
            conform(GUEST, out, *WITHOUT_SWEEP),
            replay(GUEST, corpus, out),
            fuzz(GUEST, seconds, seed, out),
        ]
    known, notes = _of_base(steps, base, out)
    return conclude("on-change", steps, known, out, notes)


def _of_base(steps: list[Done], base: str, out: Path) -> tuple[dict[Bad, str], list[str]]:
    """What was found and base has too, and what is to be said of it."""
    bad = [one for step in steps for one in step.bad]
    if not bad:
        return {}, []
    try:
        commit = find_base(base)
        with worktree(commit) as tree:
            return shown_by_base(bad, tree, out), [f"compared with {commit[:12]}"]
    except NoBase as error:
        return {}, [f"nothing to compare with, all counts as new: {error}"]
