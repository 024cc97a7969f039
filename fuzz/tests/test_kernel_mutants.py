"""The table of faults planted in the kernel: it can be read, and says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conformance.spec.registry import load
from fuzz.mutants.kernel_mutants import HEADER, KernelMutant, read_kernel_mutants
from fuzz.mutants.shim_mutants import MutantTableError

MUTANTS = read_kernel_mutants()
CODE = "".join(
    path.read_text(encoding="ascii") for path in HEADER.parent.glob("*.[ch]") if path != HEADER
)


def test_there_are_enough_of_both_kinds() -> None:
    splats = [mutant for mutant in MUTANTS if mutant.titles]
    assert len(MUTANTS) - len(splats) >= 16
    assert len(splats) >= 9


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_breaks_a_requirement_and_is_planted(mutant: KernelMutant) -> None:
    assert mutant.requirement in load()
    assert re.search(rf"\bMR_MUTANT\({mutant.name}\)", CODE)
    assert mutant.target("uml") == f"uml:mutant={mutant.number}"


def test_no_other_is_planted() -> None:
    assert set(re.findall(r"\bMR_MUTANT\((\w+)\)", CODE)) == {mutant.name for mutant in MUTANTS}


def test_each_condition_is_planted_where_it_is_compiled_out() -> None:
    text = HEADER.read_text(encoding="ascii")
    assert "#define MR_MUTANT(name) (MR_MUTANT_##name < 0)" in text
    assert all(mutant.number > 0 for mutant in MUTANTS)


@pytest.mark.parametrize(
    "change",
    [
        ('title(115, "no output from guest")', ""),
        ('title(115, "no output from guest")', 'title(15, "no output from guest")'),
        ('title(115, "no output from guest")', "title(115, no output)"),
        ("row(115,", "row(114,"),
    ],
)
def test_a_broken_table_is_told(tmp_path: Path, change: tuple[str, str]) -> None:
    text = HEADER.read_text(encoding="ascii")
    assert change[0] in text
    path = tmp_path / "mutants.h"
    path.write_text(text.replace(*change), encoding="ascii")
    with pytest.raises(MutantTableError, match=r"mutants\.h"):
        read_kernel_mutants(path)
