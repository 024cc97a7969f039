"""Cutting submitted programs into batches that fit the ring, and again after a death."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from struct import Struct
from typing import Final

from conformance.program.outcome import Outcome
from conformance.program.plan import plan_of
from conformance.program.program import Program
from conformance.program.wire import (
    COVER_EDGES_MAX,
    COVER_NEW_MAX,
    COVER_PLACES_MAX,
    COVERAGE,
    Observe,
    encode,
)
from conformance.target.limits import (
    BATCH_PROGRAMS_MAX,
    OUTCOME_HEAD_BYTES,
    OUTSIDE_BYTES_MAX,
    SNAPSHOT_BYTES_PER_PAGE,
)
from conformance.target.target import TargetError

_EACH_STEP: Final = int(Observe.EACH_STEP)  # IntFlag arithmetic costs a microsecond
_COVERAGE: Final = int(COVERAGE)
_HEAD: Final = Struct("<4Q")  # of an encoded program


class Submission:
    """What one submit() handed over, and its outcomes so far. order: which program runs when.
    quick: what they leave behind is not looked at."""

    __slots__ = ("missing", "order", "quick", "_outcomes")

    def __init__(self, order: Sequence[int], quick: bool = False) -> None:
        self.order = order
        self.quick = quick
        self.missing = len(order)
        self._outcomes: list[Outcome | None] = [None] * len(order)

    def fill(self, place: int, outcome: Outcome) -> None:
        """Note the outcome of the program that runs at a place of the order, once."""
        index = self.order[place]
        assert self._outcomes[index] is None, f"program {index} was answered for twice"
        self._outcomes[index] = outcome
        self.missing -= 1

    def outcomes(self) -> list[Outcome]:
        """Those that there are, as the programs were handed over."""
        return [outcome for outcome in self._outcomes if outcome is not None]


class Batch:
    """Programs [first, first + len(encoded)) of a submission's order, as one ring part takes them.

    deaths: how often the executor was lost while it ran exactly this batch.
    """

    __slots__ = ("deaths", "encoded", "first", "submission")

    def __init__(self, submission: Submission, first: int, encoded: Sequence[bytes]) -> None:
        self.submission = submission
        self.first = first
        self.encoded = encoded
        self.deaths = 0

    def part(self, start: int, stop: int) -> Batch:
        """Its programs [start, stop) as a batch of their own."""
        return Batch(self.submission, self.first + start, self.encoded[start:stop])

    def halves(self) -> tuple[Batch, Batch]:
        """Two batches of this one's programs; it must have at least two."""
        middle = len(self.encoded) // 2
        return self.part(0, middle), self.part(middle, len(self.encoded))


def outcome_bytes_max(program: Program, encoded: bytes, observe: Observe) -> int:
    """No outcome of this program takes more bytes of the ring. Cheap rather than tight.

    Snapshots: the last one, one of the remote process, one for each step if asked for, and
    one more for a step that is a Fork, as all may be. Read-back structs are no longer than the
    same structs among the encoded words; what a ForkExec reads back is less than a snapshot.
    """
    _, _, flags, ops = _HEAD.unpack_from(encoded)
    steps = len(program.steps)
    snapshots = 2 + (2 * steps if int(observe) & _EACH_STEP else steps)
    size: int = OUTCOME_HEAD_BYTES + len(encoded) + 16 * ops
    size += snapshots * (8 + SNAPSHOT_BYTES_PER_PAGE * (flags >> 32))
    if int(observe) & _COVERAGE:
        size += _cover_bytes_max(observe)
    return size + OUTSIDE_BYTES_MAX if program.whole else size


def _cover_bytes_max(observe: Observe) -> int:
    """Of the sections of an outcome: a word each as head, one more to count edges, whole words."""
    edges = 2 * (COVER_EDGES_MAX if Observe.COVER_EDGES in observe else COVER_NEW_MAX)
    return 40 + edges + (16 * COVER_PLACES_MAX if Observe.COVER_PLACES in observe else 0)


def _order(programs: Sequence[Program]) -> list[int]:
    """Those that need a process of their own come last: between others, each would take a second
    process, for what comes after it."""
    alone = [program.whole or plan_of(program).isolated for program in programs]
    return sorted(range(len(programs)), key=alone.__getitem__)


def cut(
    programs: Sequence[Program], observe: Observe, part_bytes: int
) -> tuple[Submission, deque[Batch]]:
    """Encode programs and cut them into batches of which neither the words nor the outcomes
    can exceed a ring part. A program is encoded with its place in the order as its id.

    Raises TargetError naming the first program that is too large to run at all.
    """
    submission = Submission(_order(programs), bool(observe & Observe.NO_LEAKS))
    batches: deque[Batch] = deque()
    encoded: list[bytes] = []
    first = words_bytes = outcomes_bytes = 0
    for place, index in enumerate(submission.order):
        program = programs[index]
        words = encode(program, place, observe)
        outcome_bytes = outcome_bytes_max(program, words, observe)
        if max(len(words), outcome_bytes) > part_bytes:
            raise TargetError(
                f"program {index} of this batch is too large for the ring: {len(words)} bytes "
                f"of program, up to {outcome_bytes} bytes of outcome, {part_bytes} bytes of "
                "room for either; use fewer steps, ranges or arena pages"
            )
        words_bytes += len(words)
        outcomes_bytes += outcome_bytes
        if (
            words_bytes > part_bytes
            or outcomes_bytes > part_bytes
            or len(encoded) == BATCH_PROGRAMS_MAX
        ):
            batches.append(Batch(submission, first, encoded))
            encoded, first = [], place
            words_bytes, outcomes_bytes = len(words), outcome_bytes
        encoded.append(words)
    if encoded:
        batches.append(Batch(submission, first, encoded))
    return submission, batches
