"""Calls made at the same time: what they give is what some order of their steps gives. The kernel
fixture judges each run; a case asks in addition what no order may change."""

from __future__ import annotations

from struct import unpack

import pytest

from conformance.abi.errnos import ESRCH
from conformance.cases.conftest import Kernel, Seen
from conformance.cases.layouts import madvise, single, span, vector, written
from conformance.program import call as c
from conformance.program.mapping import Mapping, Prot
from conformance.program.places import FD_PIDFD_REMOTE, PAGE, page_address

LAYOUT: tuple[Mapping, ...] = (written(0, 4),)
DELAYS = (0, 100, 1000)  # rounds: around the length of a call


def race(*actors: c.Actor) -> c.Race:
    return c.Race(actors)


def results(seen: Seen) -> list[int]:
    """Of all actors' calls, in order."""
    data = seen.outcome.peeks[0]
    return list(unpack(f"<{len(data) // 8}q", data))


@pytest.mark.requirement("race-linear", "race-counters")
@pytest.mark.parametrize("delay", DELAYS)
def test_pages_discarded_while_they_are_written(kernel: Kernel, delay: int) -> None:
    touch = c.TouchPages(0, 4)
    seen = kernel.run(
        LAYOUT,
        race(c.Actor((madvise(0, 4, "DONTNEED"),)), c.Actor((touch,), delay=delay)),
    )
    assert results(seen) == [0, 4]


@pytest.mark.requirement("race-linear")
@pytest.mark.parametrize("delay", DELAYS)
def test_a_mapping_replaced_shows_no_hole(kernel: Kernel, delay: int) -> None:
    mapping = Mapping(LAYOUT[0].kind, 0, 4)
    seen = kernel.run(
        LAYOUT,
        race(
            c.Actor((c.Mmap(mapping),), delay=delay),
            c.Actor((c.TouchPages(0, 4),), c.ActorPlace.PROCESS),
        ),
    )
    assert results(seen) == [page_address(0), 4]


@pytest.mark.requirement("race-confined")
@pytest.mark.parametrize("delay", DELAYS)
def test_what_nobody_names_is_as_it_was(ranges: Kernel, delay: int) -> None:
    call = single(span(0, 2, "DONTNEED"))
    seen = ranges.run(
        LAYOUT,
        race(c.Actor((call,)), c.Actor((c.Mprotect(page_address(1), PAGE, Prot.R),), delay=delay)),
    )
    assert seen.after(0).present(2, 3) == [True, True]


@pytest.mark.requirement("race-linear")
@pytest.mark.parametrize("delay", DELAYS)
def test_a_process_that_ends_while_it_is_advised(kernel: Kernel, delay: int) -> None:
    call = vector("COLD", (0, 4), pidfd=FD_PIDFD_REMOTE)
    seen = kernel.run(
        LAYOUT,
        race(c.Actor((call,), delay=delay), c.Actor((c.Exit(),), c.ActorPlace.REMOTE)),
    )
    assert results(seen)[0] in (4 * PAGE, -ESRCH)


@pytest.mark.requirement("race-linear")
def test_a_vector_rewritten_while_it_is_read(kernel: Kernel) -> None:
    call = vector("DONTNEED", (0, 1), (2, 1))
    length = call.vec_at + 24
    stores = (c.Store(length, 2 * PAGE), c.Store(length, PAGE))
    seen = kernel.run(LAYOUT, race(c.Actor((call,)), c.Actor(stores, delay=100, repeat=50)))
    assert results(seen)[0] in (2 * PAGE, 3 * PAGE)
