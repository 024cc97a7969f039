"""Expected changes of the ledger: strict to read, narrow in what they excuse."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from conformance.oracle.expected_change import Change, differing_facts, flat_facts, with_facts
from conformance.oracle.ledger import LedgerError, load_ledger, parse_pages
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.tests.bad_outcome import FACTS

GOOD = """format = 1
[[change]]
id = "gaps-stop"
fact = "populate_stops_at_gap"
before = false
after = true
since = "6.9"
backported = "6.6"
identity = ["*/POPULATE_*/*/*/*"]
reason = "because"
reference = "somewhere"
"""


def change() -> Change:
    (one,) = parse_pages(GOOD.encode(), "ledger").changes
    return one


def kernel(release: str, stops: bool) -> KernelFacts:
    return replace(FACTS, release=release, populate_stops_at_gap=stops)


@pytest.mark.parametrize(
    ("base", "head", "between"),
    [
        (("6.1", False), ("6.12.3", True), True),
        (("6.12.3", True), ("6.1", False), True),  # the way back
        (("6.1", False), ("6.6.40", True), True),  # a back-port
        (("6.1", False), ("6.5", True), False),  # before any back-port
        (("6.9", False), ("6.12", True), False),  # base should have it already
        (("6.1", True), ("6.12", False), False),  # lost where it should be there
        (("6.1", False), ("6.12", False), False),
        (("6.1", True), ("6.12", True), False),
    ],
)
def test_it_lies_between_kernels_before_and_after_it(
    base: tuple[str, bool], head: tuple[str, bool], between: bool
) -> None:
    assert change().between(kernel(*base), kernel(*head)) is between


def test_values_left_out_are_any_that_differ() -> None:
    one = replace(change(), before=None, after=None)
    assert one.between(kernel("6.1", True), kernel("6.12", False))
    assert not one.between(kernel("6.1", True), kernel("6.12", True))


def test_it_names_an_effect_by_pattern() -> None:
    assert change().names("madvise/POPULATE_READ/anon/madvise-populate-gap/page.present")
    assert not change().names("madvise/COLD/anon/madvise-populate-gap/page.present")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"populate_stops_at_gap"', '"no_such"', "knows no fact"),
        ("before = false", "before = 0", "is a bool"),
        ("before = false", "before = true", "same as before"),
        ('since = "6.9"', "", "since: is missing"),
        ('since = "6.9"', 'since = "new"', "allowed: a release"),
        ('backported = "6.6"', 'backported = "6.9"', "must be older"),
        ('identity = ["*/POPULATE_*/*/*/*"]', "identity = []", "at least one"),
        ('reason = "because"', 'reason = " "', "is empty"),
        ('reason = "because"', 'reason = "because"\nmore = 1', "not known here"),
    ],
)
def test_a_mistake_is_told_with_its_place(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(LedgerError, match=message) as told:
        parse_pages(GOOD.replace(old, new, 1).encode(), "ledger.toml")
    assert str(told.value).startswith("ledger.toml:")


def test_the_changes_of_the_corpus_speak_of_facts_that_there_are() -> None:
    changes = load_ledger().changes
    assert len(changes) > 20
    assert {one.fact for one in changes} <= flat_facts(FACTS).keys()


def test_flat_facts_name_advices_and_kinds_one_by_one() -> None:
    old = replace(FACTS, advices=(4, 8), noexec=(), ranges_call=RangesCall.ABSENT)
    new = replace(old, advices=(4, 8, 20), noexec=("perf",), ranges_call=RangesCall.SHIM)
    assert list(differing_facts(old, new)) == ["ranges_call", "advices.COLD", "noexec.perf"]
    flat = flat_facts(new)
    assert with_facts(old, {name: flat[name] for name in differing_facts(old, new)}) == new
