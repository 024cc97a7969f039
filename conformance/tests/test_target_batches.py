"""Programs are cut into batches that fit the ring: none lost, none twice, none too large."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.program.call import Fork, Madvise
from conformance.program.mapping import Kind, Mapping
from conformance.program.outcome import Outcome, Status
from conformance.program.places import ARENA_BASE, ARENA_PAGES_MAX
from conformance.program.program import Program
from conformance.program.wire import Observe, encode
from conformance.target import limits
from conformance.target.batches import cut, outcome_bytes_max
from conformance.target.ring import Ring
from conformance.target.target import TargetError


def program(pages: int, steps: int) -> Program:
    """Pages make its outcome large, steps its words."""
    calls = (Madvise(ARENA_BASE, 4096, 0),) * steps
    return Program((Mapping(Kind.ANON, at=0, pages=pages),), calls)


PROGRAMS = st.lists(st.builds(program, st.integers(1, 64), st.integers(1, 8)), max_size=40)


@given(PROGRAMS, st.integers(30_000, 150_000))
def test_every_program_is_in_one_batch_that_fits(programs: list[Program], part: int) -> None:
    submission, batches = cut(programs, Observe(0), part)
    at = 0
    for batch in batches:
        assert batch.submission is submission
        assert batch.first == at
        assert batch.encoded
        assert sum(map(len, batch.encoded)) <= part
        own = programs[at : at + len(batch.encoded)]
        bound = sum(map(outcome_bytes_max, own, batch.encoded, [Observe(0)] * len(own)))
        assert bound <= part
        at += len(batch.encoded)
    assert at == len(programs) == submission.missing


@given(st.integers(2, 70))
def test_halves_are_the_whole(count: int) -> None:
    submission, batches = cut([program(1, 1)] * count, Observe(0), limits.PART_BYTES)
    (batch,) = batches
    left, right = batch.halves()
    assert [*left.encoded, *right.encoded] == batch.encoded
    assert left.first == 0
    assert right.first == len(left.encoded) >= 1
    assert abs(len(left.encoded) - len(right.encoded)) <= 1
    assert left.submission is right.submission is submission


def test_what_is_not_to_be_looked_at_for_leaks_says_so() -> None:
    asked = (Observe(0), Observe.COVER_EDGES, Observe.SMAPS | Observe.NO_LEAKS)
    quick = [cut([program(1, 1)], observe, limits.PART_BYTES)[0].quick for observe in asked]
    assert quick == [False, False, True]


def test_those_that_run_alone_come_last_and_are_answered_for_in_their_place() -> None:
    sealed = Mapping(Kind.ANON, at=0, pages=1, sealed=True)
    alone = msgspec.structs.replace(program(1, 1), layout=(sealed,))
    whole = msgspec.structs.replace(program(1, 1), whole=True)
    programs = [alone, program(1, 1), whole, program(2, 1)]
    submission, (batch,) = cut(programs, Observe(0), limits.PART_BYTES)
    assert submission.order == [1, 3, 0, 2]
    assert batch.encoded == [encode(programs[i], place) for place, i in enumerate([1, 3, 0, 2])]
    for place, number in enumerate((10, 30, 0, 20)):
        submission.fill(place, Outcome(Status.DONE, (number,)))
    assert [outcome.results for outcome in submission.outcomes()] == [(0,), (10,), (20,), (30,)]


def test_a_long_batch_is_cut() -> None:
    count = limits.BATCH_PROGRAMS_MAX + 1
    _, batches = cut([program(1, 1)] * count, Observe(0), limits.PART_BYTES)
    assert [len(batch.encoded) for batch in batches] == [limits.BATCH_PROGRAMS_MAX, 1]


def test_a_program_too_large_for_the_ring_is_named() -> None:
    programs = [program(1, 1), program(1, 1), program(ARENA_PAGES_MAX, 1)]
    with pytest.raises(TargetError, match="program 2 of this batch is too large for the ring"):
        cut(programs, Observe(0), 50_000)


def test_the_largest_program_fits_the_usual_ring() -> None:
    largest = Program((Mapping(Kind.ANON, at=0, pages=ARENA_PAGES_MAX),), (Fork(),) * 8, whole=True)
    _, batches = cut([largest], Observe.EACH_STEP, limits.PART_BYTES)
    assert len(batches) == 1


def test_each_snapshot_is_counted() -> None:
    calls = (Madvise(ARENA_BASE, 4096, 0), Fork())
    one = Program((Mapping(Kind.ANON, at=0, pages=9),), calls)
    encoded = b"".join(cut([one], Observe(0), limits.PART_BYTES)[1][0].encoded)
    usual = outcome_bytes_max(one, encoded, Observe(0))
    each = outcome_bytes_max(one, encoded, Observe.EACH_STEP)
    assert each - usual == 2 * (8 + 9 * limits.SNAPSHOT_BYTES_PER_PAGE)


def test_an_outcome_is_noted_once() -> None:
    submission, _ = cut([program(1, 1)], Observe(0), limits.PART_BYTES)
    submission.fill(0, Outcome(Status.DONE, ()))
    with pytest.raises(AssertionError, match="twice"):
        submission.fill(0, Outcome(Status.DONE, ()))


def test_ring_parts_are_apart() -> None:
    ring = Ring(part_bytes=4096)
    try:
        assert ring.put(0, [b"a" * 8, b"b" * 8]) == 16
        assert ring.put(1, [b"c" * 4096]) == 4096
        memory = ring.answer(0, 4096).obj
        assert bytes(memory)[:16] == b"a" * 8 + b"b" * 8
        assert bytes(memory)[4096:8192] == b"c" * 4096
        assert bytes(ring.answer(0, 4096)) == bytes(4096) == bytes(ring.answer(1, 4096))
    finally:
        ring.close()
        ring.close()


@pytest.mark.parametrize("size", [-1, 4097, 1 << 64])
def test_an_answer_larger_than_a_part_is_refused(size: int) -> None:
    ring = Ring(part_bytes=4096)
    try:
        with pytest.raises(ValueError, match="an answer of"):
            ring.answer(0, size)
        with pytest.raises(ValueError, match="do not fit"):
            ring.put(0, [bytes(4097)])
    finally:
        ring.close()
