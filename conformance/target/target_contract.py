"""What every target must do, as a function: run_target_contract(make_target).

Each clause opens targets of its own and says in words what a target did that it must not.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from conformance.abi.advice import BY_NAME
from conformance.program.call import (
    Fork,
    Madvise,
    MadviseRanges,
    Mprotect,
    Mremap,
    Munmap,
    ProcessMadvise,
    Step,
    TouchPages,
)
from conformance.program.control_struct import ControlFields, Range, Single
from conformance.program.mapping import FILE_KINDS, Backing, FileSlot, Kind, Mapping, Prot
from conformance.program.outcome import PAGE_READ, Outcome, Status
from conformance.program.places import EXECUTOR_BASE, PAGE, page_address
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.target.limits import BATCH_PROGRAMS_MAX
from conformance.target.target import Target, TargetError

MakeTarget = Callable[[], Target]

# Long enough to be disturbed in the middle: a program that touches 1000 pages takes 0.5 ms or
# more, so that the process of a group of 64 lives for 30 ms; finding it takes less than 10.
DISTURBED_PROGRAMS: Final = 128
DISTURBED_PAGES: Final = 1000
DISTURB_AFTER_S: Final = 0.01
ATTEMPTS: Final = 20  # a disturbance that comes between two programs is tried again
ATTEMPTS_IN_VAIN: Final = 5  # and as often where there was nothing to disturb


class ContractBroken(AssertionError):
    """A target does not do what every target must; the message says what."""


class NotApplicable(Exception):
    """A clause cannot be tried on this target; the message says why."""


class Tried(NamedTuple):
    """What came of one clause. skipped: why it could not be tried, "" if it holds."""

    clause: str
    skipped: str


def run_target_contract(make_target: MakeTarget) -> tuple[Tried, ...]:
    """Try every clause. Raises ContractBroken for the first that does not hold."""
    return tuple(try_clause(clause, make_target) for clause in CLAUSES)


def try_clause(clause: Callable[[MakeTarget], None], make_target: MakeTarget) -> Tried:
    """Try one clause of CLAUSES. Raises ContractBroken."""
    try:
        clause(make_target)
    except NotApplicable as why:
        return Tried(clause.__name__, str(why))
    return Tried(clause.__name__, "")


def no_programs_no_outcomes(make_target: MakeTarget) -> None:
    """An empty batch is a batch."""
    with make_target() as target:
        _expect(target.run_batch([]) == [], "an empty batch gave outcomes")
        target.submit([])
        target.submit([])
        _expect(target.collect() == target.collect() == [], "an empty batch gave outcomes")


def outcomes_in_order(make_target: MakeTarget) -> None:
    """One sound outcome for each program, in the order of the programs, in any batch."""
    order = [*range(1, 17)] * 12
    random.Random(1).shuffle(order)
    with make_target() as target:
        for size in (1, 2, 63, 64, 65, len(order)):
            wanted = order[:size]
            outcomes = target.run_batch([_touching(pages) for pages in wanted])
            _expect(len(outcomes) == size, f"{size} programs gave {len(outcomes)} outcomes")
            touched = [outcome.results[-1] for outcome in outcomes]
            _expect(touched == wanted, f"outcomes {touched} of programs {wanted}")


def big_batches(make_target: MakeTarget) -> None:
    """A batch may be larger than what the target hands on at once."""
    count = 2 * BATCH_PROGRAMS_MAX + 1
    with make_target() as target:
        outcomes = target.run_batch([_touching(1 + i % 16) for i in range(count)])
        touched = [outcome.results[-1] for outcome in outcomes]
        _expect(touched == [1 + i % 16 for i in range(count)], "a big batch lost its order")


def two_batches_at_once(make_target: MakeTarget) -> None:
    """collect() gives the batches in the order in which they were submitted."""
    with make_target() as target:
        for pages in range(1, 9):
            target.submit([_touching(pages)] * 20)
            if pages > 2:
                _expect_touched(target.collect(), pages - 2)
        _expect_touched(target.collect(), 7)
        _expect_touched(target.collect(), 8)


def same_again(make_target: MakeTarget) -> None:
    """A program has the same outcome again, whatever ran before it or beside it."""
    samples = sample_programs()
    with make_target() as target:
        once = target.run_batch(samples)
        for program, outcome in zip(samples, once, strict=True):
            _expect_sound(program, outcome)
        order = [*range(len(samples))] * 4
        random.Random(2).shuffle(order)
        again = target.run_batch([samples[i] for i in order])
        for index, outcome in zip(order, again, strict=True):
            _expect_same(samples[index], once[index], outcome, "in another order")
        for program, outcome in zip(samples, once, strict=True):
            _expect_same(program, outcome, target.run_batch([program])[0], "alone")
        isolated = target.run_batch(samples, Observe.ISOLATED)
        for program, usual, outcome in zip(samples, once, isolated, strict=True):
            _expect_same(program, usual, outcome, "isolated")


def observed_as_asked(make_target: MakeTarget) -> None:
    """Each Observe flag changes what is looked at, and nothing that is seen of the rest."""
    samples = sample_programs()
    with make_target() as target:
        usual = target.run_batch(samples)
        smaps = target.run_batch(samples, Observe.SMAPS)
        each = target.run_batch(samples, Observe.EACH_STEP)
        full = target.run_batch(samples, Observe.READ_ALL)
    for program, first, second in zip(samples, usual, smaps, strict=True):
        _expect_same(program, first, second, "with VmFlags from smaps")
    for program, first, second in zip(samples, usual, each, strict=True):
        _expect(first.results == second.results, f"{program}: snapshots changed the results")
        own = [s.step for s in second.snapshots if not s.child]
        last = len(program.setup()) + len(program.steps)
        first_step = len(program.setup())
        _expect(own == [*range(first_step, last)], f"{program}: snapshots after steps {own}")
        _expect(second.snapshots[-1] == first.snapshots[-1], f"{program}: looking changed the end")
    for program, first, second in zip(samples, usual, full, strict=True):
        _expect(first.results == second.results, f"{program}: reading changed the results")
        more = zip(first.snapshots[-1].pages, second.snapshots[-1].pages, strict=True)
        _expect(
            all(b & PAGE_READ >= a & PAGE_READ for a, b in more),
            f"{program}: READ_ALL read fewer pages",
        )


def death_reported(make_target: MakeTarget) -> None:
    """A program whose process dies is KILLED at that step; its neighbours are unharmed."""
    own_code = Munmap(EXECUTOR_BASE, 4 << 20)
    anon = (Mapping(Kind.ANON, at=0, pages=1),)
    deadly = Program(anon, (TouchPages(0), own_code, TouchPages(0)), whole=True)
    with make_target() as target:
        first, killed, last = target.run_batch([_touching(3), deadly, _touching(4)])
        _expect_touched([first], 3)
        _expect_touched([last], 4)
        _expect(killed.status is Status.KILLED, f"unmapping its code left it {killed.status}")
        _expect(killed.signal == signal.SIGSEGV, f"it died of signal {killed.signal}")
        # The call that unmaps it may or may not be seen to return.
        _expect(
            len(killed.results) == killed.step in (2, 3) and killed.results[1] == 1,
            f"it died at step {killed.step} with results {killed.results}",
        )


def killed_worker_recovers(make_target: MakeTarget) -> None:
    """SIGKILL of a process that runs programs loses no outcome and changes none."""
    wanted, programs = _long_batch()
    with make_target() as target:
        for _ in range(2):
            target.submit(programs)
            target.submit(programs)
            time.sleep(DISTURB_AFTER_S)
            for pid in _workers(target):
                os.kill(pid, signal.SIGKILL)
            for outcomes in (target.collect(), target.collect()):
                touched = [outcome.results[-1] for outcome in outcomes]
                _expect(touched == wanted, "a killed worker lost or changed outcomes")


def hang_reported(make_target: MakeTarget) -> None:
    """A program that stands still is HUNG after the deadline; all others have run."""
    wanted, programs = _long_batch()
    stopped = 0
    with make_target() as target:
        for attempt in range(ATTEMPTS):
            target.submit(programs)
            time.sleep(DISTURB_AFTER_S)
            for pid in _workers(target):
                for child in _children(pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(child, signal.SIGSTOP)
                        stopped += 1
            outcomes = target.collect()
            if any(outcome.log for outcome in outcomes):
                raise NotApplicable("what can be stopped here is a guest, whose log tells of it")
            hung = [o for o in outcomes if o.status is Status.HUNG]
            _expect(len(outcomes) == len(programs), "a hang lost outcomes")
            _expect(len(hung) <= 1, f"one stopped process made {len(hung)} programs HUNG")
            for outcome, pages in zip(outcomes, wanted, strict=True):
                if outcome.status is not Status.HUNG:
                    _expect_touched([outcome], pages)
            if hung:
                return
            if not stopped and attempt == ATTEMPTS_IN_VAIN:
                raise NotApplicable("what runs the programs has no processes on this machine")
    raise ContractBroken(f"{ATTEMPTS} times a stopped process was not reported as HUNG")


def every_kind_answered(make_target: MakeTarget) -> None:
    """What the target lacks makes a program NOT_RUN with a reason, or its mmap() fail; never
    an error of the target, and nothing for the programs beside it."""
    kinds = list(Kind)
    programs = [_of_kind(kind) for kind in kinds]
    mixed = [p for program in programs for p in (program, _touching(2))]
    with make_target() as target:
        outcomes = target.run_batch(mixed)
        _expect_touched(outcomes[1::2], 2)
        for program, outcome in zip(programs, outcomes[::2], strict=True):
            _expect_sound(program, outcome)


def facts_stable(make_target: MakeTarget) -> None:
    """The facts are the same each time, and running programs does not change them."""
    with make_target() as first:
        before = first.facts
        first.run_batch(sample_programs())
        _expect(first.facts == before, "the facts changed while programs ran")
        with make_target() as second:
            _expect(second.facts == before, f"facts differ: {second.facts} after {before}")
            _expect(second.name == first.name, "the same target has two names")


def closed_for_good(make_target: MakeTarget) -> None:
    """close() leaves no process behind and may be repeated; a closed target says so."""
    target = make_target()
    target.submit([_touching(1)] * 100)
    pids = target.worker_pids()
    target.close()
    target.close()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 0)
            raise ContractBroken(f"process {pid} outlives its target")
    with contextlib.suppress(TargetError):
        target.run_batch([_touching(1)])
        raise ContractBroken("a closed target runs programs")


CLAUSES: Final[tuple[Callable[[MakeTarget], None], ...]] = (
    no_programs_no_outcomes,
    outcomes_in_order,
    big_batches,
    two_batches_at_once,
    same_again,
    observed_as_asked,
    death_reported,
    killed_worker_recovers,
    hang_reported,
    every_kind_answered,
    facts_stable,
    closed_for_good,
)


def sample_programs() -> list[Program]:
    """Small programs, each of another part of the language, all of determined outcome."""
    dontneed, sequential = BY_NAME["DONTNEED"].value, BY_NAME["SEQUENTIAL"].value
    anon = Mapping(Kind.ANON, at=0, pages=8)
    behind_gap = Mapping(Kind.ANON, at=10, pages=4)
    memfd = Mapping(Kind.MEMFD, at=20, pages=4)
    file = (FileSlot(Backing.MEMFD, 4),)
    whole = (page_address(0), 14 * PAGE)
    steps: tuple[tuple[Step, ...], ...] = (
        (TouchPages(0, 8), Madvise(page_address(2), 3 * PAGE, dontneed)),
        (TouchPages(4, 4), Madvise(*whole, sequential)),
        (TouchPages(0, 2), Fork(), TouchPages(2, 2)),
        (Mprotect(page_address(1), 2 * PAGE, Prot.R), TouchPages(0, 4)),
        (Munmap(page_address(3), 2 * PAGE), TouchPages(0, 8)),
        (TouchPages(0, 8), Mremap(page_address(0), 8 * PAGE, 4 * PAGE)),
        (ProcessMadvise(sequential),),
        (MadviseRanges(ControlFields(Single(Range(*whole, sequential)))),),
    )
    plain = [Program((anon, behind_gap), some) for some in steps]
    shared = [Program((anon, memfd), (TouchPages(20, 4), *some), file) for some in steps]
    return plain + shared


def _touching(pages: int, mapped: int = 16) -> Program:
    """Its last result is the number of pages."""
    return Program((Mapping(Kind.ANON, at=0, pages=mapped),), (TouchPages(0, pages),))


def _long_batch() -> tuple[list[int], list[Program]]:
    """Last results, and the programs that have them."""
    wanted = [DISTURBED_PAGES + i % 16 for i in range(DISTURBED_PROGRAMS)]
    return wanted, [_touching(pages, DISTURBED_PAGES + 16) for pages in wanted]


def _of_kind(kind: Kind) -> Program:
    pages = 512 if kind is Kind.HUGETLB else 4
    files = (FileSlot(Backing(kind.value), 4),) if kind in FILE_KINDS else ()
    return Program((Mapping(kind, at=0, pages=pages),), (TouchPages(0, 1),), files)


def _workers(target: Target) -> tuple[int, ...]:
    pids = target.worker_pids()
    if not pids:
        raise NotApplicable("the target runs its programs in no process of this machine")
    return pids


def _children(pid: int) -> Iterator[int]:
    """Processes whose parent is `pid`."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        if int(fields[1]) == pid:
            yield int(stat.parent.name)


def _expect(condition: bool, said: str) -> None:
    if not condition:
        raise ContractBroken(said)


def _expect_touched(outcomes: Sequence[Outcome], pages: int) -> None:
    for outcome in outcomes:
        _expect(
            outcome.status is Status.DONE and outcome.results[-1:] == (pages,),
            f"touching {pages} pages gave {outcome}",
        )


def _expect_sound(program: Program, outcome: Outcome) -> None:
    """What must be true of any outcome."""
    if outcome.status is Status.NOT_RUN:
        _expect(bool(outcome.reason), f"{program} was not run for no reason")
        return
    _expect(outcome.status is Status.DONE, f"{program} ended as {outcome.status}")
    steps = len(program.setup()) + len(program.steps)
    _expect(len(outcome.results) == steps, f"{steps} steps gave {len(outcome.results)} results")
    own = [snapshot for snapshot in outcome.snapshots if not snapshot.child]
    _expect(len(own) == 1 and own[0].step == steps - 1, f"{program}: not one final snapshot")
    _expect(len(own[0].pages) == program.arena_pages(), f"{program}: not one word for each page")


def _expect_same(program: Program, first: Outcome, second: Outcome, when: str) -> None:
    _expect(first == second, f"{program}: {when}, {second} instead of {first}")
