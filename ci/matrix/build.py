"""From columns to the table: lines put together by cell, and why kernels differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from ci.matrix.reasons import reasons
from ci.matrix.run import KNOWN, Swept
from ci.matrix.table import ADVICES, Kernel, Matrix, MatrixError, Row, grouped
from conformance.program.kernel_facts import KernelFacts
from conformance.sweep.cells import Cell

LEDGER: Final = "ledger."  # and an entry: a reason that is no fact


class Column(NamedTuple):
    """A kernel, and what was seen on it."""

    kernel: Kernel
    swept: Swept


def build(columns: Sequence[Column], cells: Sequence[Cell]) -> Matrix:
    """The table of these columns. Raises MatrixError for a difference that nothing explains."""
    rows: dict[str, dict[str, Row]] = {}
    for cell in cells:
        rows.setdefault(cell.advice, {})[f"{cell.kind}/{cell.place}"] = _row(cell, columns)
    ordered = {advice: rows[advice] for advice in ADVICES if advice in rows}
    return Matrix(tuple(column.kernel for column in columns), ordered)


def differences(matrix: Matrix, columns: Sequence[Column], cells: Sequence[Cell]) -> Iterator[str]:
    """Where what was seen is not what the table says: a paragraph for each cell and kernel.

    Raises MatrixError for a kernel that is not in the table.
    """
    for column in columns:
        name = column.kernel.name
        if name not in matrix.names:
            raise MatrixError(f"the table has no kernel {name}: it has {', '.join(matrix.names)}")
        for cell in cells:
            row = matrix.rows.get(cell.advice, {}).get(f"{cell.kind}/{cell.place}")
            was = "nothing" if row is None else row.line(name)
            line = column.swept.lines[cell.id]
            if was != line:
                yield f"{name} {cell.id}\n    the table: {was}\n    now:       {line}"


def _row(cell: Cell, columns: Sequence[Column]) -> Row:
    groups = grouped((column.kernel.name, column.swept.lines[cell.id]) for column in columns)
    why: dict[str, None] = {}
    for older, newer in pairwise(columns):
        lines = [column.swept.lines[cell.id] for column in (older, newer)]
        if lines[0] != lines[1]:
            why.update(dict.fromkeys(_reasons(cell, older, newer, lines)))
    return Row(groups, tuple(why))


def _reasons(cell: Cell, older: Column, newer: Column, lines: list[str]) -> Iterator[str]:
    facts = reasons(cell, older.kernel.facts, newer.kernel.facts)
    entries = [line.rpartition(KNOWN)[2] for line in lines if KNOWN in line]
    if not facts and not entries:
        raise MatrixError(
            f"{cell.id}: {older.kernel.name} and {newer.kernel.name} differ, and neither a fact "
            f"nor the ledger says why: {lines[0]} and {lines[1]}"
        )
    yield from facts
    yield from (f"{LEDGER}{entry}" for entry in entries)


def foretold_matrix(
    kernels: Sequence[Kernel],
    cells: Sequence[Cell],
    foretell: Callable[[Cell, KernelFacts], str],
) -> list[Column]:
    """What the model says of these kernels, as columns."""
    return [
        Column(k, Swept(k.facts, {cell.id: foretell(cell, k.facts) for cell in cells}, []))
        for k in kernels
    ]
