"""The drivers: each keeps the bounds, and the same choices make the same program."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.generate.bytes_chooser import BytesChooser
from fuzz.generate.chooser import Chooser, IntegerChooser, table
from fuzz.generate.exhaustive import ExhaustiveChooser, every
from fuzz.generate.hypothesis_chooser import HypothesisChooser
from fuzz.generate.programs import generate
from fuzz.generate.seeded import SeededChooser

WIDE = (1 << 64) - 1


class Recorder(IntegerChooser):
    """Choices of another source, kept."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.kept: list[tuple[int, int]] = []

    def integer(self, low: int, high: int) -> int:
        drawn = self._random.randint(0, high - low)
        self.kept.append((drawn, high - low + 1))
        return low + drawn


def check_bounds(chooser: Chooser) -> None:
    for low, high in ((0, 0), (0, 1), (3, 9), (-5, 5), (0, 0xFFFE), (0, 0xFFFF), (1, WIDE)):
        assert low <= chooser.integer(low, high) <= high
    assert chooser.pick((7,)) == 7
    assert chooser.pick((1, 2, 3)) in (1, 2, 3)
    assert not chooser.chance(0, 5)
    assert chooser.chance(5, 5)


@given(st.integers(0, WIDE), st.integers(0, WIDE))
def test_seeded_choices_keep_their_bounds(campaign: int, index: int) -> None:
    chooser = SeededChooser()
    chooser.reseed(campaign, index)
    check_bounds(chooser)


@given(st.binary(max_size=64))
def test_choices_from_bytes_keep_their_bounds(data: bytes) -> None:
    check_bounds(BytesChooser(data))


@st.composite
def hypothesis_choosers(draw: st.DrawFn) -> HypothesisChooser:
    chooser = HypothesisChooser(draw)
    check_bounds(chooser)
    return chooser


@given(hypothesis_choosers())
def test_choices_from_hypothesis_keep_their_bounds(chooser: HypothesisChooser) -> None:
    assert isinstance(chooser, HypothesisChooser)


def test_every_value_of_a_span_is_drawn() -> None:
    chooser = SeededChooser(1)
    assert {chooser.integer(-2, 4) for _ in range(500)} == set(range(-2, 5))
    assert {chooser.pick((4, 5, 6)) for _ in range(100)} == {4, 5, 6}


def test_a_chance_has_its_frequency_and_false_is_simplest() -> None:
    chooser = SeededChooser(2)
    hits = sum(chooser.chance(3, 10) for _ in range(10000))
    assert 2800 < hits < 3200  # 3000, standard deviation 46
    assert not BytesChooser(b"").chance(9, 10)


def test_wide_spans_use_all_their_bits() -> None:
    chooser = SeededChooser(3)
    seen = 0
    for _ in range(200):
        seen |= chooser.integer(0, WIDE)
    assert seen == WIDE


def test_a_seed_gives_these_numbers_on_every_machine() -> None:
    # Known answers, the same on CPython 3.7 to 3.13.
    chooser = SeededChooser()
    chooser.reseed(1, 2)
    assert [chooser.integer(0, 99) for _ in range(6)] == [95, 62, 11, 44, 9, 55]
    assert chooser.integer(0, WIDE) == 1468705492843928524
    assert chooser.pick(tuple(range(50))) == 33
    assert [chooser.chance(1, 2) for _ in range(6)] == [False, True, False, False, False, False]


def test_the_seed_of_a_program_is_the_pair() -> None:
    def first(campaign: int, index: int) -> int:
        chooser = SeededChooser()
        chooser.reseed(campaign, index)
        return chooser.integer(0, WIDE)

    assert len({first(a, b) for a in range(30) for b in range(30)}) == 900
    assert first(-1, 0) == first(WIDE, 0)


@pytest.mark.parametrize("seed", range(20))
def test_the_same_choices_make_the_same_program_in_another_driver(seed: int) -> None:
    recorder = Recorder(seed)
    program = generate(recorder)
    data = b"".join(
        drawn.to_bytes(((span - 1).bit_length() + 7) // 8, "little")
        for drawn, span in recorder.kept
    )
    chooser = BytesChooser(data)
    assert generate(chooser) == program
    assert chooser.used() == len(data)
    exhaustive = ExhaustiveChooser([drawn for drawn, _ in recorder.kept])
    assert generate(exhaustive) == program


@given(st.binary(max_size=400))
def test_every_byte_string_is_a_program(data: bytes) -> None:
    program = generate(BytesChooser(data))
    assert program.layout
    assert program.steps


def test_bytes_that_run_out_make_the_simplest_program() -> None:
    program = generate(BytesChooser(b""))
    assert len(program.layout) == len(program.steps) == 1
    assert program.layout[0].pages == 1
    assert not program.layout[0].touches
    assert not program.layout[0].marks


def two_then_maybe_three(chooser: Chooser) -> tuple[int, ...]:
    first = chooser.integer(5, 6)
    second = chooser.pick(("a", "b", "c")) if first == 6 else "-"
    return (first, ord(second), chooser.chance(1, 2))


def test_enumeration_is_complete_ordered_and_without_repeats() -> None:
    seen = list(every(two_then_maybe_three))
    expected = [(5, ord("-"), False), (5, ord("-"), True)]
    expected += [(6, ord(letter), flag) for letter in "abc" for flag in (False, True)]
    assert seen == expected


def test_a_table_repeats_by_weight() -> None:
    assert table((2, "x"), (0, "y"), (1, "z")) == ("x", "x", "z")
