"""Where the programs come from among which a planted fault is sought: one class for each engine."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final, Protocol

from conformance.program.call import SURFACES
from conformance.program.program import Program
from conformance.program.text import loads
from conformance.program.wire import Observe
from conformance.target.target import Target
from fuzz.engine.budget import GUIDED, RANDOM
from fuzz.engine.examine import Examined
from fuzz.engine.lane import runs_of
from fuzz.generate.programs import ProgramSource
from fuzz.guidance.guide import Guide

CORPUS: Final = "corpus"  # what is kept, once, and nothing else
ENGINES: Final = (RANDOM, GUIDED, CORPUS)
CORPUS_ROOT: Final = Path(__file__).resolve().parents[2] / "corpus"
FOR_GUESTS: Final = "distilled/guest"
# Those written by hand, one for each rule, come first: they are the shortest.
FOLDERS: Final = ("seeds", "distilled", FOR_GUESTS)


class Hunter(Protocol):
    """Programs by number. cite: it wants to know the rules that predictions rest on. flights:
    batches that may be out at once."""

    cite: bool
    flights: int

    @property
    def observe(self) -> Observe:
        """How they are to be looked at, besides how any program is."""
        ...

    def draw(self, first: int, count: int) -> list[Program]:
        """Programs [first, first + count); fewer at the end, if there is one."""
        ...

    def learn(self, target: Target, examined: list[Examined]) -> None:
        """What came of some of them. Raises TargetError."""
        ...


class RandomHunter:
    """Those of a campaign that nothing guides."""

    cite = False

    def __init__(self, source: ProgramSource, flights: int) -> None:
        self._source = source
        self.flights = flights

    @property
    def observe(self) -> Observe:
        """See Hunter."""
        return Observe(0)

    def draw(self, first: int, count: int) -> list[Program]:
        """See Hunter."""
        return [self._source.program(number) for number in range(first, first + count)]

    def learn(self, target: Target, examined: list[Examined]) -> None:
        """Nothing."""


class CorpusHunter(RandomHunter):
    """Those of a corpus, in its order."""

    def __init__(self, source: ProgramSource, flights: int, guest: bool) -> None:
        super().__init__(source, flights)
        self._programs = _that_call(source, guest)

    def draw(self, first: int, count: int) -> list[Program]:
        """See Hunter."""
        return list(self._programs[first : first + count])


class GuidedHunter:
    """Those of the corpus first, then what a guide makes of them on the kernel with the fault."""

    cite = True
    flights = 1

    def __init__(self, source: ProgramSource, guest: bool) -> None:
        self._guide = Guide(source, guest)
        self._guide.waiting.extend(_that_call(source, guest))

    @property
    def observe(self) -> Observe:
        """See Hunter."""
        return self._guide.observe

    def draw(self, first: int, count: int) -> list[Program]:
        """See Hunter."""
        return self._guide.draw(first, count)

    def learn(self, target: Target, examined: list[Examined]) -> None:
        """See Hunter."""
        self._guide.learn(target, runs_of(examined))


def _that_call(source: ProgramSource, guest: bool) -> list[Program]:
    """The corpus, without programs that call none of the surfaces a fault is sought in."""
    surfaces = tuple(SURFACES[name] for name in sorted(source.options.surfaces))
    return [
        program
        for program in corpus_programs(guest)
        if any(isinstance(step, surfaces) for step in program.steps)
    ]


def hunter(engine: str, source: ProgramSource, flights: int, guest: bool) -> Hunter:
    """One of ENGINES. flights: as many as there may be at once; guest: the target is disposable."""
    if engine == GUIDED:
        return GuidedHunter(source, guest)
    if engine == CORPUS:
        return CorpusHunter(source, flights, guest)
    return RandomHunter(source, flights)


@cache
def corpus_programs(guest: bool, root: Path = CORPUS_ROOT) -> tuple[Program, ...]:
    """The programs of the corpus in their order, and those for guests if the target is one. Raises
    ProgramTextError, OSError."""
    folders = FOLDERS if guest else tuple(name for name in FOLDERS if name != FOR_GUESTS)
    paths = [path for name in folders for path in sorted((root / name).glob("*.toml"))]
    return tuple(loads(path.read_bytes(), str(path), guest).program for path in paths)
