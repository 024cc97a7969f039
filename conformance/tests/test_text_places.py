"""Addresses, lengths, page runs, advices and pidfds as words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.abi.advice import ADVICES
from conformance.program import places as p
from conformance.program import text_places as t
from conformance.tests.program_strategies import ADDRESSES, LENGTHS


@given(ADDRESSES)
def test_every_address_comes_back(value: int) -> None:
    assert t.address_value(t.address_text(value)) == value


@given(LENGTHS)
def test_every_length_comes_back(value: int) -> None:
    assert t.length_value(t.length_text(value)) == value


@given(st.integers(0, 3000), st.integers(1, 3000))
def test_every_run_of_pages_comes_back(page: int, pages: int) -> None:
    assert t.run_value(t.run_text(page, pages)) == (page, pages)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "null"),
        (8, "null+0x8"),
        (p.ARENA_BASE, "arena"),
        (p.ARENA_BASE - p.PAGE, "arena-1p"),
        (p.ARENA_BASE + 3 * p.PAGE + 0x10, "arena+3p+0x10"),
        (p.ZONE_BASE + 0x400, "zone+0x400"),
        (p.ZONE_END - 20, "zone_end-20"),
        (p.ZONE_END, "zone_end"),
        (p.ZONE_RO_BASE + 0x100, "ro_zone+0x100"),
        (p.ZONE_RO_END - 8, "ro_zone_end-8"),
        (p.UNMAPPED, "unmapped"),
        (p.EXECUTOR_BASE, "executor"),
        (p.TASK_SIZE, "top"),
        (p.TASK_SIZE - 1, "top-1"),
        (p.NONCANONICAL, "noncanonical"),
        (p.KERNEL, "kernel"),
        ((1 << 64) - p.PAGE, "0xfffffffffffff000"),
    ],
)
def test_places_have_their_names(value: int, text: str) -> None:
    assert t.address_text(value) == text
    assert t.address_value(text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1, "1"), (4095, "4095"), (4096, "1p"), (8193, "2p+1"), (8184, "2p-8"),
     (4096 * 4096, "4096p"), (4097 * 4096, "0x1001000")],
)  # fmt: skip
def test_lengths_are_written_by_pages(value: int, text: str) -> None:
    assert t.length_text(value) == text
    assert t.length_value(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "arena+", "arena+3q", "arena 3p", "Arena", "+3p", "3p", "0x", "0xg", "arena-70000p",
     "top+0xffffffffffffffff", "arena+999999999999999999999", "-1", "arena+0x1p"],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"unmapped.*\+3p"):
        t.address_value(text)


@pytest.mark.parametrize(
    "text",
    ["", "p", "4pp", "2p1", "+1", "-1", "1.5p", "0x", "1p-5000", "0x1p", "five", "9" * 20],
)
def test_what_is_no_length_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(ValueError, match=r'"2p\+1"'):
        t.length_value(text)


@pytest.mark.parametrize("text", ["", "..", "1..", "..1", "3..1", "-1", "a", "1..2..3", "1-2"])
def test_what_are_no_pages_is_refused_with_what_are(text: str) -> None:
    with pytest.raises(ValueError, match=r'"0\.\.3"'):
        t.run_value(text)


def test_every_advice_has_its_name_and_others_their_number() -> None:
    for row in ADVICES:
        assert t.advice_word(row.value) == row.name
        assert t.advice_value(row.name) == t.advice_value("MADV_" + row.name) == row.value
    assert t.advice_word(26) == t.advice_value(26) == 26
    with pytest.raises(ValueError, match="GUARD_INSTALL"):
        t.advice_value("26")


def test_every_pidfd_has_its_name_and_others_their_number() -> None:
    assert len(set(t.PIDFDS.values())) == len(t.PIDFDS)
    for name, number in t.PIDFDS.items():
        assert t.pidfd_word(number) == name
        assert t.pidfd_value(name) == number
    assert t.pidfd_word(-7) == t.pidfd_value(-7) == -7
    with pytest.raises(ValueError, match="zombie"):
        t.pidfd_value("me")


def test_places_do_not_overlap() -> None:
    for one, other in zip(t.PLACES, t.PLACES[1:], strict=False):
        assert one.first < one.after <= other.first < other.after
