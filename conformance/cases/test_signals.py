"""Signals that come while a call sleeps, in memory that userfaultfd watches, and all the time."""

from __future__ import annotations

import msgspec
import pytest

from conformance.abi.errnos import EINTR
from conformance.cases.conftest import Kernel, Seen
from conformance.cases.layouts import (
    MEMFD,
    advice,
    anon,
    madvise,
    memfd,
    multi,
    single,
    span,
    vector,
    written,
)
from conformance.model.predict import predict
from conformance.oracle.judge import judge
from conformance.oracle.verdict import VerdictKind
from conformance.program.call import (
    SIGNAL_HANDLED_ONE,
    SIGNAL_SLEPT,
    Madvise,
    MadviseRanges,
    ProcessMadvise,
    Signal,
    SignalHow,
)
from conformance.program.kernel_facts import RangesCall
from conformance.program.mapping import FileSlot, Mapping, Mark
from conformance.program.outcome import PAGE_PRESENT, Status
from conformance.program.places import PAGE
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.target.target import Target

SIGKILL = 9
PAGES, STORMS = 400, 10  # enough for a signal to come in between, nearly each time
SLEPT_ON = SIGNAL_SLEPT | SIGNAL_HANDLED_ONE
Call = Madvise | ProcessMadvise | MadviseRanges


@pytest.fixture(autouse=True)
def may_watch(target: Target) -> None:
    """Asked before a case has its kernel."""
    if not (target.facts.has_uffd and target.facts.cap_sys_admin):
        pytest.skip(f"{target.name} has no userfaultfd() for faults of the kernel")


def with_signal(call: Call, how: SignalHow, page: int = 0, pages: int = 0) -> Call:
    """The call, while a signal comes."""
    return msgspec.structs.replace(call, signal=Signal(how, page, pages))


def seen_of_signal(seen: Seen) -> int:
    """The last peek: what came of it."""
    return int.from_bytes(seen.outcome.peeks[-1], "little")


Sleeper = tuple[tuple[Mapping, ...], Call, tuple[FileSlot, ...]]
SLEEPERS: dict[str, Sleeper] = {
    "populate-write": ((anon(0, 4),), madvise(0, 4, "POPULATE_WRITE"), ()),
    "populate-read": ((anon(0, 4),), madvise(0, 4, "POPULATE_READ"), ()),
    "populate-file": ((memfd(0, 4),), madvise(0, 4, "POPULATE_WRITE"), MEMFD),
    "discard": ((written(0, 4),), madvise(0, 4, "DONTNEED"), ()),
    "free": ((written(0, 4),), madvise(0, 4, "FREE"), ()),
    "remove": ((memfd(0, 4),), madvise(0, 4, "REMOVE"), MEMFD),
    "vector": ((anon(0, 4), written(8, 2)),
               vector("POPULATE_WRITE", (8, 2), (0, 4)), ()),
    "ranges": ((anon(0, 4), written(8, 2)),
               multi(span(8, 2, "DONTNEED"), span(0, 4, "POPULATE_WRITE")), ()),
}  # fmt: skip


def _need(kernel: Kernel, call: Call) -> None:
    if isinstance(call, MadviseRanges) and kernel.target.facts.ranges_call is RangesCall.ABSENT:
        kernel.lacks("madvise_ranges()")


@pytest.mark.requirement("signal-handled")
@pytest.mark.parametrize("name", SLEEPERS)
def test_a_handled_signal_wakes_no_call(kernel: Kernel, name: str) -> None:
    layout, call, files = SLEEPERS[name]
    _need(kernel, call)
    usual = kernel.run(layout, call, files=files)
    seen = kernel.run(layout, with_signal(call, SignalHow.HANDLED, 0, 4), files=files)
    assert seen_of_signal(seen) == SLEPT_ON
    assert seen.results == usual.results
    for page in range(4):
        here, there = (one.after(0).page(page) & PAGE_PRESENT for one in (seen, usual))
        assert here == there


@pytest.mark.requirement("signal-fatal")
@pytest.mark.parametrize("name", SLEEPERS)
def test_a_fatal_signal_ends_a_call_that_sleeps(kernel: Kernel, name: str) -> None:
    layout, call, files = SLEEPERS[name]
    _need(kernel, call)
    program = Program(layout, (with_signal(call, SignalHow.FATAL, 0, 4),), files)
    kernel.run(layout, call, files=files)  # what it needs is there
    observe = Observe.ISOLATED
    (outcome,) = kernel.target.run_batch([program], observe)
    assert (outcome.status, outcome.signal) == (Status.KILLED, SIGKILL)
    assert outcome.step == len(program.setup())
    prediction = predict(program, kernel.target.facts, observe=int(observe))
    assert judge(program, outcome, prediction).kind is VerdictKind.CONFORMANT
    kernel.seen.append(Seen(program, outcome, outcome.results))


@pytest.mark.requirement("signal-handled")
def test_a_call_that_does_not_sleep_gets_no_signal(kernel: Kernel) -> None:
    call = with_signal(madvise(0, 4, "COLD"), SignalHow.HANDLED, 0, 4)
    seen = kernel.run((written(0, 4),), call, with_signal(madvise(0, 4, "DONTNEED"),
                      SignalHow.HANDLED, 0, 4))  # fmt: skip
    first, second = (int.from_bytes(peek, "little") for peek in seen.outcome.peeks)
    assert (first, second) == (0, SLEPT_ON)


@pytest.mark.requirement("signal-storm")
def test_a_storm_of_signals_changes_nothing(ranges: Kernel) -> None:
    spans = [(page, 1) for page in range(0, 32, 2)]
    calls = (
        vector("GUARD_INSTALL", *spans),
        multi(*(span(page, 1, "GUARD_REMOVE") for page, _ in spans)),
        madvise(0, 32, "POPULATE_WRITE"),
        vector("PAGEOUT", (0, 32)),
        madvise(0, 32, "FREE"),
    )
    storm = tuple(with_signal(call, SignalHow.STORM) for call in calls)
    seen = ranges.run((anon(0, 32),), *storm)
    assert seen.results == (len(spans) * PAGE, 0, 0, 32 * PAGE, 0)


@pytest.mark.requirement("signal-storm")
@pytest.mark.parametrize("ignore_errors", [False, True])
def test_what_a_signal_ends_says_eintr_everywhere(ranges: Kernel, ignore_errors: bool) -> None:
    """UNMERGEABLE looks for signals between pages. A signal is not ignored, and the stats hold an
    errno that the caller knows, not the kernel's own code for a restart."""
    layout = (written(0, PAGES, marks=(Mark(0, PAGES, advice("MERGEABLE")),)),)
    call = single(span(0, PAGES, "UNMERGEABLE"), ignore_errors=ignore_errors)
    results = set()
    for _ in range(STORMS):
        seen = ranges.run(layout, with_signal(call, SignalHow.STORM))
        (result,) = seen.results
        results.add(result)
        assert result in (0, -EINTR)
        assert seen.stats(0)["err"] == -result
    if results == {0}:
        ranges.lacks("signals that come in time")


@pytest.mark.requirement("signal-unmergeable")
def test_a_signal_that_waits_ends_unmergeable(ranges: Kernel) -> None:
    """It has come while FREE slept; its handler runs when the call returns. A shim makes two calls,
    and returns from the first."""
    layout = (written(0, 2, marks=(Mark(0, 2, advice("MERGEABLE")),)),)
    both = multi(span(0, 2, "FREE"), span(0, 2, "UNMERGEABLE"))
    seen = ranges.run(
        layout, with_signal(both, SignalHow.HANDLED, 0, 2), single(span(0, 2, "UNMERGEABLE"))
    )
    in_kernel = ranges.target.facts.ranges_call is RangesCall.KERNEL
    assert seen.results == (-EINTR if in_kernel else 0, 0)
    assert seen.stats(0)["err"] == (EINTR if in_kernel else 0)
