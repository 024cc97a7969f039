"""All planted faults in one table: those in the shim's C and those in the model's Python."""

from __future__ import annotations

from typing import Final, NamedTuple

from fuzz.mutants.model_mutants import MODEL_MUTANTS, ModelMutant
from fuzz.mutants.shim_mutants import read_shim_mutants

SHIM, MODEL = "shim", "model"
PLACES: Final = (SHIM, MODEL)


class Mutant(NamedTuple):
    """One planted fault.

    id: stable, as people name it. where: SHIM or MODEL. requirement: the rule that it breaks.
    what: the mistake, in a line. target: what runs the programs, with the fault in it if it is
    the shim's. clean: the same without the fault. model: the fault, if it is the model's.
    """

    id: str
    where: str
    requirement: str
    what: str
    target: str
    clean: str
    model: ModelMutant | None


class MutantNameError(Exception):
    """A mutant was asked for that there is not. str() says how to see those there are."""


def catalogue() -> tuple[Mutant, ...]:
    """Every mutant. Raises shim_mutants.MutantTableError when the shim's cannot be read."""
    shim = [
        Mutant(f"shim/{row.name}", SHIM, row.requirement, row.what, row.target, "shim", None)
        for row in read_shim_mutants()
    ]
    model = [
        Mutant(f"model/{row.name}", MODEL, row.requirement, row.what, row.target, row.target, row)
        for row in MODEL_MUTANTS
    ]
    return (*shim, *model)


def chosen(patterns: tuple[str, ...], target: str) -> tuple[Mutant, ...]:
    """The mutants whose ids contain one of the patterns (all, if there are none) and whose
    effect can be seen on a target. Raises MutantNameError for a pattern that fits none."""
    mutants = catalogue()
    for pattern in patterns:
        if not any(pattern in mutant.id for mutant in mutants):
            raise MutantNameError(
                f"no mutant is called {pattern!r}; madvet mutants --list names them all"
            )
    return tuple(
        mutant
        for mutant in mutants
        if (not patterns or any(pattern in mutant.id for pattern in patterns))
        and (target == SHIM or mutant.clean == target)
    )
