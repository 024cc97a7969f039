"""The oracle: it accepts what the model allows and rejects every wrong outcome in bad_outcomes/."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from conformance.abi import vm_flags
from conformance.model.allowed import Alternative, Unspecified
from conformance.model.predict import predict
from conformance.oracle.identity import identify
from conformance.oracle.judge import judge
from conformance.oracle.verdict import CONFORMANT, Verdict, VerdictKind
from conformance.program.call import Madvise
from conformance.program.mapping import Kind, Mapping, Touch
from conformance.program.outcome import (
    PAGE_PRESENT,
    PAGE_READ,
    Outcome,
    Snapshot,
    Status,
)
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from conformance.tests.bad_outcome import FACTS, FOLDER, as_predicted, changed, read

BAD = sorted(FOLDER.glob("*.toml"))
PROGRAM = Program(
    (Mapping(Kind.ANON, 0, 2, touches=(Touch(0, 2),)),),
    (Madvise(page_address(0), PAGE, 2), Madvise(page_address(1), PAGE, 4)),
)


def test_a_verdict_is_a_harness_error_until_there_is_evidence() -> None:
    assert Verdict().kind is VerdictKind.HARNESS_ERROR
    assert not Verdict().bad


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_wrong_outcome_is_rejected_for_the_right_reason(path: Path) -> None:
    bad = read(path)
    program = bad.load()
    prediction = predict(program, FACTS)
    outcome = as_predicted(prediction)
    assert judge(program, outcome, prediction).kind is VerdictKind.CONFORMANT
    for change in bad.change:
        outcome = changed(outcome, change, prediction)
    verdict = judge(program, outcome, prediction)
    expected = bad.verdict
    assert verdict.kind.value == expected.kind
    assert expected.reason in verdict.reason
    if expected.differences >= 0:
        assert len(verdict.differences) == expected.differences
    if expected.field:
        first = verdict.differences[0]
        assert (first.field, first.requirement) == (expected.field, expected.requirement)
        assert expected.words in first.words
        assert first.requirement in verdict.requirements
    if expected.identity:
        assert str(identify(program, verdict)) == expected.identity
    assert verdict.bad == (expected.kind not in ("skipped", "harness-error"))


def test_there_is_a_wrong_outcome_for_every_kind_of_verdict() -> None:
    seen = {read(path).verdict.kind for path in BAD}
    assert seen == {kind.value for kind in VerdictKind} - {"conformant"}


def test_what_is_as_predicted_gets_the_shared_verdict() -> None:
    prediction = predict(PROGRAM, FACTS)
    assert judge(PROGRAM, as_predicted(prediction), prediction) is CONFORMANT


def test_soft_dirty_is_not_compared() -> None:
    prediction = predict(PROGRAM, FACTS)
    outcome = as_predicted(prediction)
    (snapshot,) = outcome.snapshots
    vmas = list(snapshot.vmas)
    vmas[2] ^= vm_flags.SD
    seen = replace(outcome, snapshots=(replace(snapshot, vmas=tuple(vmas)),))
    assert judge(PROGRAM, seen, prediction) is CONFORMANT


def test_an_alternative_is_allowed_and_what_follows_is_not_judged() -> None:
    prediction = predict(PROGRAM, FACTS)
    outcome = as_predicted(prediction)
    first = len(PROGRAM.setup())
    seen = replace(outcome, results=(*outcome.results[:first], -11, -22), snapshots=())
    assert judge(PROGRAM, seen, prediction).bad
    prediction.alternatives[first] = (Alternative(-11, "no-memory"),)
    verdict = judge(PROGRAM, seen, prediction)
    assert verdict.kind is VerdictKind.CONFORMANT
    assert verdict.unspecified == 2  # its own effects, and the step after it


def test_another_value_than_the_alternatives_is_a_divergence_that_names_them_all() -> None:
    prediction = predict(PROGRAM, FACTS)
    first = len(PROGRAM.setup())
    prediction.alternatives[first] = (Alternative(-11, "no-memory"),)
    outcome = as_predicted(prediction)
    seen = replace(outcome, results=(*outcome.results[:first], -22, 0))
    (difference,) = judge(PROGRAM, seen, prediction).differences
    assert difference.model == "0 or -EAGAIN"


def test_an_unspecified_result_is_not_compared_and_counted() -> None:
    prediction = predict(PROGRAM, FACTS)
    first = len(PROGRAM.setup())
    prediction.unspecified[first] = Unspecified("nobody knows")
    outcome = as_predicted(prediction)
    assert judge(PROGRAM, outcome, prediction).unspecified == 1
    seen = replace(outcome, results=(*outcome.results[:first], -22, 0))
    verdict = judge(PROGRAM, seen, prediction)
    assert (verdict.kind, verdict.unspecified) == (VerdictKind.CONFORMANT, 1)


def test_nothing_is_judged_from_the_step_on_where_the_model_lost_the_state() -> None:
    prediction = predict(PROGRAM, FACTS)
    first = len(PROGRAM.setup())
    outcome = as_predicted(prediction)
    (snapshot,) = outcome.snapshots
    seen = replace(
        outcome,
        results=(*outcome.results[: first + 1], -22),
        snapshots=(Snapshot(snapshot.step, False, (), (0, 0)),),
    )
    assert judge(PROGRAM, seen, prediction).bad
    prediction.judged_until = first + 1
    verdict = judge(PROGRAM, seen, prediction)
    assert (verdict.kind, verdict.unspecified) == (VerdictKind.CONFORMANT, 1)
    prediction.judged_until = first
    assert judge(PROGRAM, outcome, prediction).unspecified == 2


def test_a_death_where_the_state_is_unknown_is_a_crash_only_if_no_fault_explains_it() -> None:
    prediction = predict(PROGRAM, FACTS)
    first = len(PROGRAM.setup())
    prediction.judged_until = first
    outcome = as_predicted(prediction)
    killed = replace(
        outcome, status=Status.KILLED, step=first, results=outcome.results[:first], snapshots=()
    )
    assert judge(PROGRAM, replace(killed, signal=11), prediction).kind is VerdictKind.CONFORMANT
    assert judge(PROGRAM, replace(killed, signal=9), prediction).kind is VerdictKind.CRASH


def test_a_predicted_death_is_conformant_and_survival_is_not() -> None:
    prediction = predict(PROGRAM, FACTS)
    first = len(PROGRAM.setup())
    prediction.dies_at, prediction.dies_of = first + 1, 7
    outcome = as_predicted(prediction)
    killed = replace(
        outcome,
        status=Status.KILLED, signal=7, step=first + 1,
        results=outcome.results[: first + 1], snapshots=(),
    )  # fmt: skip
    assert judge(PROGRAM, killed, prediction).kind is VerdictKind.CONFORMANT
    assert judge(PROGRAM, replace(killed, signal=11), prediction).kind is VerdictKind.CRASH
    survived = judge(PROGRAM, outcome, prediction)
    assert survived.kind is VerdictKind.DIVERGENCE
    assert survived.differences[0].field == "survives"


def test_a_program_that_needs_what_the_target_lacks_is_skipped_whatever_came_back() -> None:
    prediction = predict(PROGRAM, FACTS)
    outcome = as_predicted(prediction)
    prediction.skip = "no secretmem here"
    verdict = judge(PROGRAM, outcome, prediction)
    assert (verdict.kind, verdict.reason) == (VerdictKind.SKIPPED, "no secretmem here")
    silent = judge(PROGRAM, Outcome(Status.NOT_RUN, ()), predict(PROGRAM, FACTS))
    assert silent.kind is VerdictKind.SKIPPED
    assert silent.reason


@pytest.mark.parametrize(
    ("expected", "mask", "seen", "good"),
    [
        (PAGE_PRESENT | PAGE_READ | 5, ~0, PAGE_PRESENT | PAGE_READ | 5, True),
        (PAGE_PRESENT | PAGE_READ | 5, ~0, PAGE_PRESENT | PAGE_READ | 6, False),
        (PAGE_PRESENT | PAGE_READ | 5, ~PAGE_PRESENT & ~PAGE_READ, 0, True),
        (PAGE_PRESENT | PAGE_READ | 5, ~PAGE_PRESENT & ~PAGE_READ, PAGE_PRESENT | PAGE_READ, False),
        (PAGE_PRESENT | PAGE_READ | 5, ~PAGE_READ, 0, False),
        (PAGE_PRESENT, ~0, PAGE_PRESENT | PAGE_READ | 7, False),
        (0, 0, PAGE_PRESENT | PAGE_READ | 7, True),
    ],
)
def test_a_page_is_compared_under_its_mask_and_content_only_when_both_looked(
    expected: int, mask: int, seen: int, good: bool
) -> None:
    prediction = predict(PROGRAM, FACTS)
    snapshot = prediction.snapshots[-1]
    snapshot.pages[0] = expected
    snapshot.page_masks[0] = mask & ((1 << 37) - 1)
    outcome = as_predicted(prediction)
    (last,) = outcome.snapshots
    changed_pages = replace(last, pages=(seen, *last.pages[1:]))
    verdict = judge(PROGRAM, replace(outcome, snapshots=(changed_pages,)), prediction)
    assert (verdict.kind is VerdictKind.CONFORMANT) == good


def test_an_alternative_word_of_a_page_is_as_good() -> None:
    prediction = predict(PROGRAM, FACTS)
    snapshot = prediction.snapshots[-1]
    snapshot.page_alternatives[0] = (PAGE_PRESENT | PAGE_READ, 0)
    outcome = as_predicted(prediction)
    (last,) = outcome.snapshots
    for word, good in ((0, True), (PAGE_PRESENT | PAGE_READ, True), (PAGE_PRESENT, False)):
        pages = (word, *last.pages[1:])
        seen = replace(outcome, snapshots=(replace(last, pages=pages),))
        assert (judge(PROGRAM, seen, prediction) is CONFORMANT) == good


def test_what_the_kernel_says_counts_even_of_a_program_that_was_not_to_run() -> None:
    prediction = predict(PROGRAM, FACTS)
    said = replace(as_predicted(prediction), log="kernel BUG in f\nkernel BUG at mm/f.c:1!")
    prediction.skip = "no secretmem here"
    for outcome in (said, Outcome(Status.NOT_RUN, (), log=said.log)):
        verdict = judge(PROGRAM, outcome, prediction)
        assert (verdict.kind, verdict.log) == (VerdictKind.CRASH, said.log)
        assert identify(PROGRAM, verdict).difference == "kernel BUG in f"


@pytest.mark.parametrize("step", [0, 1, 99])
def test_a_crash_in_any_step_even_one_that_is_none_is_a_verdict(step: int) -> None:
    outcome = Outcome(Status.CRASHED, (), step=step, log="a/b title\nmore")
    verdict = judge(PROGRAM, outcome, predict(PROGRAM, FACTS))
    assert verdict.kind is VerdictKind.CRASH
    assert str(identify(PROGRAM, verdict)) == "kernel/any/any/kernel-quiet/a|b title"


def test_where_nobody_knows_the_step_none_is_named_but_the_only_one() -> None:
    gone = Outcome(Status.CRASHED, (), log="kernel BUG in f")
    two = judge(PROGRAM, gone, predict(PROGRAM, FACTS))
    assert two.differences[0].words == "some step: kernel log: kernel BUG in f"
    single = replace(PROGRAM, steps=PROGRAM.steps[:1])
    one = judge(single, gone, predict(single, FACTS))
    assert one.differences[0].words.startswith("step 1 madvise(arena, 1p, SEQUENTIAL): kernel log")
