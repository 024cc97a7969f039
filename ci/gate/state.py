"""How far a gate has come, in one file that is whole or not there: what a later run goes on from,
and what reports are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from ci.gate.compare import Compared, Status
from fuzz.findings.atomic_file import write_atomically

FORMAT: Final = 1
STATE_FILE: Final = "gate.json"
EXAMPLES_MAX: Final = 4  # of a class: the smallest programs seen
EXAMPLE_NAMES_MAX: Final = 3
IDENTITIES_MAX: Final = 20  # of a class, told in the report
REASONS_MAX: Final = 200  # different ones, of programs left out


class StateError(Exception):
    """The folder cannot be used. str() says which file, why, and what to do."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gate compares, by what programs: what must be the same for a run to go on. digest:
    of corpus and ledger."""

    base: str
    head: str
    seed: int
    programs: int
    digest: str


class Kernel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One side. facts: by name, flat, as text. probed: as program.kernel_facts has them."""

    target: str
    release: str
    facts: dict[str, str]
    probed: dict[str, Any]


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program of a class: its name, and its text."""

    name: str
    text: str


class Settled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of running a class again, alone. shown of runs: pairs of runs that showed the
    class. compared, program: of the smallest program that shows it. from_name: of the program
    that it was made from. file: where the reproducer lies, "" for none."""

    shown: int
    runs: int
    compared: Compared
    program: Example
    mappings: int
    steps: int
    file: str = ""


class Group(msgspec.Struct, forbid_unknown_fields=True):
    """One class of differences. count: of programs. first: as it was first seen. identities:
    how many programs showed each."""

    first: Compared
    count: int = 0
    examples: list[Example] = []
    identities: dict[str, int] = {}
    settled: Settled | None = None

    def add(self, compared: Compared, example: Example) -> None:
        """One more program of this class."""
        self.count += 1
        identity = compared.identity
        if identity in self.identities or len(self.identities) < IDENTITIES_MAX:
            self.identities[identity] = self.identities.get(identity, 0) + 1
        self.examples.append(example)
        self.examples.sort(key=lambda one: (len(one.text), one.text))
        del self.examples[EXAMPLES_MAX:]


class State(msgspec.Struct, forbid_unknown_fields=True):
    """All that is known so far. next: the number of the first program not run. total: of all
    programs. tally: programs by status and by source. left_out, harness: how often, by reason.
    applicable, matched: ids of the ledger's entries that speak of these kernels, and those that
    knew of something. ended: why it stopped before everything was run, "" for not. seconds: used
    by all runs."""

    options: Options
    base: Kernel
    head: Kernel
    total: int
    format: int = FORMAT
    next: int = 0
    tally: dict[str, int] = {}
    sources: dict[str, int] = {}
    left_out: dict[str, int] = {}
    harness: dict[str, int] = {}
    groups: dict[str, Group] = {}
    applicable: list[str] = []
    matched: list[str] = []
    finished: bool = False
    ended: str = ""
    failure: str = ""
    seconds: float = 0.0

    def count(self, status: Status) -> int:
        """Programs with this status."""
        return self.tally.get(status.value, 0)

    @property
    def compared(self) -> int:
        """Programs that were compared: run by both, with evidence."""
        return self.next - self.count(Status.LEFT_OUT) - self.count(Status.HARNESS)

    def note(self, compared: Compared, example: Example) -> None:
        """Count one program. A same or left-out one leaves no class behind."""
        status = compared.status
        self.tally[status.value] = self.count(status) + 1
        if status is Status.SAME:
            return
        if status in (Status.LEFT_OUT, Status.HARNESS):
            reasons = self.left_out if status is Status.LEFT_OUT else self.harness
            words = compared.words
            if words not in reasons and len(reasons) >= REASONS_MAX:
                words = "other reasons"
            reasons[words] = reasons.get(words, 0) + 1
            return
        self.matched += [ident for ident in compared.ledger if ident not in self.matched]
        group = self.groups.get(compared.key)
        if group is None:
            group = self.groups[compared.key] = Group(compared, examples=[], identities={})
        group.add(compared, example)

    def stale(self) -> list[str]:
        """Entries that speak of these kernels and match nothing. Only a whole run can tell."""
        if not self.finished or self.ended:
            return []
        return sorted(set(self.applicable) - set(self.matched))


def new_state(options: Options, base: Kernel, head: Kernel, total: int) -> State:
    """Nothing run yet."""
    return State(
        options, base, head, total, tally={}, sources={}, left_out={}, harness={}, groups={},
        applicable=[], matched=[],
    )  # fmt: skip


def load_state(folder: Path) -> State | None:
    """What a folder holds; None for a folder without. Raises StateError."""
    path = folder / STATE_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{path}: cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise StateError(
            f"{path}: not a gate's, or another version's ({error}); name another --folder"
        ) from error


def save_state(folder: Path, state: State) -> None:
    """Keep it, whole or not at all. Raises StateError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        data = msgspec.json.encode(state, order="deterministic")
        write_atomically(folder / STATE_FILE, msgspec.json.format(data, indent=1) + b"\n")
    except OSError as error:
        place = error.filename or folder
        raise StateError(f"{place}: {error.strerror}; name another --folder") from error
