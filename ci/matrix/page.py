"""The table as one page for a browser: everything is in it, nothing is fetched from anywhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ci.matrix.build import LEDGER
from ci.matrix.reasons import fact_words
from ci.matrix.run import ABSENT, KNOWN, NOT_RUN, decided
from ci.matrix.table import PAGE_FILE, Matrix, MatrixError, Row
from ci.matrix.words import MEANINGS, SEPARATOR
from conformance.abi import vm_flags
from conformance.oracle.expected_change import flat_facts
from conformance.oracle.ledger import load_ledger
from conformance.sweep.cells import PLACES, cell
from fuzz.findings.atomic_file import write_atomically

FOLDER: Final = Path(__file__).parent / "page"
WHOLE: Final = "whole"
UNSAID: Final = (ABSENT, NOT_RUN)  # how lines begin where nothing happened


class Line(NamedTuple):
    """A line of a place: on which kernels, and its parts. rule: what decides the result, told
    where kernels differ. known: an entry of the ledger, or ""."""

    kernels: str
    returned: str
    flags: str
    memory: str
    rule: str
    known: str
    none: bool


class Place(NamedTuple):
    """One place of a kind. why: fact and words for each reason."""

    name: str
    lines: tuple[Line, ...]
    differs: bool
    why: tuple[tuple[str, str], ...]


class Square(NamedTuple):
    """An advice on a kind: the result on a whole mapping, on the newest kernel that can have it."""

    kind: str
    word: str
    look: str
    differs: int
    places: tuple[Place, ...]


class Change(NamedTuple):
    """A reason for differences. steps: (kernels, value). cells: how many it has a part in."""

    fact: str
    words: str
    steps: tuple[tuple[str, str], ...]
    cells: int
    example: str


def write_page(matrix: Matrix, folder: Path) -> Path:
    """Write the page. Raises MatrixError."""
    path = folder / PAGE_FILE
    try:
        write_atomically(path, page_text(matrix).encode())
    except OSError as error:
        raise MatrixError(f"cannot write {path}: {error.strerror}") from error
    return path


def page_text(matrix: Matrix) -> str:
    """The page."""
    advices = [
        (advice, [_square(matrix, advice, kind) for kind in _kinds(matrix)])
        for advice in matrix.rows
    ]
    count = sum(map(len, matrix.rows.values()))
    return _environment().get_template("matrix.html.j2").render(
        matrix=matrix,
        advices=advices,
        changes=_changes(matrix),
        kinds=_kinds(matrix),
        meanings=MEANINGS,
        cells=count,
        differing=sum(_differs(row) for rows in matrix.rows.values() for row in rows.values()),
        absent={name: _absent(matrix, name) for name in matrix.names},
        short=short,
        style=Markup((FOLDER / "matrix.css").read_text(encoding="utf-8")),
    )  # fmt: skip


def short(kernel: str) -> str:
    """The name of a column."""
    return kernel.removeprefix("debian:")


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _kinds(matrix: Matrix) -> list[str]:
    found = (name.partition("/")[0] for rows in matrix.rows.values() for name in rows)
    return list(dict.fromkeys(found))


def spans(names: tuple[str, ...], chosen: tuple[str, ...]) -> str:
    """Some of the kernels in few words: "all", "6.1-6.16, 7.0"."""
    if chosen == names:
        return "all"
    out: list[list[str]] = []
    for index, name in enumerate(names):
        if name not in chosen:
            continue
        if out and index and out[-1][-1] == names[index - 1]:
            out[-1].append(name)
        else:
            out.append([name])
    return ", ".join(
        short(run[0]) if len(run) == 1 else f"{short(run[0])}\N{EN DASH}{short(run[-1])}"
        for run in out
    )


def _square(matrix: Matrix, advice: str, kind: str) -> Square:
    places = []
    differs = 0
    for place in PLACES:
        row = matrix.rows[advice].get(f"{kind}/{place}")
        if row is not None:
            places.append(_place(matrix, f"{advice}/{kind}/{place}", row))
            differs += _differs(row)
    whole = matrix.rows[advice].get(f"{kind}/{WHOLE}")
    lines = [] if whole is None else [whole.line(name) for name in reversed(matrix.names)]
    made = [line for line in lines if not line.startswith(UNSAID)]
    word = made[0].partition(SEPARATOR)[0] if made else ""
    look = "none" if not made else "done" if word == "0" else "refused"
    return Square(kind, word, look, differs, tuple(places))


def _differs(row: Row) -> bool:
    """Do kernels that can have the cell do different things?"""
    return sum(not group.line.startswith(UNSAID) for group in row.groups) > 1


def _place(matrix: Matrix, ident: str, row: Row) -> Place:
    differs = _differs(row)
    lines = []
    for group in row.groups:
        text, _, known = group.line.partition(KNOWN)
        kernels = spans(matrix.names, group.kernels)
        if text.startswith(UNSAID):
            lines.append(Line(kernels, text, "", "", "", "", none=True))
            continue
        returned, *rest = text.split(SEPARATOR)
        flags, *memory = rest if len(rest) > 1 else ("", *rest)
        facts = next(k.facts for k in matrix.kernels if k.name == group.kernels[0])
        rule = decided(cell(*ident.split("/")), facts) if differs else ""
        lines.append(Line(kernels, returned, flags, " ".join(memory), rule, known, none=False))
    return Place(
        ident.rpartition("/")[2],
        tuple(lines),
        differs,
        tuple((name, _words(name)) for name in row.why) if differs else (),
    )


def _words(reason: str) -> str:
    if not reason.startswith(LEDGER):
        return fact_words(reason)
    name = reason.removeprefix(LEDGER)
    return next((e.reason.strip() for e in load_ledger().entries if e.id == name), "")


def _changes(matrix: Matrix) -> list[Change]:
    """Every reason, the one with a part in most cells first."""
    found: dict[str, list[str]] = {}
    for advice, rows in matrix.rows.items():
        for name, row in rows.items():
            for reason in row.why:
                found.setdefault(reason, []).append(f"{advice}.{name.partition('/')[0]}")
    out = [
        Change(reason, _words(reason), _steps(matrix, reason), len(idents), idents[0])
        for reason, idents in found.items()
    ]
    return sorted(out, key=lambda change: (-change.cells, change.fact))


def _steps(matrix: Matrix, reason: str) -> tuple[tuple[str, str], ...]:
    """On which kernels a fact has which value."""
    if reason.startswith(LEDGER):
        return ()
    by_value: dict[str, list[str]] = {}
    for kernel in matrix.kernels:
        value = _value(reason, flat_facts(kernel.facts)[reason])
        by_value.setdefault(value, []).append(kernel.name)
    return tuple((spans(matrix.names, tuple(names)), value) for value, names in by_value.items())


def _value(fact: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if fact.endswith("_flags") and isinstance(value, int):
        return vm_flags.names(value) or "none"
    return str(value)


def _absent(matrix: Matrix, kernel: str) -> dict[str, int]:
    """What cells lack on a kernel, and how many."""
    out: dict[str, int] = {}
    for rows in matrix.rows.values():
        for row in rows.values():
            line = row.line(kernel)
            if line.startswith(UNSAID):
                words = line.removeprefix(ABSENT)
                out[words] = out.get(words, 0) + 1
    return out
