"""Past mistakes of the kernel, each with a program that shows it and where it fails and passes.

    format = 1

    [[bug]]
    id = "merge-with-faulted-left"
    title = "mm/vma: fix incorrectly disallowed anonymous VMA merges"
    program = "history/merge-with-faulted-left.toml"
    wrong = "what kernels with it did"
    reference = "the commit, and where it can be read"
    fixed = "6.16"
    fails = ["6.1", "6.12"]
    passes = ["6.16", "6.18"]
    facts = { merge_into_unfaulted = true }
    identity = ["madvise/*/*/vma-merge/vma.split"]

program: a file in corpus/. fixed: the first release without it; "" while there is none. fails,
passes: releases whose stock kernels were seen to. facts: where the model knows the mistake as one
of two ways to behave, the right one. identity: patterns of how it shows. mutant: where no stock
kernel has it any more, the name of the past mistake that brings it back, in a guest's kernel
(kernel/madvise_ranges_past.h) and in the model (fuzz/mutants/past_mistakes.py).
"""

from __future__ import annotations

from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import msgspec

from ci.gate.compare import FULL_LOOK
from ci.gate.index import is_among, load_index, not_for, read_facts
from ci.gate.programs import CORPUS
from conformance.model.predict import predict
from conformance.oracle.expected_change import FactValue, with_facts
from conformance.oracle.identity import identify
from conformance.oracle.judge import judge
from conformance.oracle.ledger_values import (
    read_file,
    read_id,
    read_patterns,
    read_release,
    read_releases,
    read_words,
)
from conformance.oracle.verdict import Verdict, VerdictKind
from conformance.program.program import Program
from conformance.program.text_table import Table
from conformance.target.target import Target
from fuzz.mutants.kernel_mutants import read_past_mistakes

FOLDER: Final = CORPUS / "history"
RUNS: Final = 5


class Bug(msgspec.Struct, frozen=True):
    """One mistake; the members are those of the file."""

    id: str
    title: str
    program: str
    wrong: str
    reference: str
    fixed: str
    fails: tuple[str, ...]
    passes: tuple[str, ...]
    facts: dict[str, FactValue]
    identity: tuple[str, ...]
    mutant: str = ""

    def expected(self, release: str, planted: str = "") -> Seen | None:
        """What a kernel of this release was seen to do; None: nobody has looked. planted: the
        name of the past mistake that is switched on in it, which other programs may show too."""
        if planted:
            return Seen.FAILS if planted == self.mutant else None
        for known, seen in ((self.fails, Seen.FAILS), (self.passes, Seen.PASSES)):
            if is_among(release, known):
                return seen
        return None


class Seen(str, Enum):
    """What a kernel does with the program of a bug."""

    FAILS = "fails"
    PASSES = "passes"
    OTHER = "differs in another way"
    SKIPPED = "cannot run it"


class Checked(msgspec.Struct, frozen=True):
    """A kernel's answer. shown of runs: that failed so. words: how, or why not."""

    seen: Seen
    shown: int
    runs: int
    words: str


def load_history(folder: Path = FOLDER) -> tuple[Bug, ...]:
    """All bugs, in order of the file. Raises IndexFileError."""
    return load_index(folder, "bug", read_bug, lambda bug: bug.id)


def read_bug(table: Table) -> Bug:
    """One [[bug]]. Raises PlaceError."""
    ident = read_id(table)
    title, wrong, reference = read_words(table, ("title", "wrong", "reference"))
    program = read_file(table, "program")
    fixed = read_release(table, "fixed")
    fails, passes = (read_releases(table, key) for key in ("fails", "passes"))
    both = sorted(set(fails) & set(passes))
    if both:
        raise table.fail("passes", f"{', '.join(both)} cannot both fail and pass")
    facts = read_facts(table)
    mutant = table.string("mutant", "")
    if not fails and not mutant:
        raise table.fail("mutant", "is missing: where no stock kernel fails, what brings it back?")
    bug = Bug(
        ident, title, program, wrong, reference, fixed, fails, passes, facts,
        read_patterns(table), mutant,
    )  # fmt: skip
    table.end()
    return bug


def planted_in(target_name: str) -> str:
    """The name of the past mistake that a guest's kernel has, by the name of the target; "" for
    none. Raises MutantTableError."""
    _, _, number = target_name.partition(":mutant=")
    return next((one.name for one in read_past_mistakes() if str(one.number) == number), "")


def check(bug: Bug, program: Program, target: Target, runs: int = RUNS) -> Checked:
    """What a kernel does, judged by what is right. Raises TargetError."""
    verdicts = [verdict_of(bug, program, target) for _ in range(runs)]
    unjudged = [v for v in verdicts if v.kind in (VerdictKind.SKIPPED, VerdictKind.HARNESS_ERROR)]
    if unjudged:
        return Checked(Seen.SKIPPED, 0, runs, unjudged[0].reason)
    bad = [verdict for verdict in verdicts if verdict.bad]
    if not bad:
        return Checked(Seen.PASSES, 0, runs, "")
    shown = [verdict for verdict in bad if shows(bug, program, verdict)]
    words = (shown or bad)[0].differences[0].words
    return Checked(Seen.FAILS if shown else Seen.OTHER, len(shown), runs, words)


def verdict_of(bug: Bug, program: Program, target: Target) -> Verdict:
    """One run, judged with the right facts. Raises TargetError."""
    harmful = not_for(program, target.name)
    if harmful:
        return Verdict(VerdictKind.SKIPPED, reason=harmful)
    (outcome,) = target.run_batch([program], FULL_LOOK)
    own = predict(program, target.facts, outside=outcome.outside, observe=int(FULL_LOOK))
    if own.skip:
        return Verdict(VerdictKind.SKIPPED, reason=own.skip)
    right = with_facts(target.facts, bug.facts)
    prediction = predict(program, right, outside=outcome.outside, observe=int(FULL_LOOK))
    return judge(program, outcome, prediction)


def shows(bug: Bug, program: Program, verdict: Verdict) -> bool:
    """Is a bad verdict this bug?"""
    identity = str(identify(program, verdict))
    return any(fnmatchcase(identity, pattern) for pattern in bug.identity)
