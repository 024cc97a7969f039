"""Between programs and a byte fuzzer: inputs from programs, counters from what they did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from conformance.program.program import Program
from fuzz.engine.budget import CampaignOptions
from fuzz.engine.examine import Examined, ModelError
from fuzz.generate.options import GenerateOptions
from fuzz.generate.programs import generate
from fuzz.generate.seeded import SeededChooser
from fuzz.guidance.ahead import Counters, Mutant
from fuzz.guidance.cost import affordable
from fuzz.guidance.model_marks import marks_of
from fuzz.guidance.mutate import Mutator
from fuzz.guidance.program_bytes import ProgramBytes

CORPUS: Final = Path(__file__).resolve().parents[2] / "corpus"
DICTIONARY: Final = CORPUS / "programs.dict"
EDGES: Final = 1 << 16  # counters of the kernel's edges; as many for the model's marks follow
# As the guided engine has it: what no seed leads to is found by chance only.
FRESH_ONE_IN: Final = 4
BYTES_ONE_IN: Final = 32  # libFuzzer's own mutations, most of which leave no program's text

MutateBytes = Callable[[bytes, int], bytes]


class _Draft(NamedTuple):
    """A program, and the bytes that it came from if they are not its text."""

    program: Program
    data: bytes | None = None


class Inputs:
    """Makes inputs out of inputs.

    disposable: the target is a kernel that may be hurt. salt: tells the workers of a campaign
    apart. mutate_bytes: libFuzzer's own mutation.
    """

    def __init__(
        self,
        options: CampaignOptions,
        disposable: bool,
        salt: int,
        mutate_bytes: MutateBytes | None = None,
    ) -> None:
        self._generate = GenerateOptions(
            surfaces=frozenset(options.surfaces),
            advices=options.advices,
            poison=disposable,
            reclaim=disposable,
        )
        self.bytes = ProgramBytes(self._generate, disposable)
        self._chooser = SeededChooser()
        self._mutator = Mutator(self._chooser, self._generate, disposable)
        self._mutate_bytes = mutate_bytes
        self._seed = options.seed
        self._number = salt << 32
        self._names: set[str] = set()  # of files that news() has seen
        self.dictionary = DICTIONARY if DICTIONARY.is_file() else None

    def mutant(self, data: bytes, most: int, number: int) -> Mutant:
        """One input, changed; of at most so many bytes. number: the fuzzer's random one."""
        self._reseeded(number)
        return self._drawn(lambda: self._mutated(data, most), most)

    def child(self, data: bytes, other: bytes, most: int, number: int) -> Mutant:
        """A program that has something of two."""
        self._reseeded(number)
        one, two = self.bytes.program(data), self.bytes.program(other)
        return self._drawn(lambda: self._crossed(one, two), most)

    def of_folders(self, folders: Sequence[Path]) -> list[Mutant]:
        """The inputs that lie in folders, as the fuzzer will read them."""
        return [Mutant(data, self.bytes.program(data)) for data in _files(folders)]

    def news(self, folder: Path) -> list[Mutant]:
        """The inputs in a folder that this has neither made nor read."""
        fresh = {path.name for path in folder.iterdir()} - self._names
        self._names |= fresh
        files = _files([folder / name for name in sorted(fresh)])
        found = [data for data in files if not self.bytes.knows(data)]
        return [Mutant(data, self.bytes.program(data)) for data in found]

    def _reseeded(self, number: int) -> None:
        self._number += 1
        self._chooser.reseed(self._seed ^ number << 32, self._number)

    def _drawn(self, draw: Callable[[], _Draft], most: int) -> Mutant:
        """What can be afforded of what is drawn; something new, or the simplest program, should
        there be no room for it."""
        draft = affordable(self._chooser, draw, _program_of)
        data = self.bytes.data(draft.program) if draft.data is None else draft.data
        if len(data) > most:
            draft = self._or_fresh(None)
            data = self.bytes.data(draft.program)
        if len(data) > most:
            return Mutant(b"", self.bytes.program(b""))
        return Mutant(data, draft.program)

    def _mutated(self, data: bytes, most: int) -> _Draft:
        chooser = self._chooser
        if chooser.chance(1, FRESH_ONE_IN):
            return _Draft(generate(chooser, self._generate))
        if self._mutate_bytes is not None and chooser.chance(1, BYTES_ONE_IN):
            changed = self._mutate_bytes(data, most)
            return _Draft(self.bytes.program(changed), changed)
        program = self.bytes.program(data)
        return self._or_fresh(self._mutator.mutate(program, program))

    def _crossed(self, one: Program, two: Program) -> _Draft:
        return self._or_fresh(self._mutator.mutate(one, two, splices=True))

    def _or_fresh(self, program: Program | None) -> _Draft:
        return _Draft(generate(self._chooser, self._generate) if program is None else program)


def _program_of(draft: _Draft) -> Program:
    return draft.program


def counters_of(one: Examined) -> Counters:
    """The counters that a program moves: its edges in the kernel, and the marks of the model."""
    coverage = one.outcome.coverage
    edges = () if coverage is None else coverage.edges
    if isinstance(one.prediction, ModelError):
        return edges
    return [*edges, *map(_counter_of, marks_of(one.program, one.prediction, one.cited))]


@cache
def _counter_of(mark: str) -> int:
    """A few thousand marks are met again and again."""
    return EDGES + (crc32(mark.encode()) & EDGES - 1)


def seed_folder() -> Path:
    """Programs to begin with."""
    return CORPUS / "seeds"


def _files(paths: Sequence[Path]) -> Iterator[bytes]:
    """What lies in files, and in folders. Others may take files away meanwhile."""
    for path in paths:
        if path.is_dir():
            yield from _files(sorted(path.iterdir()))
            continue
        with suppress(FileNotFoundError):
            yield path.read_bytes()
