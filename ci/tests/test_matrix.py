"""The matrix: lines of cells, the data and its page, and that what is published is still so."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ci.cli import exit_codes
from ci.cli.main import run
from ci.cli.matrix import FOLDER
from ci.matrix.build import LEDGER, Column, build, differences, foretold_matrix
from ci.matrix.page import page_text, spans
from ci.matrix.reasons import fact_words, reasons
from ci.matrix.run import ABSENT, KNOWN, NOT_RUN, Swept, foretold, sweep
from ci.matrix.table import (
    ADVICES,
    KERNELS_FILE,
    Kernel,
    Matrix,
    MatrixError,
    Row,
    grouped,
    read_matrix,
    write_matrix,
)
from ci.matrix.words import page_letter
from conformance.oracle.ledger import load_ledger
from conformance.program.kernel_facts import KernelFacts
from conformance.program.outcome import (
    PAGE_GUARD,
    PAGE_PRESENT,
    PAGE_READ,
    PAGE_SWAP,
    PAGE_UNREADABLE,
    Outcome,
)
from conformance.program.program import Program
from conformance.program.wire import Observe
from conformance.spec.registry import load
from conformance.sweep.cells import Cell, cell, cells
from conformance.sweep.reference_facts import NEWEST, OLDEST
from conformance.target.guest_images import find_stock
from conformance.target.guest_machine import qemu_program
from conformance.target.host import open_host
from conformance.target.registry import open_target
from conformance.target.target import Target, TargetError

SAMPLE_ONE_IN = 13  # cells of the published table; 13 and 8 places have no divisor in common
X = "\N{MULTIPLICATION SIGN}"
KINDS = ("anon", "anon-locked", "memfd-shared", "hugetlb", "zero", "vvar")
LEDGER_FILE = load_ledger()


def few(advice: str = "DOFORK") -> list[Cell]:
    return [one for one in cells() if one.advice == advice and one.kind in KINDS]


def kernel(name: str, facts: KernelFacts) -> Kernel:
    return Kernel(name, facts.release, "a-package 1-1", facts)


def two_kernels(wanted: Sequence[Cell]) -> list[Column]:
    kernels = [kernel("debian:6.1", OLDEST), kernel("debian:7.3", NEWEST)]
    return foretold_matrix(kernels, wanted, foretold)


@pytest.fixture(scope="module")
def published() -> Matrix:
    return read_matrix(FOLDER)


@pytest.mark.parametrize(
    ("word", "letter"),
    [
        (0, "."),
        (PAGE_PRESENT, "P"),
        (PAGE_READ, "z"),
        (PAGE_PRESENT | PAGE_READ, "Z"),
        (PAGE_GUARD | PAGE_UNREADABLE, "G"),
        (PAGE_UNREADABLE, "!"),
        (PAGE_SWAP | PAGE_READ, "s"),
    ],
)
def test_a_page_is_a_letter(word: int, letter: str) -> None:
    assert page_letter(word) == letter


@pytest.mark.parametrize(
    ("ident", "line"),
    [
        ("DONTDUMP/anon/middle", "0 | +dd | [WW][WWWW][Zz]"),
        ("DONTNEED/anon/head", "0 | - | [zzWWWWZz]"),
        ("DONTNEED/memfd-shared/whole", "0 | - | [wwwwwwzz]"),
        ("PAGEOUT/memfd-shared/head", "0 | - | [w~w~WWWWZz]"),
        ("FREE/anon/head", "0 | - | [??WWWWZz]"),
        ("GUARD_INSTALL/anon/middle", "0 | +gu | [WWGGGGZz]"),
        (
            "DOFORK/hugetlb/head",
            f"EINVAL | - | [WWZ{X}510 z{X}512 ] | child nothing is mapped",
        ),
        ("COLD/anon-locked/whole", "EINVAL | - | [WWWWWWZZ]"),
        ("RANDOM/anon/end-in-gap", "ENOMEM | +rr | [WWWW][WWZz]"),
        ("SEQUENTIAL/anon/across-two", "0 | +sr (4 of 8 pages) | [WWZzWWZz]"),
    ],
)
def test_what_happens_is_told_in_a_line(ident: str, line: str) -> None:
    assert foretold(cell(*ident.split("/")), NEWEST) == line


def test_what_cannot_be_made_is_told() -> None:
    lacking = msgspec.structs.replace(NEWEST, has_mseal=False)
    assert foretold(cell("COLD", "anon-sealed", "whole"), lacking) == f"{ABSENT}mseal()"


def test_this_kernel_does_as_foretold() -> None:
    """Lines of outcomes and lines of predictions are made in different ways; both must agree."""
    wanted = [one for one in cells() if one.place in ("whole", "middle", "across-gap")]
    with open_host() as target:
        swept = sweep(target, wanted, LEDGER_FILE, lambda _: None)
    assert swept.bad == []
    for one in wanted:
        line = swept.lines[one.id]
        expected = NOT_RUN if one.guest else foretold(one, swept.facts)
        assert line.partition(KNOWN)[0] == expected or KNOWN in line, one.id


class Liar:
    """The host, with a fact that is not so."""

    name = "host"

    def __init__(self, target: Target, **facts: Any) -> None:
        self._target = target
        self.facts = msgspec.structs.replace(target.facts, **facts)

    def run_batch(self, programs: Sequence[Program], observe: Observe) -> list[Outcome]:
        return self._target.run_batch(programs, observe)


def test_a_cell_that_is_not_as_the_model_has_it_is_told() -> None:
    with open_host() as target:
        advices = tuple(value for value in target.facts.advices if value != 10)
        wanted = [cell("DONTFORK", "anon", "whole")]
        liar: Any = Liar(target, advices=advices)
        swept = sweep(liar, wanted, LEDGER_FILE, lambda _: None)
    (complaint,) = swept.bad
    assert complaint.startswith("DONTFORK/anon/whole: divergence")
    assert "run again alone 3 times: 3 times not conformant" in complaint


def test_reasons_are_the_fewest_facts() -> None:
    assert reasons(cell("DOFORK", "hugetlb", "whole"), OLDEST, NEWEST) == (
        "dofork_refuses_special",
    )
    assert reasons(cell("NORMAL", "anon", "whole"), OLDEST, NEWEST) == ()
    why = reasons(cell("GUARD_INSTALL", "memfd", "whole"), OLDEST, NEWEST)
    assert set(why) >= {"advices.GUARD_INSTALL"}
    assert fact_words("dofork_refuses_special").startswith("DOFORK refuses every special mapping")
    assert fact_words("advices.COLD").startswith("COLD: ")


def test_a_difference_without_a_reason_is_an_error() -> None:
    wanted = [cell("NORMAL", "anon", "whole")]
    columns = two_kernels(wanted)
    columns[1].swept.lines[wanted[0].id] = "EIO | - | []"
    with pytest.raises(MatrixError, match=r"NORMAL/anon/whole: debian:6\.1 and debian:7\.3 differ"):
        build(columns, wanted)
    columns[1].swept.lines[wanted[0].id] = f"EIO | - | []{KNOWN}some-entry"
    (row,) = build(columns, wanted).rows["NORMAL"].values()
    assert row.why == (f"{LEDGER}some-entry",)


def test_the_data_comes_back_and_is_written_the_same_way(tmp_path: Path) -> None:
    wanted = few()
    matrix = build(two_kernels(wanted), wanted)
    write_matrix(matrix, tmp_path)
    assert read_matrix(tmp_path) == matrix
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_matrix(read_matrix(tmp_path), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    assert list(differences(matrix, two_kernels(wanted), wanted)) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("DOFORK.toml", "format = 1", "format = 2", "format 2 is not 1"),
        ("DOFORK.toml", '"all" = ', '"debian:6.1" = ', "does not tell each kernel once"),
        ("DOFORK.toml", "[cell", "[[cell", "DOFORK.toml"),
        (KERNELS_FILE, "has_mseal = true", "has_mseal = 1", "has_mseal"),
        (KERNELS_FILE, "package", "packet", "packet"),
    ],
)
def test_damaged_data_is_named(tmp_path: Path, name: str, old: str, new: str, words: str) -> None:
    wanted = few()
    write_matrix(build(two_kernels(wanted), wanted), tmp_path)
    path = tmp_path / name
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(MatrixError, match=words):
        read_matrix(tmp_path)


def test_kernels_in_few_words() -> None:
    names = ("debian:6.1", "debian:6.12", "debian:7.0", "host")
    assert spans(names, names) == "all"
    assert spans(names, names[:2]) == "6.1\N{EN DASH}6.12"
    assert spans(names, (names[0], names[2], names[3])) == "6.1, 7.0\N{EN DASH}host"


def test_the_page_stands_alone(tmp_path: Path) -> None:
    wanted = few()
    text = page_text(build(two_kernels(wanted), wanted))
    assert 'id="DOFORK.hugetlb" class="changed"' in text
    assert "<code>dofork_refuses_special</code>: DOFORK refuses" in text
    assert "a-package 1-1" in text
    for way_out in ("http:", "https:", "src=", "<link", "@import", "url("):
        assert way_out not in text


def test_the_published_table_is_whole(published: Matrix) -> None:
    assert {one.name for one in published.kernels} >= {
        f"debian:{release}"
        for release in ("6.1", "6.12", "6.16", "6.17", "6.18", "6.19", "7.0", "7.1", "7.2", "7.3")
    }
    assert tuple(published.rows) == ADVICES
    told = {f"{advice}/{name}" for advice, rows in published.rows.items() for name in rows}
    assert told == {one.id for one in cells()}
    assert all(len(row.groups) == 1 or row.why for _, row in _rows(published))


def test_the_published_table_is_what_the_model_says(published: Matrix) -> None:
    """Of every kernel, by the facts that were probed there: a part of all cells, and why."""
    ledger = {entry.id for entry in LEDGER_FILE.entries}
    for one in list(cells())[::SAMPLE_ONE_IN]:
        row = published.rows[one.advice][f"{one.kind}/{one.place}"]
        for column in published.kernels:
            line, _, known = row.line(column.name).partition(KNOWN)
            assert foretold(one, column.facts) == line or known in ledger, (one.id, column.name)


def test_published_reasons_are_those_of_the_model(published: Matrix) -> None:
    by_id = {one.id: one for one in cells()}
    differing = [(ident, row) for ident, row in _rows(published) if len(row.groups) > 1]
    for ident, row in differing[::SAMPLE_ONE_IN]:
        lines = [(k.name, row.line(k.name)) for k in published.kernels]
        columns = [
            Column(k, Swept(k.facts, {ident: line}, []))
            for k, (_, line) in zip(published.kernels, lines, strict=True)
        ]
        again = build(columns, [by_id[ident]]).rows[by_id[ident].advice]
        assert again == {ident.partition("/")[2]: row}
        assert grouped(lines) == row.groups


def test_the_published_page_is_made_of_the_data(published: Matrix, tmp_path: Path) -> None:
    assert (FOLDER / "index.html").read_text("utf-8") == page_text(published)
    write_matrix(published, tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (FOLDER / path.name).read_bytes(), path.name


def _rows(matrix: Matrix) -> list[tuple[str, Row]]:
    return [(f"{a}/{name}", row) for a, rows in matrix.rows.items() for name, row in rows.items()]


def test_rules_that_the_page_names_exist(published: Matrix) -> None:
    text = (FOLDER / "index.html").read_text("utf-8")
    assert "madvise-gap-enomem" in text
    assert "madvise-gap-enomem" in load()


def need(column: Kernel) -> None:
    """Skip where a column's kernel is not at hand, saying why."""
    try:
        qemu_program()
        there = find_stock(column.name.partition(":")[2]).manifest
    except TargetError as error:
        pytest.skip(str(error))
    if there.source != column.package:
        pytest.skip(f"{column.name} is {there.source} here, and the table is of {column.package}")


@pytest.mark.parametrize("at", [0, -1])
def test_probes_find_on_a_stock_kernel_what_is_published(published: Matrix, at: int) -> None:
    column = published.kernels[at]
    need(column)
    with open_target(column.name) as target:
        assert target.facts == column.facts


def test_a_stock_kernel_is_as_published(
    published: Matrix, capsys: pytest.CaptureFixture[str]
) -> None:
    name = published.names[-1]
    need(published.kernels[-1])
    arguments = ["matrix", "--targets", name, "--check", "--quiet", "--advice", "DONTFORK,DOFORK"]
    assert run(arguments) == exit_codes.CONFORMANT
    assert "480 cells on 1 kernels are as the table has them" in capsys.readouterr().out


def test_the_command_writes_checks_and_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ci.cli.matrix.cells", lambda: few("DONTDUMP"))
    here = ["--folder", str(tmp_path), "--quiet"]
    assert run(["matrix", "--targets", "host", *here]) == exit_codes.CONFORMANT
    assert run(["matrix", "--targets", "host", "--check", *here]) == exit_codes.CONFORMANT
    assert run(["matrix", "--page", *here]) == exit_codes.CONFORMANT
    path = tmp_path / "DONTDUMP.toml"
    path.write_text(path.read_text().replace("+dd", "+dc", 1))
    capsys.readouterr()
    assert run(["matrix", "--targets", "host", "--check", *here]) == exit_codes.FOUND
    assert "host DONTDUMP/anon/whole\n    the table: 0 | +dc" in capsys.readouterr().out
    assert run(["matrix", "--targets", "shim", "--check", *here]) == exit_codes.HARNESS_FAILED
    shutil.rmtree(tmp_path)
    assert run(["matrix", "--page", *here]) == exit_codes.HARNESS_FAILED


@pytest.mark.parametrize(
    "arguments",
    [[], ["--page", "--targets", "host"], ["--page", "--check"], ["--targets", "nowhere"],
     ["--targets", "host", "--advice", "COLD"], ["--targets", "host", "--advice", "HOT"]],
)  # fmt: skip
def test_bad_usage(arguments: list[str]) -> None:
    assert run(["matrix", *arguments]) == exit_codes.BAD_INPUT
