"""Statistics: what a campaign did, as counters that add up over batches, workers and targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from conformance.abi.advice import BY_VALUE
from conformance.program.call import (
    ActorStep,
    AnyStep,
    Madvise,
    MadviseRanges,
    ProcessMadvise,
    Race,
)
from conformance.program.control_struct import All, ControlBytes, Multi, Single
from conformance.program.program import Program
from conformance.program.race import flat

_SIGN: Final = 1 << 31
_INT: Final = (1 << 32) - 1
OTHER: Final = "unknown value"
RAW: Final = "raw bytes"
NO_RANGES: Final = "no range"
KNOWN: Final = "known"  # in verdicts: a divergence that the ledger has
NOT_REPRODUCED: Final = "not-reproduced"  # in verdicts: a suspect that a run alone cleared
NOTES_MAX: Final = 20  # of each list of words


class Tally(msgspec.Struct):
    """Counters of one target.

    programs: all that were submitted; each is in exactly one entry of `verdicts`, whose keys
    are the kinds of verdict, KNOWN and NOT_REPRODUCED. steps: of the programs that were not
    skipped, without the setup. surfaces, advices: of the steps that are calls of the three
    surfaces (a MULTI call counts for its first range's advice). unspecified: steps whose
    result the model left open or did not reach. known: by ledger entry; skipped: by reason.
    samples: programs looked at in more than the usual way, by the name of the way.
    races: conformant programs with a race, by what judged them (Verdict.race).
    faults: calls whose allocations failed one by one, by what they then gave (engine fail-nth).
    signals: runs with a signal during a call, by what the signal was to do (engine signals).
    findings: confirmed mismatches by identity. harness_errors, not_reproduced: the
    first few, in words; all are counted in verdicts.
    """

    programs: int = 0
    steps: int = 0
    unspecified: int = 0
    verdicts: dict[str, int] = msgspec.field(default_factory=dict)
    surfaces: dict[str, int] = msgspec.field(default_factory=dict)
    advices: dict[str, int] = msgspec.field(default_factory=dict)
    known: dict[str, int] = msgspec.field(default_factory=dict)
    skipped: dict[str, int] = msgspec.field(default_factory=dict)
    unspecified_reasons: dict[str, int] = msgspec.field(default_factory=dict)
    samples: dict[str, int] = msgspec.field(default_factory=dict)
    races: dict[str, int] = msgspec.field(default_factory=dict)
    faults: dict[str, int] = msgspec.field(default_factory=dict)
    signals: dict[str, int] = msgspec.field(default_factory=dict)
    findings: dict[str, int] = msgspec.field(default_factory=dict)
    harness_errors: list[str] = msgspec.field(default_factory=list)
    not_reproduced: list[str] = msgspec.field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add another tally's counters to this one's."""
        self.programs += other.programs
        self.steps += other.steps
        self.unspecified += other.unspecified
        for mine, theirs in (
            (self.verdicts, other.verdicts),
            (self.surfaces, other.surfaces),
            (self.advices, other.advices),
            (self.known, other.known),
            (self.skipped, other.skipped),
            (self.unspecified_reasons, other.unspecified_reasons),
            (self.samples, other.samples),
            (self.races, other.races),
            (self.faults, other.faults),
            (self.signals, other.signals),
            (self.findings, other.findings),
        ):
            for key, count in theirs.items():
                mine[key] = mine.get(key, 0) + count
        for words in other.harness_errors:
            note(self.harness_errors, words)
        for words in other.not_reproduced:
            note(self.not_reproduced, words)

    @property
    def unspecified_share(self) -> float:
        """Which part of the steps was left open, 0..1."""
        return self.unspecified / self.steps if self.steps else 0.0

    def judged(self, verdict: str) -> int:
        """Programs with this verdict."""
        return self.verdicts.get(verdict, 0)


def total(tallies: Sequence[Tally]) -> Tally:
    """The sum of several tallies, as a new one."""
    out = Tally()
    for tally in tallies:
        out.add(tally)
    return out


def count(counters: dict[str, int], key: str) -> None:
    """One more of something."""
    counters[key] = counters.get(key, 0) + 1


def note(notes: list[str], words: str) -> None:
    """Keep something in words, as long as there is room."""
    if len(notes) < NOTES_MAX:
        notes.append(words)


class CallCensus:
    """Counts calls by surface and advice, cheaply: it runs for every step of every program."""

    def __init__(self) -> None:
        self._steps = 0
        self._madvise: list[int] = []
        self._process_madvise: list[int] = []
        self._ranges: list[MadviseRanges] = []

    def add(self, program: Program) -> None:
        """Count the steps of a program."""
        self._count(program.steps)

    def _count(self, steps: Sequence[AnyStep | ActorStep]) -> None:
        self._steps += len(steps)
        for step in steps:
            kind = type(step)
            # `kind` has told what `step` is; isinstance() would cost as much again.
            if kind is Madvise:
                self._madvise.append(step.advice)  # type: ignore[union-attr]  # see kind
            elif kind is ProcessMadvise:
                self._process_madvise.append(step.advice)  # type: ignore[union-attr]  # see kind
            elif kind is MadviseRanges:
                self._ranges.append(step)  # type: ignore[arg-type]  # see kind
            elif kind is Race:
                self._count(flat((step,)))  # type: ignore[arg-type]  # see kind

    def take(self, tally: Tally) -> None:
        """Add what was counted to a tally, by name, and start again from zero."""
        tally.steps += self._steps
        self._steps = 0
        for surface, arguments in (
            ("madvise", Counter(self._madvise)),
            ("process_madvise", Counter(self._process_madvise)),
            ("madvise_ranges", Counter(map(_advice_of_ranges, self._ranges))),
        ):
            if arguments:
                calls = arguments.total()
                tally.surfaces[surface] = tally.surfaces.get(surface, 0) + calls
            for advice, calls in arguments.items():
                name = advice if isinstance(advice, str) else argument_name(advice)
                tally.advices[name] = tally.advices.get(name, 0) + calls
        self._madvise.clear()
        self._process_madvise.clear()
        self._ranges.clear()


def argument_name(value: int) -> str:
    """The name of an advice argument, which the kernel takes as a C int; OTHER for none."""
    as_int = ((value & _INT) ^ _SIGN) - _SIGN
    row = BY_VALUE.get(as_int)
    return row.name if row else OTHER


def _advice_of_ranges(step: MadviseRanges) -> int | str:
    control = step.control
    if isinstance(control, ControlBytes):
        return RAW
    arm = control.arm
    if isinstance(arm, Single):
        return arm.range.advice
    if isinstance(arm, All):
        return arm.advice
    assert isinstance(arm, Multi)
    return arm.ranges[0].advice if arm.ranges else NO_RANGES
