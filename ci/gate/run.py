"""A gate from the first program to the last class. What it has come to is kept as it goes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from ci.gate.compare import ALONE, DIFFERENCES, LOOK, Compared, Comparer, Seen, Status
from ci.gate.programs import CORPUS, Named, Programs
from ci.gate.settle import Settler
from ci.gate.state import Example, Kernel, Options, State, StateError, new_state, save_state
from conformance.oracle.expected_change import flat_facts
from conformance.oracle.ledger import Ledger
from conformance.program.text import dumps
from conformance.target.target import Target, TargetError
from fuzz.engine.examine import Examiner
from fuzz.engine.schedule import BATCH
from fuzz.findings.atomic_file import write_atomically

RUN_SHARE: Final = 0.6  # of the budget, for running programs; the rest is for settling classes
SAVE_SECONDS: Final = 5.0  # at most so much work is lost to a kill
BATCH_SECONDS_MAX: Final = 10.0  # an ordinary one takes 0.2 s, in a guest under TCG 1 s
CLASS_SECONDS_MAX: Final = 15.0  # for settling one class
CLASS_SECONDS_MIN: Final = 1.0  # also where the budget is used up: it must be seen again
NO_BUDGET: Final = 24 * 3600.0
BUDGET_ENDED: Final = "the budget was used up"
INTERRUPTED: Final = "it was interrupted"
# In which order classes are settled: what decides the exit code first.
ORDER: Final = {status: number for number, status in enumerate(DIFFERENCES)}

Say = Callable[[str], None]


class Gate:
    """One comparison. Raises what the folder's state raises; a target that fails in the middle
    ends it, with the reason in state.failure."""

    def __init__(
        self, base: Target, head: Target, ledger: Ledger, programs: Programs, folder: Path,
        state: State | None, options: Options, budget: float = NO_BUDGET,
        say: Say = lambda line: None,
    ) -> None:  # fmt: skip
        self._targets = (base, head)
        self._comparer = Comparer(base.facts, head.facts, ledger)
        self._settler = Settler(base, head, self._comparer)
        self._programs = programs
        self._folder = folder
        self._budget = budget
        self._say = say
        self._began = time.monotonic()
        self._saved = self._began
        if state is None:
            state = new_state(options, _kernel(base), _kernel(head), len(programs))
            state.applicable = list(self._comparer.applicable)
            state.left_out |= programs.left_out
        _check_same(folder, (state.base, state.head), (base, head))
        self.state = state
        self._before = state.seconds

    def run(self) -> State:
        """Run what is left to run, settle what is left to settle; the state, kept in the
        folder. Raises StateError."""
        state = self.state
        state.ended = state.failure = ""
        try:
            self._run_programs()
            self._settle()
            state.finished = True
        except TargetError as error:
            state.failure = str(error)
        except KeyboardInterrupt:
            state.ended = INTERRUPTED
        self._save()
        return state

    def _run_programs(self) -> None:
        state = self.state
        examiners = [Examiner(target) for target in self._targets]
        end = self._began + self._budget * RUN_SHARE
        size = BATCH
        while state.next < state.total:
            began = time.monotonic()
            if began >= end:
                state.ended = BUDGET_ENDED
                return
            batch = self._programs.batch(state.next, size)
            for examiner in examiners:
                examiner.start([named.program for named in batch], LOOK)
            sides = [examiner.finish() for examiner in examiners]
            for named, base, head in zip(batch, *sides, strict=True):
                seen = [Seen(one.outcome, one.verdict) for one in (base, head)]
                self._note(named, self._comparer.compare(named.program, seen[0], seen[1]))
            state.next += len(batch)
            size = next_size(size, time.monotonic() - began)
            self._tell()

    def _note(self, named: Named, compared: Compared) -> None:
        state = self.state
        if compared.status is Status.HARNESS:  # a second chance: evidence may be had alone
            (compared,) = self._settler.compare([named.program], ALONE)
        state.sources[named.source] = state.sources.get(named.source, 0) + 1
        text = dumps(named.program) if compared.status in DIFFERENCES else ""
        state.note(compared, Example(named.name, text))

    def _settle(self) -> None:
        """Every class that is not settled, or whose number of programs has grown since."""
        open_groups = [group for group in self.state.groups.values() if group.settled is None]
        open_groups.sort(key=lambda group: (ORDER[group.first.status], group.first.key))
        for index, group in enumerate(open_groups):
            left = self._budget - (time.monotonic() - self._began)
            share = max(
                CLASS_SECONDS_MIN, min(CLASS_SECONDS_MAX, left / (len(open_groups) - index))
            )
            settled = self._settler.settle(group, share)
            file = f"{slug(group.first)}.toml"
            text = reproducer_text(self.state, group.first, settled.shown, settled.runs)
            data = f"{text}{settled.program.text}".encode()
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._folder / file, data)
            group.settled = replace(settled, file=file)
            self._say(f"{index + 1} of {len(open_groups)} classes settled: {group.first.key}")
            self._save()

    def _tell(self) -> None:
        state = self.state
        differ = sum(state.count(status) for status in DIFFERENCES)
        self._say(
            f"{state.next} of {state.total} programs, {differ} differ in "
            f"{len(state.groups)} classes"
        )
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self._save()

    def _save(self) -> None:
        self._saved = time.monotonic()
        self.state.seconds = self._before + self._saved - self._began
        save_state(self._folder, self.state)


def next_size(size: int, seconds: float) -> int:
    """How many programs to run at once, after so many took so long: fewer where kernels hang or
    go down, so that the budget is looked at in between."""
    if seconds > BATCH_SECONDS_MAX:
        return max(1, size // 4)
    return min(BATCH, size * 2) if seconds < BATCH_SECONDS_MAX / 4 else size


def _check_same(folder: Path, kept: tuple[Kernel, Kernel], now: tuple[Target, Target]) -> None:
    """What was seen of another kernel says nothing of this one. Raises StateError."""
    for kernel, target in zip(kept, now, strict=True):
        if kernel.release != target.facts.release:
            raise StateError(
                f"{folder} was begun with {kernel.target} being Linux {kernel.release}, now it is "
                f"{target.facts.release}: name another --folder"
            )


def _kernel(target: Target) -> Kernel:
    facts = {name: str(value) for name, value in flat_facts(target.facts).items()}
    probed = msgspec.to_builtins(target.facts)
    return Kernel(target.name, target.facts.release, facts, probed)


def slug(compared: Compared) -> str:
    """A file name without suffix, readable, and one for each class."""
    digest = hashlib.sha256(compared.key.encode()).hexdigest()[:8]
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in compared.key)
    return f"{plain[:80].strip('-')}-{digest}"


def reproducer_text(state: State, compared: Compared, shown: int, runs: int) -> str:
    """The comment over a reproducer."""
    lines = [
        f"{compared.status.value}: {compared.words}",
        f"base {state.base.target} ({state.base.release}), "
        f"head {state.head.target} ({state.head.release}): "
        f"shown by {shown} of {runs} pairs of runs.",
    ]
    return "".join(f"# {line}\n" for line in lines)


def digest_of(corpus: Path = CORPUS) -> str:
    """Of every file of the corpus: a run goes on only where they are the same."""
    digest = hashlib.sha256()
    for path in sorted(corpus.rglob("*.toml")):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(corpus)} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:16]
