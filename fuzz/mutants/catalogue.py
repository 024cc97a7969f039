"""All planted faults in one table: in the shim's C, in the model's Python, in the kernel's C."""

from __future__ import annotations

from typing import Final, NamedTuple

from fuzz.mutants.kernel_mutants import GUESTS, clean_target, read_kernel_mutants
from fuzz.mutants.model_mutants import MODEL_MUTANTS, ModelMutant
from fuzz.mutants.shim_mutants import RACE_HEADER, read_shim_mutants

SHIM, MODEL, KERNEL, RACE = "shim", "model", "kernel", "race"
PLACES: Final = (SHIM, MODEL, KERNEL, RACE)


class Mutant(NamedTuple):
    """One planted fault.

    id: stable, as people name it. where: SHIM, MODEL, KERNEL, or RACE: where actors make calls, so
    that only programs with a race show it. requirement: the rule that it
    breaks. what: the mistake, in a line. target: what runs the programs, with the fault in it
    if it is the shim's or the kernel's. clean: the same without the fault. model: the fault, if
    it is the model's. titles: of a fault that the kernel itself must notice, how the title of
    what it says may begin. guest: the target whose kernel it is in, "" for the others.
    """

    id: str
    where: str
    requirement: str
    what: str
    target: str
    clean: str
    model: ModelMutant | None
    titles: tuple[str, ...] = ()
    guest: str = ""


class MutantNameError(Exception):
    """A mutant was asked for that there is not. str() says how to see those there are."""


def catalogue(guest: str = GUESTS[0]) -> tuple[Mutant, ...]:
    """Every mutant; those of the kernel run in this guest.

    Raises shim_mutants.MutantTableError when the shim's or the kernel's cannot be read.
    """
    shim = [
        Mutant(f"shim/{row.name}", SHIM, row.requirement, row.what, row.target, SHIM, None)
        for row in read_shim_mutants()
    ]
    model = [
        Mutant(f"model/{row.name}", MODEL, row.requirement, row.what, row.target, row.target, row)
        for row in MODEL_MUTANTS
    ]
    kernel = [
        Mutant(
            f"kernel/{row.name}", KERNEL, row.requirement, row.what,
            row.target(guest), clean_target(guest), None, row.titles, guest,
        )
        for row in read_kernel_mutants()
    ]  # fmt: skip
    races = [
        Mutant(f"race/{row.name}", RACE, row.requirement, row.what, row.target, SHIM, None)
        for row in read_shim_mutants(RACE_HEADER)
    ]
    return (*shim, *model, *kernel, *races)


def chosen(patterns: tuple[str, ...], target: str) -> tuple[Mutant, ...]:
    """The mutants whose ids contain one of the patterns (all, if there are none) and whose
    effect can be seen on a target: on a guest those of its kernel, on SHIM those of shim and
    model. Raises MutantNameError for a pattern that fits none."""
    guest = target if target in GUESTS else ""
    mutants = [m for m in catalogue(guest or GUESTS[0]) if m.guest == guest]
    for pattern in patterns:
        if not any(pattern in mutant.id for mutant in mutants):
            raise MutantNameError(
                f"no mutant that shows on {target} is called {pattern!r}; "
                f"madvet mutants --target {target} --list names them all"
            )
    return tuple(
        mutant
        for mutant in mutants
        if (not patterns or any(pattern in mutant.id for pattern in patterns))
        and (target in (SHIM, guest) or mutant.clean == target)
    )
