"""Coverage: what an outcome may say of the kernel's paths, and that a kernel says the truth."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from math import gcd

import pytest

from conformance.abi.advice import BY_NAME
from conformance.program.call import Fork, Madvise, Munmap
from conformance.program.mapping import Kind, Mapping, Prot, Touch
from conformance.program.outcome import Coverage, Outcome, Status
from conformance.program.places import ARENA_BASE, PAGE
from conformance.program.program import Program
from conformance.program.wire import (
    COVER_EDGES_MAX,
    COVER_PLACES_MAX,
    MAGIC_OUTCOME,
    Observe,
    Section,
)
from conformance.program.wire_outcome import decode
from conformance.target.batches import cut, outcome_bytes_max
from conformance.target.guest_images import find_image
from conformance.target.limits import PART_BYTES
from conformance.target.registry import open_target
from conformance.target.target import Target, TargetError


def outcome_with(*sections: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<2I", which, len(data) // 8) + data for which, data in sections)
    return struct.pack("<4Q", 4 + len(body) // 8 | MAGIC_OUTCOME << 32, 5, 0, 0) + body


def edges_section(*edges: int) -> tuple[int, bytes]:
    data = struct.pack(f"<Q{len(edges)}H", len(edges), *edges)
    return Section.EDGES, data + bytes(-len(data) % 8)


def test_sections_are_read() -> None:
    places = (Section.PLACES, struct.pack("<4Q", 0x60001005, 7, 0x60001105, 1))
    data = outcome_with(edges_section(3, 65535, 4, 5, 6), places)
    ident, outcome, end = decode(data + b"more")[:3]
    assert (ident, end) == (5, len(data))
    assert outcome.coverage == Coverage((3, 65535, 4, 5, 6), (0x60001005, 7, 0x60001105, 1))


def test_nothing_new_is_not_the_same_as_no_coverage() -> None:
    assert decode(outcome_with(edges_section()))[1].coverage == Coverage(())
    assert decode(outcome_with())[1].coverage is None


def test_an_unknown_section_is_a_corrupted_ring() -> None:
    with pytest.raises(ValueError, match="no section 77"):
        decode(outcome_with((77, bytes(8))))


def test_sections_have_room_in_the_ring() -> None:
    one = Program((Mapping(Kind.ANON, at=0, pages=9),), (Madvise(ARENA_BASE, PAGE, 0),))
    encoded = b"".join(cut([one], Observe(0), PART_BYTES)[1][0].encoded)
    usual = outcome_bytes_max(one, encoded, Observe(0))
    edges = outcome_bytes_max(one, encoded, Observe.COVER_EDGES) - usual
    places = outcome_bytes_max(one, encoded, Observe.COVER_NEW | Observe.COVER_PLACES) - usual
    assert edges >= 2 * COVER_EDGES_MAX
    assert places >= 16 * COVER_PLACES_MAX


@pytest.fixture(scope="module")
def uml() -> Iterator[Target]:
    try:
        find_image("uml")
    except TargetError as error:
        pytest.skip(str(error))
    with open_target("uml") as target:
        yield target


def program(advice: str, pages: int = 4, whole: bool = False) -> Program:
    layout = (Mapping(Kind.ANON, 0, 4, touches=(Touch(0, 4),)), Mapping(Kind.ANON, 4, 2, Prot.R))
    return Program(layout, (Madvise(ARENA_BASE, pages * PAGE, BY_NAME[advice].value),), whole=whole)


def edges(target: Target, *programs: Program) -> list[set[int]]:
    def of(outcome: Outcome) -> set[int]:
        assert outcome.status is Status.DONE
        assert outcome.coverage is not None
        return set(outcome.coverage.edges)

    return [of(outcome) for outcome in target.run_batch(programs, Observe.COVER_EDGES)]


def test_other_paths_are_other_edges_and_the_same_path_the_same(uml: Target) -> None:
    first, other, again = edges(uml, program("RANDOM"), program("DONTNEED"), program("RANDOM"))
    assert first == again
    assert len(first - other) > 5
    assert len(other - first) > 5


def test_a_split_takes_edges_that_a_whole_mapping_does_not(uml: Target) -> None:
    whole, part = edges(uml, program("RANDOM", 4), program("RANDOM", 2))
    assert len(part - whole) > 20


def test_the_sacrificed_process_is_traced(uml: Target) -> None:
    usual, sacrificed, other = edges(
        uml, program("RANDOM"), program("RANDOM", whole=True), program("DONTNEED", whole=True)
    )
    advice = usual - edges(uml, Program(program("RANDOM").layout, (Fork(),)))[0]
    assert advice & sacrificed
    assert sacrificed - other


def test_what_was_told_is_not_told_again(uml: Target) -> None:
    """An executor of its own: this one has told everything to those before."""
    with open_target("uml") as fresh:
        new = Observe.COVER_NEW
        outcomes = fresh.run_batch([program("COLD"), program("COLD"), program("FREE")], new)
        told = [o.coverage.edges for o in outcomes if o.coverage is not None]
    assert len(told) == 3
    assert len(told[0]) > 50
    assert told[1] == ()
    assert told[2]
    assert not set(told[0]) & set(told[2])


def test_places_are_counted_since_they_were_asked_for(uml: Target) -> None:
    asked = Observe.COVER_NEW | Observe.COVER_PLACES
    uml.run_batch([program("COLD")], asked)  # from here on
    batches = [uml.run_batch([program("COLD")] * n, Observe.COVER_NEW) for n in (1, 2)]
    assert [len(batch) for batch in batches] == [1, 2]
    (outcome,) = uml.run_batch([program("COLD")], asked)
    assert outcome.coverage is not None
    counts = dict(zip(outcome.coverage.places[::2], outcome.coverage.places[1::2], strict=True))
    assert len(counts) > 50
    # Four runs that do the same, or more: a small batch is repeated when it seems to leak.
    assert gcd(*counts.values()) >= 4


def test_who_does_not_ask_is_not_told(uml: Target) -> None:
    assert uml.run_batch([program("COLD")])[0].coverage is None


def test_a_program_that_dies_tells_how_far_it_came(uml: Target) -> None:
    """Its own text goes: the process cannot even execute the instruction behind the call."""
    steps = (Munmap(ARENA_BASE, PAGE), Munmap(0, 1 << 46), Munmap(ARENA_BASE, PAGE))
    dying = Program((Mapping(Kind.ANON, 0, 4),), steps, whole=True)
    outcome = uml.run_batch([dying], Observe.COVER_EDGES)[0]
    assert outcome.status is Status.KILLED
    assert outcome.coverage is not None
    assert len(outcome.coverage.edges) > 50


def test_a_kernel_without_kcov_says_nothing() -> None:
    with open_target("host") as host:
        outcome = host.run_batch([program("COLD")], Observe.COVER_EDGES)[0]
    assert outcome.status is Status.DONE
    assert outcome.coverage is None or len(outcome.coverage.edges) > 10
