"""The table of planted faults: readable, of known requirements, each planted somewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conformance.spec.registry import load
from conformance.target.executor_build import SOURCES
from fuzz.mutants.shim_mutants import HEADER, MutantTableError, ShimMutant, read_shim_mutants

ROWS = read_shim_mutants()
GOOD = HEADER.read_text(encoding="ascii")


def test_there_are_enough() -> None:
    assert len(ROWS) >= 40


def test_numbers_run_from_one_so_that_none_is_reused() -> None:
    assert [row.number for row in ROWS] == list(range(1, len(ROWS) + 1))


def test_row_as_written() -> None:
    assert ROWS[0] == ShimMutant(
        1, "version_ignored", "version-unknown", "any version is taken for version 1"
    )
    assert ROWS[0].target == "shim:mutant=1"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_requirement_is_one_of_the_specification(row: ShimMutant) -> None:
    assert row.requirement in load()


def test_each_is_planted_and_nothing_else_is() -> None:
    planted: set[str] = set()
    for path in SOURCES.glob("shim*.c"):
        planted.update(re.findall(r"\bMUTANT\((\w+)\)", path.read_text(encoding="ascii")))
    assert planted == {row.name for row in ROWS}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (GOOD.replace('"version-unknown", \\', "\\", 1), "can be read"),
        (GOOD.replace("row(2, version_zero_accepted", "row(1, version_zero_accepted"), "number 1"),
        (GOOD.replace("row(2, version_zero_accepted", "row(2, version_ignored"), "name version_ig"),
        ("nothing here", "0 rows begin"),
    ],
)
def test_broken_table_is_refused(tmp_path: Path, broken: str, message: str) -> None:
    header = tmp_path / "shim_mutants.h"
    header.write_text(broken, encoding="ascii")
    with pytest.raises(MutantTableError, match=message) as caught:
        read_shim_mutants(header)
    assert str(header) in str(caught.value)


def test_missing_header_is_named(tmp_path: Path) -> None:
    with pytest.raises(MutantTableError, match="cannot be read"):
        read_shim_mutants(tmp_path / "absent.h")


@pytest.mark.skipif(
    shutil.which("cc") is None or shutil.which("make") is None,
    reason="no C compiler or no make on this machine",
)
def test_the_library_has_them_in_a_test_build(tmp_path: Path) -> None:
    folder = SOURCES / "libmadvise_ranges"
    subprocess.run(["make", "-s", "-C", folder, f"O={tmp_path}", "MUTANTS=1"], check=True)
    (twice,) = (row for row in ROWS if row.name == "gap_counted_twice")
    for number, gaps in ((0, 1), (twice.number, 2)):
        printed = subprocess.run(
            [tmp_path / "example"],
            env={**os.environ, "MADVET_SHIM_MUTANT": str(number)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert f"gaps: {gaps}\n" in printed
