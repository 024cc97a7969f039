"""Huge pages: what the model leaves open, what it knows, and where it gives up."""

from __future__ import annotations

import msgspec
import pytest

from conformance.abi.advice import BY_NAME
from conformance.abi.errnos import EINVAL
from conformance.model.predict import predict
from conformance.model.prediction import ExpectedSnapshot, Prediction
from conformance.oracle.judge import judge
from conformance.oracle.verdict import VerdictKind
from conformance.program.call import Madvise
from conformance.program.mapping import Kind, Mapping, Mark, Touch
from conformance.program.outcome import PAGE_PRESENT
from conformance.program.places import ARENA_BASE, PAGE
from conformance.program.program import Program
from conformance.target.registry import open_target
from conformance.tests.bad_outcome import FACTS

HUGE = 512
FIRST = 512  # the first page of the mapping
NEVER = msgspec.structs.replace(FACTS, thp="never")


def advice(name: str, page: int = FIRST, pages: int = HUGE) -> Madvise:
    return Madvise(ARENA_BASE + page * PAGE, pages * PAGE, BY_NAME[name].value)


def mapping(*touches: Touch, pages: int = HUGE, marks: tuple[str, ...] = ("HUGEPAGE",)) -> Mapping:
    return Mapping(
        Kind.ANON, FIRST, pages, touches=touches,
        marks=tuple(Mark(0, pages, BY_NAME[name].value) for name in marks),
    )  # fmt: skip


def after(prediction: Prediction) -> ExpectedSnapshot:
    return prediction.snapshots[-1]


def present(snapshot: ExpectedSnapshot, page: int) -> str:
    if not snapshot.page_masks.get(page, PAGE_PRESENT) & PAGE_PRESENT:
        return "maybe"
    return "yes" if snapshot.pages[page] & PAGE_PRESENT else "no"


def test_a_fault_may_make_all_of_a_huge_page_present() -> None:
    program = Program((mapping(),), (advice("POPULATE_READ", FIRST + 9, 1),))
    expected = after(predict(program, FACTS))
    assert [present(expected, FIRST + page) for page in (0, 9, 511)] == ["maybe", "yes", "maybe"]
    without = after(predict(program, NEVER))
    assert [present(without, FIRST + page) for page in (0, 9, 511)] == ["no", "yes", "no"]


@pytest.mark.parametrize(
    ("advised", "touches", "expected"),
    [
        ("HUGEPAGE", (Touch(3),), "maybe"),  # khugepaged wants one page that is there
        ("HUGEPAGE", (), "no"),
        ("NOHUGEPAGE", (Touch(3),), "no"),
        ("RANDOM", (Touch(3),), "no"),
    ],
)
def test_khugepaged_may_come_by(advised: str, touches: tuple[Touch, ...], expected: str) -> None:
    """The pages are there before the advice, so that no fault asks for a huge page."""
    program = Program((mapping(*touches, marks=()),), (advice(advised),))
    assert present(after(predict(program, FACTS)), FIRST) == expected
    assert present(after(predict(program, NEVER)), FIRST) == "no"


def test_khugepaged_leaves_guard_markers_alone() -> None:
    program = Program(
        (mapping(Touch(3), marks=()),), (advice("GUARD_INSTALL", FIRST + 9, 1), advice("HUGEPAGE"))
    )
    assert present(after(predict(program, FACTS)), FIRST) == "no"


def test_collapse_makes_missing_pages_present() -> None:
    layout = (mapping(Touch(3), marks=()),)
    expected = predict(Program(layout, (advice("COLLAPSE"),)), FACTS)
    assert expected.results[-1] == 0
    assert {present(after(expected), FIRST + page) for page in range(HUGE)} == {"yes"}


@pytest.mark.parametrize("touched", [(), (Touch(3),)])
def test_collapse_of_a_huge_page_with_nothing_in_it(touched: tuple[Touch, ...]) -> None:
    layout = (mapping(*touched, pages=2 * HUGE, marks=()),)
    expected = predict(Program(layout, (advice("COLLAPSE", FIRST, 2 * HUGE),)), FACTS)
    assert expected.results[-1] == -EINVAL
    assert present(after(expected), FIRST) == ("yes" if touched else "no")
    assert present(after(expected), FIRST + HUGE) == "no"


@pytest.mark.parametrize("goes_on", [False, True])
def test_collapse_ends_at_a_huge_page_of_nothing_or_goes_on(goes_on: bool) -> None:
    facts = msgspec.structs.replace(FACTS, collapse_passes_holes=goes_on)
    layout = (mapping(Touch(HUGE), pages=2 * HUGE, marks=()),)
    expected = predict(Program(layout, (advice("COLLAPSE", FIRST, 2 * HUGE),)), facts)
    assert expected.results[-1] == -EINVAL
    assert present(after(expected), FIRST + HUGE + 1) == ("yes" if goes_on else "no")


def test_what_the_model_does_not_know_is_told() -> None:
    layout = (mapping(Touch(3), marks=()),)
    gone = Program(layout, (advice("DONTNEED"), advice("COLLAPSE")))
    assert [u.reason for u in predict(gone, FACTS).unspecified.values()] == [
        "whether a page table lies where a huge page could be"
    ]
    lazy = Program(layout, (advice("FREE"), advice("COLLAPSE")))
    assert len(predict(lazy, FACTS).unspecified) == 1


@pytest.mark.parametrize("touch", [Touch(0), Touch(7, 1, False), Touch(0, 512)])
@pytest.mark.parametrize("name", ["COLLAPSE", "DONTNEED", "GUARD_INSTALL", "HUGEPAGE", "FREE"])
def test_this_kernel_does_so(touch: Touch, name: str) -> None:
    with open_target("host") as target:
        if target.facts.thp == "absent":
            pytest.skip("no transparent huge pages here")
        layout = (mapping(touch, pages=HUGE + 3),)
        steps = (advice("POPULATE_WRITE", FIRST + 8, 1), advice(name), advice("COLD"))
        program = Program(layout, steps)
        (outcome,) = target.run_batch([program])
        verdict = judge(program, outcome, predict(program, target.facts))
        assert verdict.kind is VerdictKind.CONFORMANT, verdict
