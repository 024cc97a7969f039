"""Planted faults of the model: each fits the model, changes what it says, and is gone after."""

from __future__ import annotations

import pytest

from conformance.model.predict import predict
from conformance.model.prediction import Prediction
from conformance.program.kernel_facts import RangesCall
from conformance.program.program import Program
from conformance.spec.registry import load
from fuzz.generate.programs import ProgramSource
from fuzz.mutants.catalogue import MODEL, SHIM, MutantNameError, catalogue, chosen
from fuzz.mutants.model_mutants import (
    HOST,
    MODEL_MUTANTS,
    ModelMutant,
    Patch,
    PatchError,
    planted,
)
from fuzz.tests.model_target import FACTS

PROGRAMS = 40_000  # one in a hundred is of a whole process
SURFACES = {
    HOST: FACTS.__class__(
        **{
            **{name: getattr(FACTS, name) for name in FACTS.__struct_fields__},
            "ranges_call": RangesCall.ABSENT,
        }
    ),
    "shim": FACTS,
}


def said(prediction: Prediction) -> tuple[object, ...]:
    """All of a prediction that can be told from another's."""
    return (
        prediction.results,
        prediction.peeks,
        [(s.vmas, s.pages, s.page_masks, s.page_alternatives) for s in prediction.snapshots],
    )


@pytest.mark.parametrize("mutant", MODEL_MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_changes_what_the_model_says_and_leaves_no_trace(mutant: ModelMutant) -> None:
    facts = SURFACES[mutant.target]
    source = ProgramSource(1)
    changed: Program | None = None
    for index in range(PROGRAMS):
        program = source.program(index)
        right = said(predict(program, facts))
        with planted(mutant):
            wrong = said(predict(program, facts))
        if right != wrong:
            changed = program
            break
    assert changed is not None, f"no difference in {PROGRAMS} programs"
    assert said(predict(changed, facts)) == right


def test_every_mutant_breaks_a_rule_that_exists() -> None:
    assert [m.id for m in catalogue() if m.requirement not in load()] == []


def test_ids_are_unique_and_there_are_enough() -> None:
    mutants = catalogue()
    assert len({mutant.id for mutant in mutants}) == len(mutants)
    assert sum(mutant.where == MODEL for mutant in mutants) >= 15
    assert len(mutants) >= 40


def test_a_patch_point_that_has_gone_is_told() -> None:
    lost = ModelMutant("lost", "x", "x", HOST, Patch("walk", "no_such_rule", lambda rule: rule))
    with pytest.raises(PatchError, match=r"lost: walk: .*no_such_rule"), planted(lost):
        pass


def test_mutants_are_chosen_by_name_and_target() -> None:
    assert [m.id for m in chosen(("shim/gap_counted_twice",), SHIM)] == ["shim/gap_counted_twice"]
    assert all(m.clean == HOST for m in chosen((), HOST))
    assert {m.where for m in chosen(("gap",), SHIM)} == {SHIM, MODEL}
    with pytest.raises(MutantNameError, match="no_such_fault"):
        chosen(("no_such_fault",), SHIM)
