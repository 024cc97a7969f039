"""The programs that a gate runs on both kernels, by number: the corpus, the sweep, fresh ones.

The order follows from the options alone, so that a run that was ended goes on where it stood, and
a second run shows the same. Behind the corpus sweep and fresh programs take turns, batch by batch:
a budget that ends too early leaves out some of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from conformance.program.program import Program
from conformance.program.text import Document, loads
from conformance.program.text_table import ProgramTextError
from conformance.program.validate import validate
from conformance.sweep.cells import MADVISE, PROCESS_MADVISE, cells
from fuzz.engine.schedule import BATCH
from fuzz.generate.options import GenerateOptions
from fuzz.generate.programs import ProgramSource

CORPUS: Final = Path(__file__).parents[2] / "corpus"
FOLDERS: Final = ("seeds", "regressions", "history", "findings")
INDEX: Final = "index.toml"  # says what is known of the programs beside it
SOURCES: Final = ("corpus", "sweep", "fresh")
GUEST_ONLY: Final = "base or head lacks: being a kernel that can be thrown away"
POISONS: Final = "it poisons memory, which later programs would miss"


class Named(NamedTuple):
    """A program, its name for people, and where it is from: one of SOURCES."""

    name: str
    program: Program
    source: str


class Programs:
    """All programs of one gate. seed, fresh: of those that are generated, and how many. guests:
    both kernels can be thrown away. Raises ProgramTextError for a file of the corpus that
    cannot be used."""

    def __init__(self, seed: int, fresh: int, guests: bool, corpus: Path = CORPUS) -> None:
        self.seed = seed
        self.fresh = fresh
        self.left_out: dict[str, int] = {}  # by reason: programs that are not run at all
        self._source = ProgramSource(seed, GenerateOptions())
        self._corpus = list(self._read_corpus(corpus, guests))
        self._sweep = list(self._read_sweep())

    def __len__(self) -> int:
        return len(self._corpus) + len(self._sweep) + self.fresh

    def batch(self, first: int, size: int = BATCH) -> list[Named]:
        """At most `size` programs from number `first` on; none behind the last."""
        last = min(first + size, len(self))
        return [self._program(number) for number in range(first, last)]

    def _program(self, number: int) -> Named:
        if number < len(self._corpus):
            return self._corpus[number]
        number -= len(self._corpus)
        both = min(len(self._sweep) // BATCH, self.fresh // BATCH) * BATCH  # that take turns
        if number < 2 * both:
            turn, place = divmod(number, 2 * BATCH)
            at = turn * BATCH + place % BATCH
            return self._sweep[at] if place < BATCH else self._fresh(at)
        number -= 2 * both
        rest = self._sweep[both:]
        return rest[number] if number < len(rest) else self._fresh(both + number - len(rest))

    def _fresh(self, index: int) -> Named:
        return Named(f"seed {self.seed}, program {index}", self._source.program(index), "fresh")

    def _read_corpus(self, corpus: Path, guests: bool) -> Iterator[Named]:
        for folder in FOLDERS:
            for path in sorted((corpus / folder).glob("*.toml")):
                if path.name == INDEX:
                    continue
                name = str(path.relative_to(corpus))
                program = _read(path, name).program
                if guests or not validate(program):
                    yield Named(name, program, "corpus")
                else:
                    self._leave_out(GUEST_ONLY)

    def _read_sweep(self) -> Iterator[Named]:
        for surface in (MADVISE, PROCESS_MADVISE):
            for cell in cells(surface):
                if cell.guest:
                    self._leave_out(POISONS)
                else:
                    yield Named(cell.id, cell.program, "sweep")

    def _leave_out(self, reason: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


def _read(path: Path, name: str) -> Document:
    try:
        return loads(path.read_bytes(), name, guest=True)
    except OSError as error:
        raise ProgramTextError(f"{path}: cannot be read: {error.strerror}") from error
