"""The table as data: one file for each advice, and one that says what the kernels are.

    format = 1
    advice = "DONTFORK"

    [cell."anon/whole"]
    "all" = "0 | +dc | [WWWWWWZz] | child nothing is mapped"

    [cell."hugetlb/whole"]
    "debian:6.1 debian:6.12" = "0 | ..."
    "debian:7.3" = "..."
    why = ["dofork_refuses_special"]

A cell is "kind/place", as conformance.sweep calls it. Kernels with the same line stand together, in
the order of kernels.toml. why: the facts (docs/facts.md) by which the model tells them apart. Files
are written the same way each time, so that a version control system shows what changed.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from conformance.abi.advice import BY_NAME
from conformance.program.kernel_facts import KernelFacts
from conformance.sweep.cells import INVALID
from fuzz.findings.atomic_file import write_atomically

FORMAT: Final = 1
KERNELS_FILE: Final = "kernels.toml"
PAGE_FILE: Final = "index.html"
ALL: Final = "all"
ADVICES: Final = (*BY_NAME, INVALID)


class MatrixError(Exception):
    """The data of a table cannot be read or written. The message says which file, and why."""


class Kernel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column. name: of the target. package: of Debian's, with its version; "" for others."""

    name: str
    release: str
    package: str
    facts: KernelFacts


class Group(NamedTuple):
    """Kernels on which a cell comes to the same line."""

    kernels: tuple[str, ...]
    line: str


class Row(NamedTuple):
    """A cell: its groups, in the order of kernels, and the facts that tell them apart."""

    groups: tuple[Group, ...]
    why: tuple[str, ...] = ()

    def line(self, kernel: str) -> str:
        """What happens on a kernel. Raises KeyError."""
        for group in self.groups:
            if kernel in group.kernels:
                return group.line
        raise KeyError(kernel)


class Matrix(NamedTuple):
    """The whole table. rows: by advice, then by "kind/place"."""

    kernels: tuple[Kernel, ...]
    rows: dict[str, dict[str, Row]]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the kernels, in order."""
        return tuple(kernel.name for kernel in self.kernels)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    advice: str
    cell: dict[str, dict[str, Any]]


class _Kernels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    kernel: tuple[Kernel, ...]


def grouped(lines: Iterable[tuple[str, str]]) -> tuple[Group, ...]:
    """(kernel, line) of a cell, those with the same line put together."""
    found: dict[str, list[str]] = {}
    for kernel, line in lines:
        found.setdefault(line, []).append(kernel)
    return tuple(Group(tuple(kernels), line) for line, kernels in found.items())


def write_matrix(matrix: Matrix, folder: Path) -> None:
    """All files of the data. Raises MatrixError."""
    files = {KERNELS_FILE: kernels_text(matrix.kernels)}
    for advice, rows in matrix.rows.items():
        files[f"{advice}.toml"] = advice_text(advice, rows, matrix.names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_atomically(folder / name, text.encode())
    except OSError as error:
        raise MatrixError(f"cannot write to {folder}: {error.strerror}") from error


def read_matrix(folder: Path) -> Matrix:
    """What write_matrix() wrote. Raises MatrixError."""
    kernels = _read(folder / KERNELS_FILE, _Kernels).kernel
    names = tuple(kernel.name for kernel in kernels)
    rows = {}
    for advice in ADVICES:
        path = folder / f"{advice}.toml"
        if not path.exists():
            continue
        cells = _read(path, _File).cell
        rows[advice] = {name: _row(path, name, cell, names) for name, cell in cells.items()}
    return Matrix(kernels, rows)


def kernels_text(kernels: tuple[Kernel, ...]) -> str:
    """The file that says what the columns are."""
    out = [f"format = {FORMAT}\n"]
    for kernel in kernels:
        out.append("\n[[kernel]]\n")
        out += [f"{key} = {_value(getattr(kernel, key))}\n" for key in ("name", "release")]
        out.append(f"package = {_value(kernel.package)}\n\n[kernel.facts]\n")
        facts = msgspec.to_builtins(kernel.facts)
        out += [f"{key} = {_value(value)}\n" for key, value in facts.items()]
    return "".join(out)


def advice_text(advice: str, rows: dict[str, Row], names: tuple[str, ...]) -> str:
    """The file of an advice."""
    out = [f'format = {FORMAT}\nadvice = "{advice}"\n']
    for cell, row in rows.items():
        out.append(f'\n[cell."{cell}"]\n')
        for group in row.groups:
            kernels = ALL if group.kernels == names else " ".join(group.kernels)
            out.append(f'"{kernels}" = {_value(group.line)}\n')
        if row.why:
            out.append(f"why = {_value(row.why)}\n")
    return "".join(out)


def _value(value: Any) -> str:
    """TOML of a string, a number, a bool, or a list of them: as JSON has it."""
    return json.dumps(value, ensure_ascii=False)


def _read(path: Path, kind: type[Any]) -> Any:
    try:
        data = msgspec.convert(tomllib.loads(path.read_text("utf-8")), kind)
    except OSError as error:
        raise MatrixError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise MatrixError(f"{path}: {error}") from error
    if data.format != FORMAT:
        raise MatrixError(
            f"{path}: format {data.format} is not {FORMAT}: written by another madvet"
        )
    return data


def _row(path: Path, name: str, cell: dict[str, Any], names: tuple[str, ...]) -> Row:
    why = cell.pop("why", [])
    groups = tuple(_groups(cell, names))
    told = [kernel for group in groups for kernel in group.kernels]
    if sorted(told) != sorted(names):
        raise MatrixError(f"{path}: cell {name} does not tell each kernel once")
    return Row(groups, tuple(map(str, why)))


def _groups(cell: dict[str, Any], names: tuple[str, ...]) -> Iterator[Group]:
    for kernels, line in cell.items():
        yield Group(names if kernels == ALL else tuple(kernels.split()), str(line))
