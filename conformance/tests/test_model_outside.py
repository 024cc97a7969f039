"""Advice of a sacrificed process to memory outside the arena: the model knows VMAs, no pages."""

from __future__ import annotations

import pytest

from conformance.abi import vm_flags as f
from conformance.abi.advice import ADVICES, BY_NAME
from conformance.model.predict import predict
from conformance.program.call import Madvise, Step
from conformance.program.kernel_facts import KernelFacts
from conformance.program.mapping import Kind, Mapping
from conformance.program.places import ARENA_BASE, PAGE, ZONE_BASE, ZONE_END
from conformance.program.program import Program

FACTS = KernelFacts(release="7.3", advices=tuple(a.value for a in ADVICES))
USUAL = f.RD | f.WR | f.MR | f.MW | f.ME
OUTSIDE = (ZONE_BASE, ZONE_END, USUAL, 0)


def advise(name: str, end: int) -> Step:
    return Madvise(ARENA_BASE, end - ARENA_BASE, BY_NAME[name].value)


@pytest.mark.parametrize(
    ("name", "end", "known"),
    [
        ("DONTNEED", ZONE_BASE + PAGE, False),
        ("FREE", ZONE_END, False),
        ("GUARD_INSTALL", ZONE_END, False),
        ("DONTNEED", ZONE_BASE, True),
        ("COLD", ZONE_END, True),
        ("DONTFORK", ZONE_END, True),
    ],
)
def test_who_throws_its_own_structs_away_is_not_judged_any_more(
    name: str, end: int, known: bool
) -> None:
    steps = (advise(name, end), advise("NORMAL", ARENA_BASE + PAGE))
    program = Program((Mapping(Kind.ANON, 0, 1),), steps, whole=True)
    prediction = predict(program, FACTS, outside=OUTSIDE)
    assert not prediction.skip
    assert prediction.judged_until == (3 if known else 1)
    assert list(prediction.unspecified) == ([] if known else [1])
