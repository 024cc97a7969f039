"""One order of the atomic steps of a race: the actors run on the model as coroutines, and whoever
is to go next is chosen at every pause.

The choices are a path; the same path gives the same order. See linear for how paths are gone
through. Locks are kept as the kernel keeps them: nobody takes the mmap_lock for writing while
another holds it for reading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from conformance.model.address_space import AddressSpace
from conformance.model.fingerprint import fingerprint, vmas_of
from conformance.model.pauses import (
    ASK,
    DOWNGRADE,
    DROP,
    FLUSH,
    FORGET,
    PAGE,
    READ,
    STALE,
    TASK,
    TELL,
    USES_STALE,
    WORD,
    WRITE,
)
from conformance.model.process import Process
from conformance.program import call as c
from conformance.program.places import ARENA_BASE, ARENA_END_MAX
from conformance.program.places import PAGE as PAGE_BYTES
from conformance.program.race import WORD as WORD_BYTES
from conformance.program.race import changes_vmas, pages_of

try:
    import greenlet
except ImportError:  # told where it is needed
    greenlet = None

MISSING: Final = "races are judged with greenlet, which is not installed: pip install greenlet"
ANY: Final = 1 << 30  # how often one actor may overtake another: as often as it likes


class NoCoroutines(Exception):
    """There is no greenlet. str() says how to get it."""


class Pruned(Exception):
    """This order cannot lead to what was seen, or leads where another has been."""


class _Reach(NamedTuple):
    """What an actor can get at. pages: that its steps name; wild: any page. vmas: it changes VMAs.
    words: numbers of 64-bit words that it stores. exits: it is a process that ends. only_stores:
    it does nothing else, and where no store can fault; round: its steps."""

    pages: frozenset[int]
    wild: bool
    vmas: bool
    words: frozenset[int]
    exits: bool
    only_stores: bool
    round: int


class Order:
    """A Schedule that makes one order of all races of a program.

    prefix: the choices to begin with; after it the first possible one is made each time. bound:
    how often an actor may be interrupted. seen: states that other paths went on from, with how
    often actors that only store had stored by then; new ones are added. observed: of each race,
    what each actor's calls gave.

    path: the choices made, as (which, of how many). limited: the bound forbade a choice.
    """

    def __init__(
        self,
        races: Sequence[c.Race],
        observed: Sequence[Sequence[Sequence[int]]],
        prefix: Sequence[int],
        bound: int,
        seen: dict[object, tuple[int, ...]],
    ) -> None:
        if greenlet is None:
            raise NoCoroutines(MISSING)
        self.path: list[tuple[int, int]] = []
        self.limited = False
        self._races = list(races)
        self._observed = list(observed)
        self._prefix = prefix
        self._left = bound
        self._seen = seen
        self._number = -1

    def __call__(
        self, acts: list[Callable[[], None]], process: Process, results: list[list[int]]
    ) -> None:
        """Run the actors of the next race. Raises Pruned."""
        self._number += 1
        # What was looked at between two races is no state, and differs by the first of them.
        self._earlier = tuple([which for which, _ in self.path])
        self._process = process
        self._results = results
        race = self._races[self._number]
        self._reach = [_reach(actor, race) for actor in race.actors]
        self._second = [actor.place is c.ActorPlace.REMOTE for actor in race.actors]
        self._history: list[list[object]] = [[] for _ in acts]
        self._counted = [0] * len(acts)
        self._pending: list[tuple[int, int, int]] = [(0, TELL, 0)] * len(acts)
        self._readers: list[set[int]] = [set(), set()]
        self._stale: list[set[tuple[int, int, bool]]] = [set() for _ in acts]  # see _uses_stale
        self._spaces = [process.space]
        if process.remote is not None:
            self._spaces.append(process.remote)
        self._files = any(vma.file is not None for space in self._spaces for vma in space.vmas)
        self._hub: Any = greenlet.getcurrent()
        self._actors: list[Any] = [greenlet.greenlet(act) for act in acts]
        for number, space in enumerate(self._spaces):
            space.pause = self._pause_of(number, space)
        try:
            self._drive()
        finally:
            for space in self._spaces:
                space.pause = None
            for actor in self._actors:
                if actor and not actor.dead:
                    actor.throw()  # GreenletExit: it ends where it stands

    def _pause_of(self, number: int, space: AddressSpace) -> Callable[[int, int, object], bool]:
        return lambda kind, where, learnt: self._pause(number, space, kind, where, learnt)

    def _drive(self) -> None:
        for actor in range(len(self._actors)):
            self._resume(actor)
        current = -1
        while True:
            live = [i for i, actor in enumerate(self._actors) if not actor.dead]
            if not live:
                return
            ready = [i for i in live if self._may(i)]
            assert ready, "an actor that holds the lock for reading can always go on"
            current = self._choose(current, ready)
            self._resume(current)

    def _choose(self, current: int, ready: list[int]) -> int:
        """Who goes next: by the path, then whoever went last, if it can."""
        interrupts = current in ready
        if interrupts:
            ready = [current, *(i for i in ready if i != current)]
            if len(ready) > 1 and self._left <= 0:
                self.limited = True
                ready = ready[:1]
        if len(ready) == 1:
            return ready[0]
        at = len(self.path)
        if at < len(self._prefix):
            which = self._prefix[at]
        else:
            which = 0
            state = self._state(current if interrupts else -1)
            stored = self._stored()
            before = self._seen.get(state)
            if before is not None and all(a <= b for a, b in zip(before, stored, strict=True)):
                raise Pruned
            self._seen[state] = stored
        self.path.append((which, len(ready)))
        if interrupts and which:
            self._left -= 1
        return ready[which]

    def _stored(self) -> tuple[int, ...]:
        """How far the actors are that only store. Who has more left to do can do the same."""
        return tuple(
            [len(result) if reach.only_stores else 0
             for result, reach in zip(self._results, self._reach, strict=True)]
        )  # fmt: skip

    def _step_of(self, actor: int) -> int:
        """How many results an actor has; of one that only stores, in the round at hand."""
        done = len(self._results[actor])
        reach = self._reach[actor]
        if reach.only_stores and not self._actors[actor].dead:
            return done % reach.round
        return done

    def _state(self, current: int) -> object:
        return (
            self._number,
            self._earlier,
            self._left if self._left < ANY // 2 else ANY,
            current if self._left < ANY // 2 else -1,
            tuple(self._pending),
            tuple([self._step_of(actor) for actor in range(len(self._results))]),
            tuple([actor.dead for actor in self._actors]),
            tuple([tuple(entries) for entries in self._history]),
            tuple([tuple(sorted(readers)) for readers in self._readers]),
            tuple([tuple(sorted(gone)) for gone in self._stale]),
            fingerprint(self._process),
        )

    def _may(self, actor: int) -> bool:
        space, kind, _ = self._pending[actor]
        return kind != WRITE or not self._readers[space] - {actor}

    def _resume(self, actor: int) -> None:
        self._running = actor
        self._actors[actor].switch()
        if not self._fits(actor):
            raise Pruned

    def _fits(self, actor: int) -> bool:
        """Has an actor been given what was seen?"""
        got = self._results[actor]
        return got == list(self._observed[self._number][actor][: len(got)])

    def _pause(
        self, number: int, space: AddressSpace, kind: int, where: int, learnt: object
    ) -> bool:
        """In an actor: it is about to make a step. See model.pauses."""
        me = self._running
        if kind == DROP:
            self._readers[number].discard(me)
            return False
        if kind == DOWNGRADE:
            self._readers[number].add(me)
            return False
        if kind == FORGET:
            self._history[me].clear()
            return False
        if kind == USES_STALE:
            return self._uses_stale(me, (number, where), bool(learnt))
        if kind == ASK:
            return self._meets(me, space, kind, where)
        if self._counted[me] != len(self._results[me]):  # a call of its own: all was told
            self._counted[me] = len(self._results[me])
            self._history[me].clear()
            self._stale[me].clear()
        if kind == STALE:
            self._stale[me].add((number, where, bool(learnt)))
            return False
        self._history[me].append((kind, where, learnt))
        if kind == FLUSH and not self._stale[me]:
            return False
        if kind == TELL or (kind != FLUSH and not self._meets(me, space, kind, where)):
            return False
        self._pending[me] = (number, kind, where)
        self._hub.switch()
        if kind in (READ, WRITE):
            self._history[me].append(vmas_of(space))
        if kind == READ:
            self._readers[number].add(me)
        return True

    def _uses_stale(self, me: int, place: tuple[int, int], write: bool) -> bool:
        """A choice of its own, where a call of another has taken the page away and not ended; what
        could not be written to can only be read. place: number of the space, page."""
        for other, gone in enumerate(self._stale):
            running = self._counted[other] == len(self._results[other])
            here = (*place, True) in gone or (not write and (*place, False) in gone)
            if here and other != me and running and not self._actors[other].dead:
                at = len(self.path)
                which = self._prefix[at] if at < len(self._prefix) else 0
                self.path.append((which, 2))
                return bool(which)
        return False

    def _meets(self, me: int, space: AddressSpace, kind: int, where: int) -> bool:
        """Could anyone else do something that this step would notice?"""
        if kind in (READ, WRITE):
            return True
        page = where - space.base
        zone = kind == WORD and not _in_arena(where)
        if kind == WORD:
            page = (where - ARENA_BASE) // PAGE_BYTES
            if zone and where // WORD_BYTES in self._reach[me].words:
                return True  # others read it
        for other, reach in enumerate(self._reach):
            if other == me or self._actors[other].dead:
                continue
            if kind == TASK:
                if reach.exits:
                    return True
            elif zone:
                if where // WORD_BYTES in reach.words:
                    return True
            elif reach.wild or page in reach.pages or self._files or (kind == PAGE and reach.vmas):
                return True
        return False


def _in_arena(address: int) -> bool:
    return ARENA_BASE <= address < ARENA_END_MAX


def _reach(actor: c.Actor, race: c.Race) -> _Reach:
    stores = any(isinstance(s, c.Store) for other in race.actors for s in other.steps)
    has_structs = any(isinstance(s, c.MadviseRanges | c.ProcessMadvise) for s in actor.steps)
    pages: set[int] = set()
    for step in actor.steps:
        pages |= pages_of(step)
    return _Reach(
        frozenset(pages),
        stores and has_structs,
        any(changes_vmas(step) for step in actor.steps),
        frozenset(s.at // WORD_BYTES for s in actor.steps if isinstance(s, c.Store)),
        any(isinstance(step, c.Exit) for step in actor.steps),
        all(isinstance(step, c.Store) and not _in_arena(step.at) for step in actor.steps),
        len(actor.steps),
    )
