"""The sweeps of madvise_ranges() and of errors: whole, unique, and each may be run."""

from itertools import combinations, permutations

import pytest

from conformance.program.call import MadviseRanges, ProcessMadvise
from conformance.program.control_struct import All, ControlFields, Multi, Single
from conformance.program.validate import validate
from conformance.sweep.cells import Cell
from conformance.sweep.chapters import CHAPTERS
from conformance.sweep.error_order import _ELEMENTS, _MADVISE, _RANGES, error_order_programs
from conformance.sweep.options import ARMS, LAYOUTS, REMOTES, REPORTS, option_programs
from conformance.sweep.placements import placement_programs, places
from conformance.sweep.vma_order import CASES, vma_order_programs

OPTIONS = {one.id: one.program for one in option_programs()}
PLACEMENTS = {one.id: one.program for one in placement_programs()}
ERRORS = {one.id: one.program for one in error_order_programs()}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_ids_and_programs_are_unique_and_may_be_run(chapter: str) -> None:
    items = list(CHAPTERS[chapter]())
    assert len({one.id for one in items}) == len(items)
    assert len({one.program for one in items}) == len(items)
    for one in items:
        assert validate(one.program, isinstance(one, Cell) and one.guest) == [], one.id
        assert " " not in one.id


def test_the_chapters_share_no_id() -> None:
    ids = [one.id for make in CHAPTERS.values() for one in make()]
    assert len(set(ids)) == len(ids)


def test_every_combination_of_options_is_there_on_twelve_layouts() -> None:
    assert len(LAYOUTS) == 12
    assert len(OPTIONS) == len(ARMS) * 12 * len(REMOTES) * len(REPORTS) * 2**3
    seen = set()
    for program in OPTIONS.values():
        (call,) = program.steps
        assert isinstance(call, MadviseRanges)
        control = call.control
        assert isinstance(control, ControlFields)
        arm = control.arm
        default = isinstance(arm, All) and arm.set_default
        seen.add(
            (type(arm), default, control.is_remote, control.pidfd, control.ignore_errors,
             control.single_mapping_only, control.stop_on_gap, bool(call.stats_at),
             bool(call.per_range_at))
        )  # fmt: skip
    assert len(seen) == len(OPTIONS) / len(LAYOUTS)
    assert {row[0] for row in seen} == {Single, Multi, All}


def test_every_struct_is_put_at_every_place() -> None:
    names = {name for name, _ in places("ctl_at", 48)}
    for struct in ("single/ctl", "multi/array", "single/stats", "multi/per-range"):
        prefix = f"placement/lp64/{struct}/"
        found = {ident.removeprefix(prefix) for ident in PLACEMENTS if ident.startswith(prefix)}
        fixed = {name for name in names if not name.endswith("bytes-missing")}
        assert fixed <= found, struct
        assert any(name.endswith("bytes-missing") for name in found)
    assert sum("-on-" in ident for ident in PLACEMENTS) > 100


def test_every_two_mistakes_that_go_together_are_made_together() -> None:
    for one, other in combinations(_MADVISE, 2):
        together = f"error-order/madvise/{one.name}+{other.name}"
        assert (together in ERRORS) == (not one.sets.keys() & other.sets.keys())


def test_mistakes_of_elements_are_made_in_both_orders() -> None:
    for one, other in permutations(_ELEMENTS, 2):
        program = ERRORS[f"error-order/process_madvise/{one.name},{other.name}"]
        (call,) = program.steps
        assert isinstance(call, ProcessMadvise)
        assert [r.start for r in call.vec] == [one.start, other.start]
    for one, other in permutations(_RANGES, 2):
        assert f"error-order/madvise_ranges/{one.name},{other.name}/stop-on-gap" in ERRORS


def test_refusals_in_one_range_come_in_both_orders_on_each_surface() -> None:
    ids = {one.id for one in vma_order_programs()}
    for case in CASES:
        for pair in permutations(case.refusals, 2):
            for form in ("madvise", "process_madvise", "madvise_ranges/ignore-errors"):
                assert f"error-order/{form}/{case.advice}/{','.join(pair)}" in ids
