"""Faults in a guest's kernel: what counts as found, and that guests are booted sparingly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from conformance.model.policy import Policy
from conformance.oracle.verdict import Difference, Verdict, VerdictKind
from conformance.program.call import MadviseRanges
from conformance.program.outcome import Outcome, Status
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.target.target import AS_USUAL, TargetError
from fuzz.engine.schedule import BATCH
from fuzz.mutants import kill_score
from fuzz.mutants.catalogue import Mutant, MutantNameError, catalogue, chosen
from fuzz.mutants.kernel_mutants import GUESTS
from fuzz.mutants.kill_score import Plan, batch_size, clean_target, kill, seconds_for, tells
from fuzz.tests.test_engine_suspects import Actor

SPLAT = Mutant(
    "kernel/x", "kernel", "process-survives", "x", "uml:mutant=100", "uml:mutant=0", None,
    ("KASAN: double-free", "KASAN: invalid-free"), "uml",
)  # fmt: skip
QUIET = SPLAT._replace(titles=())
ENDLESS = SPLAT._replace(requirement="call-returns", titles=("no output from guest",))


def said(title: str, kind: VerdictKind = VerdictKind.CRASH) -> Verdict:
    difference = Difference(0, f"kernel.{title}", title, "says nothing", title, "kernel-quiet")
    return Verdict(kind, (difference,), 0, title, f"{title}\nmore")


DIVERGES = Verdict(VerdictKind.DIVERGENCE, (Difference(0, "result", "0", "1", "x", "walk-order"),))
HANGS = Verdict(VerdictKind.HANG, (Difference(0, "hang", "hangs", "", "x", "call-returns"),))


@pytest.mark.parametrize("guest", GUESTS)
def test_a_guest_has_the_mutants_of_its_kernel_and_no_others(guest: str) -> None:
    mutants = chosen((), guest)
    assert len(mutants) >= 25
    assert {mutant.where for mutant in mutants} == {"kernel"}
    assert {mutant.clean for mutant in mutants} == {f"{guest}:mutant=0"}
    assert all(mutant.target.startswith(f"{guest}:mutant=") for mutant in mutants)
    assert len({mutant.target for mutant in mutants}) == len(mutants)


def test_other_targets_have_none_of_them() -> None:
    assert {mutant.where for mutant in chosen((), "shim")} == {"shim", "model", "race"}
    assert {mutant.where for mutant in chosen((), "host")} == {"model"}
    with pytest.raises(MutantNameError, match="--target shim --list"):
        chosen(("kernel/",), "shim")
    with pytest.raises(MutantNameError, match="--target uml --list"):
        chosen(("shim/",), "uml")


def test_ids_are_the_same_in_every_guest_and_differ() -> None:
    ids = [[mutant.id for mutant in catalogue(guest)] for guest in GUESTS]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == len(ids[0])


@pytest.mark.parametrize(
    ("mutant", "verdict", "counts"),
    [
        (SPLAT, said("KASAN: double-free in f"), True),
        (SPLAT, said("KASAN: invalid-free in f"), True),
        (SPLAT, said("KASAN: slab-use-after-free Read in f"), False),
        (SPLAT, said("WARNING: KASAN: double-free"), False),
        (SPLAT, DIVERGES, False),
        (SPLAT, HANGS, False),
        (ENDLESS, HANGS, True),
        (ENDLESS, said("no output from guest", VerdictKind.HANG), True),
        (ENDLESS, said("INFO: task hung in f", VerdictKind.HANG), False),
        (QUIET, DIVERGES, True),
        (QUIET, said("WARNING in f"), True),
    ],
)
def test_what_counts_as_found(mutant: Mutant, verdict: Verdict, counts: bool) -> None:
    assert tells(mutant, verdict) is counts


def test_batches_grow_with_what_was_run_where_a_crash_is_expected() -> None:
    done, sizes = 0, []
    while done < 1000:
        sizes.append(batch_size(SPLAT, done))
        done += sizes[-1]
    assert sizes[:8] == [1, 1, 2, 4, 8, 16, 32, 64]
    assert set(sizes[8:]) == {BATCH}
    assert batch_size(QUIET, 0) == BATCH
    leaks = SPLAT._replace(titles=("leak: ", "memory leak in "))
    assert max(batch_size(leaks, done) for done in range(1000)) < BATCH


class Guest(Actor):
    """One that answers a call of madvise_ranges() with what `log` says; "" for a sound one."""

    def __init__(self, name: str, log: str) -> None:
        super().__init__(Policy(), None)
        self.name = name
        self.log = log
        self.crashes = 0
        self.closed = False

    def run_batch(self, programs: Sequence[Program], observe: Observe = AS_USUAL) -> list[Outcome]:
        outcomes = super().run_batch(programs, observe)
        for i, program in enumerate(programs):
            if self.log and any(isinstance(step, MadviseRanges) for step in program.steps):
                self.crashes += 1
                outcomes[i] = Outcome(Status.CRASHED, (), log=self.log)
        return outcomes

    def close(self) -> None:
        self.closed = True


@contextmanager
def guests(monkeypatch: pytest.MonkeyPatch, log: str) -> Iterator[list[Guest]]:
    """open_target() gives guests; the faulty one has this log."""
    opened: list[Guest] = []

    def open_target(name: str) -> Guest:
        opened.append(Guest(name, "" if name.endswith("=0") else log))
        return opened[-1]

    monkeypatch.setattr(kill_score, "open_target", open_target)
    yield opened


def test_a_report_with_the_right_title_kills_with_few_crashes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with guests(monkeypatch, "KASAN: double-free in f\nx") as opened:
        score = kill(SPLAT, Plan(seconds=30.0))
    assert score.killed
    assert "kernel log: KASAN: double-free in f" in score.words
    assert opened[0].crashes <= 4


def test_a_report_with_another_title_does_not_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with guests(monkeypatch, "WARNING in f\nx"):
        score = kill(SPLAT, Plan(seconds=0.5))
    assert not score.killed
    assert "shows only as crash" in score.words
    assert "WARNING in f" in score.words


def test_a_process_of_the_pool_keeps_one_clean_guest_until_it_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kill_score, "_enough", [object()])
    with guests(monkeypatch, "") as opened:
        for _ in range(3):
            with clean_target(SPLAT) as target:
                assert not opened[0].closed
        assert len(opened) == 1
        with pytest.raises(TargetError), clean_target(SPLAT):
            raise TargetError("it went away")
        assert opened[0].closed
        with clean_target(SPLAT) as target:
            assert (target.name, len(opened)) == (SPLAT.clean, 2)
        kill_score._close_kept()
        assert opened[1].closed


def test_a_slow_guest_is_given_as_many_programs_not_as_little_time() -> None:
    assert seconds_for(chosen((), "qemu-debug")) >= 4 * seconds_for(chosen((), "uml"))
    assert seconds_for(chosen((), "uml")) == seconds_for(chosen((), "shim"))
