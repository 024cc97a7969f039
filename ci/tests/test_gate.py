"""The gate on kernels that the model plays: every class, and what must never be green."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from msgspec.structs import replace

from ci.gate.compare import Status
from ci.gate.ending import FAILED, FOUND, NOTHING, PASS, Weight, exit_code, keys, weight
from ci.gate.fact_kinds import FactKind, kind_of, named_kinds
from ci.gate.gate_tree import gate_tree
from ci.gate.programs import Programs
from ci.gate.run import Gate, digest_of, next_size
from ci.gate.state import Group, Options, State, StateError, load_state
from ci.gate.words import report_lines
from ci.report.result_tree import State as CaseState
from ci.tests.fake_kernels import FACTS, FakeKernel, facts
from conformance.model.policy import Policy
from conformance.oracle.expected_change import Change, flat_facts, with_facts
from conformance.oracle.ledger import Entry, Ledger
from conformance.program.kernel_facts import KernelFacts
from conformance.program.text import loads

FRESH = 320
EMPTY = Ledger()
FAULT = Policy()
FAULT.gap_is_error = True  # madvise_ranges() ends with ENOMEM, as madvise() does
SHOWN = Change(
    id="guard-flag-shown", fact="guard_flag", since="7.1",
    identity=("*/*/*/*/vma.flags?gu",), reference="x",
    reason="VmFlags shows where guard markers were. More.",
    before=False, after=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """Fresh ones only: the model plays the kernels, a few hundred show all there is to show."""
    listed = Programs(seed=3, fresh=FRESH, guests=True, corpus=tmp_path_factory.mktemp("none"))
    listed._sweep = []
    return listed


def gate(
    tmp_path: Path, programs: Programs, base: FakeKernel, head: FakeKernel,
    ledger: Ledger = EMPTY, budget: float = 60.0, state: State | None = None,
) -> State:  # fmt: skip
    options = Options(base.name, head.name, programs.seed, programs.fresh, "digest")
    return Gate(base, head, ledger, programs, tmp_path, state, options, budget).run()


def only(state: State, status: Status) -> Group:
    """The one class there is."""
    (group,) = state.groups.values()
    assert group.first.status is status
    return group


def test_the_same_kernel_twice_is_green_and_differs_in_nothing(
    tmp_path: Path, programs: Programs
) -> None:
    state = gate(tmp_path, programs, FakeKernel("a"), FakeKernel("b"))
    assert exit_code(state) == PASS
    assert not state.groups
    assert state.compared > FRESH // 2
    assert "exit code 0" in "\n".join(report_lines(state, EMPTY, tmp_path))


def test_a_planted_fault_in_head_is_a_regression_with_a_small_reproducer(
    tmp_path: Path, programs: Programs
) -> None:
    state = gate(tmp_path, programs, FakeKernel("a"), FakeKernel("b", policy=FAULT))
    assert exit_code(state) == FOUND
    group = only(state, Status.REGRESSION)
    assert group.settled is not None
    assert group.settled.shown == group.settled.runs == 5
    assert group.settled.compared.requirement == "walk-as-madvise"
    assert group.settled.mappings <= 3
    assert group.settled.steps <= 2
    text = (tmp_path / group.settled.file).read_bytes()
    assert len(loads(text, "reproducer").program.steps) == group.settled.steps
    said = "\n".join(report_lines(state, EMPTY, tmp_path))
    assert "REGRESSION: madvise_ranges/walk-as-madvise/" in said
    assert "walk-as-madvise" in said


def test_a_fault_that_base_had_and_head_has_not_is_a_fix(
    tmp_path: Path, programs: Programs
) -> None:
    state = gate(tmp_path, programs, FakeKernel("a", policy=FAULT), FakeKernel("b"))
    only(state, Status.FIX)
    assert exit_code(state) == PASS


def test_a_fault_of_both_is_told_and_is_no_change(tmp_path: Path, programs: Programs) -> None:
    base, head = (FakeKernel(name, policy=FAULT) for name in "ab")
    state = gate(tmp_path, programs, base, head)
    only(state, Status.BOTH)
    assert exit_code(state) == PASS


OLD = facts(release="7.0", guard_flag=False)
NEW = facts(release="7.2", guard_flag=True)


def test_a_change_that_both_models_predict_is_unexplained_without_the_ledger(
    tmp_path: Path, programs: Programs
) -> None:
    state = gate(tmp_path, programs, FakeKernel("a", OLD), FakeKernel("b", NEW))
    assert exit_code(state) == FOUND
    assert {group.first.status for group in state.groups.values()} == {Status.UNEXPLAINED}
    assert {group.first.facts for group in state.groups.values()} == {("guard_flag",)}


@pytest.mark.parametrize("way", ["forth", "back"])
def test_the_ledger_makes_it_expected(tmp_path: Path, programs: Programs, way: str) -> None:
    ledger = Ledger((), (SHOWN,))
    base, head = FakeKernel("a", OLD), FakeKernel("b", NEW)
    if way == "back":
        base, head = head, base
    state = gate(tmp_path, programs, base, head, ledger)
    group = only(state, Status.EXPECTED)
    assert group.first.ledger == (SHOWN.id,)
    assert exit_code(state) == PASS
    assert not state.stale()


@pytest.mark.parametrize(
    "change",
    [
        replace(SHOWN, since="6.9"),  # base should have it already
        replace(SHOWN, since="7.3"),  # head should not have it yet
        replace(SHOWN, before=True, after=False),
        replace(SHOWN, fact="populate_stops_at_gap"),
        replace(SHOWN, identity=("madvise/COLD/*/*/page.*",)),
    ],
    ids=["too-old", "too-new", "other-way", "other-fact", "other-effect"],
)
def test_an_entry_excuses_nothing_else(tmp_path: Path, programs: Programs, change: Change) -> None:
    base, head = FakeKernel("a", OLD), FakeKernel("b", NEW)
    state = gate(tmp_path, programs, base, head, Ledger((), (change,)))
    assert exit_code(state) == FOUND
    assert {group.first.status for group in state.groups.values()} == {Status.UNEXPLAINED}


def test_a_back_port_counts_from_where_it_may_be() -> None:
    change = replace(SHOWN, backported="7.0")
    assert change.between(OLD, replace(NEW, release="7.0.9"))
    assert not SHOWN.between(OLD, replace(NEW, release="7.0.9"))


def test_an_advice_that_is_new_is_a_feature_and_one_that_is_gone_a_regression(
    tmp_path: Path, programs: Programs
) -> None:
    less = facts(advices=tuple(value for value in FACTS.advices if value != 21))
    state = gate(tmp_path, programs, FakeKernel("a", less), FakeKernel("b"))
    assert only(state, Status.NEW_FEATURE).first.facts == ("advices.PAGEOUT",)
    assert exit_code(state) == PASS
    state = gate(tmp_path, programs, FakeKernel("a"), FakeKernel("b", less))
    assert {group.first.status for group in state.groups.values()} == {Status.REGRESSION}
    assert exit_code(state) == FOUND


def test_what_a_machine_has_is_no_change_of_the_kernel(tmp_path: Path, programs: Programs) -> None:
    other = facts(fault_around_pages=1, swap=True, memlock_bytes=0, cap_sys_nice=False)
    state = gate(tmp_path, programs, FakeKernel("a"), FakeKernel("b", other))
    assert not state.groups
    assert exit_code(state) == PASS


def test_what_one_cannot_run_is_listed_with_its_reason(tmp_path: Path, programs: Programs) -> None:
    state = gate(tmp_path, programs, FakeKernel("a"), FakeKernel("b", facts(has_mseal=False)))
    assert state.left_out["head lacks: mseal()"] > 0
    assert "head lacks: mseal()" in "\n".join(report_lines(state, EMPTY, tmp_path))


def test_nothing_that_both_can_run_is_never_green(tmp_path: Path) -> None:
    listed = Programs(seed=3, fresh=0, guests=True, corpus=tmp_path)
    listed._sweep = []
    state = gate(tmp_path, listed, FakeKernel("a"), FakeKernel("b"))
    assert exit_code(state) == NOTHING


def test_a_kernel_that_breaks_in_the_middle_is_said_and_never_green(
    tmp_path: Path, programs: Programs
) -> None:
    state = gate(tmp_path, programs, FakeKernel("a"), FakeKernel("b", fails_after=2))
    assert exit_code(state) == FAILED
    assert "does not boot any more" in state.failure
    assert 0 < state.next < state.total
    assert "does not boot any more" in "\n".join(report_lines(state, EMPTY, tmp_path))


def test_the_report_of_a_gate_that_broke_is_no_pass(tmp_path: Path, programs: Programs) -> None:
    whole = gate_tree(gate(tmp_path, programs, FakeKernel("a"), FakeKernel("b")), "0")
    assert whole.unended == ""
    assert {case.state for case in whole.cases} == {CaseState.PASS}
    state = gate(tmp_path, programs, FakeKernel("a"), FakeKernel("b", fails_after=2))
    broken = gate_tree(state, "0")
    assert "does not boot any more" in broken.unended
    assert CaseState.ERROR in {case.state for case in broken.cases}


def test_a_run_that_broke_goes_on_where_it_stood_and_ends_the_same(
    tmp_path: Path, programs: Programs
) -> None:
    whole = gate(tmp_path / "whole", programs, FakeKernel("a"), FakeKernel("b", policy=FAULT))
    folder = tmp_path / "broken"
    gate(folder, programs, FakeKernel("a"), FakeKernel("b", policy=FAULT, fails_after=3))
    kept = load_state(folder)
    assert kept is not None
    assert 0 < kept.next < kept.total
    head = FakeKernel("b", policy=FAULT)
    state = gate(folder, programs, FakeKernel("a"), head, state=kept)
    assert state.failure == ""
    assert state.tally == whole.tally
    assert keys(state, Weight.FAILS) == keys(whole, Weight.FAILS)


def test_another_kernel_under_the_same_name_is_not_gone_on_with(
    tmp_path: Path, programs: Programs
) -> None:
    gate(tmp_path, programs, FakeKernel("a"), FakeKernel("b", fails_after=2))
    kept = load_state(tmp_path)
    newer = FakeKernel("b", facts(release="7.9"))
    with pytest.raises(StateError, match=r"being Linux 7\.2, now it is 7\.9"):
        gate(tmp_path, programs, FakeKernel("a"), newer, state=kept)


def test_what_is_interrupted_is_kept_and_no_pass(tmp_path: Path, programs: Programs) -> None:
    def interrupt() -> bool:
        if head.programs_run > 200:
            raise KeyboardInterrupt
        return False

    head = FakeKernel("b", sometimes=interrupt)
    state = gate(tmp_path, programs, FakeKernel("a"), head)
    assert exit_code(state) == FAILED
    assert "interrupted" in "\n".join(report_lines(state, EMPTY, tmp_path))
    kept = load_state(tmp_path)
    assert kept is not None
    assert 0 < kept.next < kept.total


def test_two_runs_give_the_same_classes(tmp_path: Path, programs: Programs) -> None:
    states = [
        gate(tmp_path / str(i), programs, FakeKernel("a", OLD), FakeKernel("b", NEW))
        for i in range(2)
    ]
    assert states[0].groups.keys() == states[1].groups.keys()
    assert states[0].tally == states[1].tally


def test_what_shows_once_and_never_again_is_flaky_and_does_not_fail(
    tmp_path: Path, programs: Programs
) -> None:
    runs = itertools.count()
    head = FakeKernel("b", policy=FAULT, sometimes=lambda: next(runs) < FRESH)
    state = gate(tmp_path, programs, FakeKernel("a"), head)
    group = only(state, Status.REGRESSION)
    assert group.settled is not None
    assert group.settled.shown == 0
    assert weight(group) is Weight.FLAKY
    assert exit_code(state) == PASS
    assert "flaky, regression" in "\n".join(report_lines(state, EMPTY, tmp_path))


def test_what_shows_every_other_time_fails_and_says_how_often(
    tmp_path: Path, programs: Programs
) -> None:
    runs = itertools.count()
    head = FakeKernel("b", policy=FAULT, sometimes=lambda: next(runs) % 2 == 0)
    state = gate(tmp_path, programs, FakeKernel("a"), head)
    group = only(state, Status.REGRESSION)
    assert group.settled is not None
    assert 2 <= group.settled.shown < group.settled.runs
    assert exit_code(state) == FOUND


def test_an_entry_that_matches_nothing_is_stale(tmp_path: Path, programs: Programs) -> None:
    entry = Entry("fixed-long-ago", "r", "r", ("madvise/COLD/*/*/*",), since="6.0")
    state = gate(tmp_path, programs, FakeKernel("a"), FakeKernel("b"), Ledger((entry,)))
    assert state.stale() == ["fixed-long-ago"]
    assert "fixed-long-ago" in "\n".join(report_lines(state, Ledger((entry,)), tmp_path))


def test_slow_batches_get_smaller_and_quick_ones_larger_again() -> None:
    assert next_size(64, 60.0) == 16
    assert next_size(1, 60.0) == 1
    assert next_size(16, 5.0) == 16
    assert next_size(16, 0.1) == 32
    assert next_size(64, 0.1) == 64


def test_a_budget_ends_it_and_says_so(tmp_path: Path, programs: Programs) -> None:
    state = gate(tmp_path, programs, FakeKernel("a"), FakeKernel("b"), budget=1e-6)
    assert state.ended
    assert state.next < state.total
    assert exit_code(state) == NOTHING
    assert not state.stale()


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gate.json").write_text("{}")
    with pytest.raises(StateError, match="another version"):
        load_state(tmp_path)


def test_every_fact_has_a_kind_and_no_other_is_named() -> None:
    assert named_kinds() <= set(KernelFacts.__struct_fields__)
    behaves = {name for name in flat_facts(FACTS) if kind_of(name) is FactKind.BEHAVES}
    assert "populate_stops_at_gap" in behaves
    assert "swap" not in behaves


def test_flat_facts_are_put_together_again() -> None:
    other = facts(guard_flag=False, noexec=("perf",), advices=(4, 8))
    assert with_facts(other, flat_facts(FACTS)) == replace(
        FACTS, advices=tuple(sorted(FACTS.advices))
    )


def test_the_programs_of_a_number_are_always_the_same(programs: Programs) -> None:
    again = Programs(seed=3, fresh=70, guests=False)
    count = len(again)
    names = [one.name for first in range(0, count, 64) for one in again.batch(first)]
    assert len(names) == count
    assert len(set(names)) == count
    assert digest_of() == digest_of()
