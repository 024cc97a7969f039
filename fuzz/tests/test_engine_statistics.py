"""Counters add up, and steps are counted where they belong."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from conformance.program.call import (
    Fork,
    IoRange,
    Madvise,
    MadviseRanges,
    ProcessMadvise,
    Step,
)
from conformance.program.control_struct import (
    All,
    ControlBytes,
    ControlFields,
    Multi,
    Range,
    Single,
)
from conformance.program.program import Program
from fuzz.engine.statistics import (
    NO_RANGES,
    NOTES_MAX,
    OTHER,
    RAW,
    CallCensus,
    Tally,
    argument_name,
    note,
    total,
)

NAMES = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 9))
TALLIES = st.builds(
    Tally,
    programs=st.integers(0, 9),
    steps=st.integers(0, 9),
    verdicts=NAMES,
    known=NAMES,
    findings=NAMES,
    unspecified_reasons=NAMES,
)


@given(st.lists(TALLIES, max_size=4))
def test_the_sum_does_not_depend_on_the_order(tallies: list[Tally]) -> None:
    before = msgspec.json.encode(tallies)
    forward, backward = total(tallies), total(tallies[::-1])
    assert forward == backward
    assert forward.programs == sum(t.programs for t in tallies)
    assert sum(forward.known.values()) == sum(sum(t.known.values()) for t in tallies)
    assert msgspec.json.encode(tallies) == before


def test_every_counter_is_added() -> None:
    """A field that add() forgets would be lost in silence."""
    one = Tally()
    for name in Tally.__struct_fields__:
        value = getattr(one, name)
        if isinstance(value, int):
            setattr(one, name, 3)
        elif isinstance(value, dict):
            value["x"] = 3
        else:
            value.append("words")
    out = Tally()
    out.add(one)
    assert out == one


def test_harness_errors_are_kept_only_up_to_the_limit() -> None:
    tally = Tally()
    for i in range(NOTES_MAX + 5):
        note(tally.harness_errors, f"error {i}")
    more = Tally(harness_errors=["another"])
    tally.add(more)
    assert len(tally.harness_errors) == NOTES_MAX


def test_calls_are_counted_by_surface_and_advice() -> None:
    steps: tuple[Step, ...] = (
        Madvise(0, 0, 4),
        Madvise(0, 0, (1 << 32) | 4),  # the kernel takes an int
        Madvise(0, 0, 77),
        ProcessMadvise(21, (IoRange(0, 0),)),
        MadviseRanges(ControlFields(Single(Range(0, 0, 2)))),
        MadviseRanges(ControlFields(Multi((Range(0, 0, 20), Range(0, 0, 1))))),
        MadviseRanges(ControlFields(Multi())),
        MadviseRanges(ControlFields(All(14))),
    )
    census = CallCensus()
    census.add(Program((), steps))
    census.add(Program((), (Fork(), MadviseRanges(ControlBytes("00")))))
    tally = Tally()
    census.take(tally)
    assert tally.steps == 10
    assert tally.surfaces == {"madvise": 3, "process_madvise": 1, "madvise_ranges": 5}
    assert tally.advices == {
        "DONTNEED": 2, OTHER: 1, "PAGEOUT": 1, "SEQUENTIAL": 1, "COLD": 1, NO_RANGES: 1,
        "HUGEPAGE": 1, RAW: 1,
    }  # fmt: skip
    census.take(tally)
    assert tally.steps == 10


def test_names_of_arguments() -> None:
    assert argument_name(4) == "DONTNEED"
    assert argument_name((1 << 64) - 1) == OTHER
    assert argument_name(-1) == OTHER
