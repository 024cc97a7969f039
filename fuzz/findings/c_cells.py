"""What of a race depends on the order of its actors' steps, as cells of a table in C.

A cell is one thing that is looked at: a result, a struct, the mappings, a page. It lists all that
some order gives there; a row of the table says which of these one order gives in each cell.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from fuzz.findings import c_words as w
from fuzz.findings.c_program import NotInC

T = TypeVar("T", bound=Hashable)

WAYS_MAX: Final = 64  # of one cell: a bit each
CELLS_MAX: Final = 1024  # as in reproducer_race.c
ANY: Final = 255


class Ways(NamedTuple, Generic[T]):
    """What orders give in one place. values: different ones. which: of each order, an index into
    values; None where that order leaves it open."""

    values: list[T]
    which: list[int | None]

    @property
    def alike(self) -> bool:
        """Do all orders give the same?"""
        return len(self.values) == 1 and None not in self.which


def ways_of(given: Sequence[T | None]) -> Ways[T]:
    """given: by each order, None where that order leaves it open."""
    values = list(dict.fromkeys(value for value in given if value is not None))
    numbers = {value: number for number, value in enumerate(values)}
    return Ways(values, [None if value is None else numbers[value] for value in given])


class Cell(NamedTuple):
    """One column. words: what it may be, for people."""

    name: str
    words: list[str]
    which: list[int | None]


class Cells:
    """The table in the making."""

    def __init__(self) -> None:
        self.all: list[Cell] = []

    def add(self, name: str, ways: Ways[T], words: list[str]) -> int:
        """The number of a new cell. Raises NotInC."""
        if len(words) > WAYS_MAX:
            raise NotInC(f"{name} may be any of {len(words)}, by the order of the actors' steps; "
                         f"a C file holds {WAYS_MAX}")  # fmt: skip
        if len(self.all) == CELLS_MAX:
            raise NotInC("more depends on the order of the actors' steps than a C file holds")
        self.all.append(Cell(name, words, ways.which))
        return len(self.all) - 1

    def rows(self) -> list[tuple[int, ...]]:
        """What orders give, each once."""
        columns = [[ANY if n is None else n for n in cell.which] for cell in self.all]
        return list(dict.fromkeys(zip(*columns, strict=True)))

    def lines(self) -> Iterator[str]:
        """The table."""
        rows = self.rows()
        yield f"#define CELLS {len(self.all)}"
        yield f"#define ORDERS {len(rows)}"
        yield f"#define WORDS_MAX {max(len(cell.words) for cell in self.all)}"
        yield ""
        yield "struct cell {"
        yield "\tconst char *name;"
        yield "\tint open; /* some order may give anything */"
        yield "\tconst char *words[WORDS_MAX];"
        yield "};"
        yield ""
        yield "static const struct cell cells[CELLS] = {"
        for number, cell in enumerate(self.all):
            yield f"\t{{ /* {number} */"
            yield f"\t\t{w.quoted(cell.name)}, {int(None in cell.which)},"
            yield "\t\t{"
            yield from (f"\t\t\t{w.quoted(words)}," for words in cell.words)
            yield "\t\t},"
            yield "\t},"
        yield "};"
        yield ""
        yield "static const unsigned char orders[ORDERS][CELLS] = {"
        for row in rows:
            yield from w.call_lines("{ ", [str(n) for n in row], " },")
        yield "};"
        yield ""
