"""Racing programs: a small layout, and actors whose calls meet in it.

Small on purpose: an outcome is judged against every order of the atomic steps, and what collides
in four pages collides in four hundred.
"""

from __future__ import annotations

from typing import Final

from conformance.abi.advice import BY_NAME
from conformance.program import call as c
from conformance.program.control_memory import control_bytes
from conformance.program.control_struct import ControlFields, Multi, Range, Single
from conformance.program.mapping import Backing, FileSlot, Kind, Mapping, Prot, Sharing, Touch
from conformance.program.places import FD_PIDFD_REMOTE, FD_PIDFD_SELF, PAGE, ZONE_BASE, page_address
from conformance.program.program import Program
from conformance.program.race import ACTOR_STEPS_MAX, ACTORS_MAX, WORD
from fuzz.generate.chooser import Chooser, table
from fuzz.generate.options import DEFAULT, GenerateOptions

ROOM_PAGES: Final = 14  # of the arena; what actors name lies in it
FILE_PAGES: Final = 8

_COUNTS: Final = table((14, 2), (5, 3), (1, 4))  # actors
_STEPS: Final = table((8, 1), (3, 2))  # of an actor
_MAPPINGS: Final = table((4, 1), (5, 2), (3, 3))
_PAGES: Final = table((1, 1), (3, 2), (4, 3), (3, 4))
_GAPS: Final = table((5, 0), (2, 1), (1, 2))
_KINDS: Final = table((12, Kind.ANON), (2, Kind.MEMFD), (1, Kind.TMPFS))
_PROTS: Final = table((12, Prot.RW), (2, Prot.R), (1, Prot.NONE))
# Rounds of an empty loop: a call takes 0.3 to 20 us, ten times that where it is emulated.
_DELAYS: Final = table(
    (8, 0), (2, 50), (2, 200), (2, 800), (2, 2000), (2, 5000), (1, 12000), (1, 30000)
)  # fmt: skip
_STORE_DELAYS: Final = table((1, 0), (2, 50), (3, 300), (3, 1000), (2, 4000), (1, 16000))
_REPEATS: Final = table((2, 1), (2, 4), (3, 20), (4, 100))  # of stores
# Which word of a call they change, and into what: all that a second look would take for granted.
_SIZE, _ADVICE, _STATS, _OPTIONS = range(4)
_WORDS: Final = table((3, _SIZE), (4, _ADVICE), (3, _STATS), (1, _OPTIONS))
_SIZES: Final = (0, PAGE, 2 * PAGE, 3 * PAGE, (1 << 64) - PAGE)  # the last wraps: EINVAL
_OTHER_ADVICES: Final = (26, 27, 0, BY_NAME["DONTNEED"].value, BY_NAME["RANDOM"].value)
RANGE_BYTES: Final = 24
IOVEC_BYTES: Final = 16
STATS_POINTER: Final = 32  # in the control struct
STATS_SHIFT: Final = 0x240  # from the stats to a part of the slot that no struct covers
_NAMES: Final = (
    *("DONTNEED",) * 5, *("FREE",) * 2, *("GUARD_INSTALL",) * 3, *("GUARD_REMOVE",) * 2, "COLD",
    "PAGEOUT", "WILLNEED", "REMOVE", "POPULATE_READ", *("POPULATE_WRITE",) * 2, "DONTNEED_LOCKED",
    *("SEQUENTIAL",) * 2, "RANDOM", "NORMAL", *("DONTFORK",) * 2, "DOFORK", *("DONTDUMP",) * 2,
    "DODUMP", "WIPEONFORK", "KEEPONFORK", "NOHUGEPAGE",
)  # fmt: skip
ADVICES: Final = tuple(BY_NAME[name].value for name in _NAMES)
_POPULATE: Final = tuple(BY_NAME[name].value for name in ("POPULATE_READ", "POPULATE_WRITE"))
REMOTE: Final = tuple(BY_NAME[name].value for name in ("COLD", "PAGEOUT", "WILLNEED"))

_CALL, _TOUCH, _MUNMAP, _MMAP, _MPROTECT, _MREMAP, _FORK = range(7)
_OTHERS: Final = table(
    (6, _CALL), (6, _TOUCH), (4, _MUNMAP), (3, _MMAP), (4, _MPROTECT), (2, _MREMAP), (1, _FORK)
)  # fmt: skip
# What there is besides two who change the same memory.
_PLAIN, _STORES, _REMOTE_ACTS = range(3)
_SORTS: Final = table((8, _PLAIN), (3, _STORES), (3, _REMOTE_ACTS))

# Each call has its own structs, in a slot of the zone.
SLOT_BYTES: Final = 0x400
CTL_IN_SLOT, STATS_IN_SLOT, ARRAY_IN_SLOT, ELEMENTS_IN_SLOT = 0x40, 0x100, 0x180, 0x280
RANGES_MAX: Final = 4
assert ARRAY_IN_SLOT + RANGES_MAX * 24 <= ELEMENTS_IN_SLOT


class _Draw:
    """One program on its way."""

    def __init__(self, chooser: Chooser, options: GenerateOptions) -> None:
        self.chooser = chooser
        self.surfaces = tuple(name for name in c.SURFACES if name in options.surfaces)
        advices = tuple(advice for advice in options.advices if advice in ADVICES)
        self.advices = advices or ADVICES
        self.slot = 0
        self.mappings: list[Mapping] = []
        self.end = 0  # page behind the layout

    def program(self) -> Program:
        chooser = self.chooser
        self._layout()
        sort = chooser.pick(_SORTS)
        actors = [self._actor(calls=True)]
        if sort == _STORES and any(s != "madvise" for s in self.surfaces):
            actors = self._with_stores()
        elif sort == _REMOTE_ACTS and any(s != "madvise" for s in self.surfaces):
            actors = self._with_remote()
        for _ in range(chooser.pick(_COUNTS) - len(actors)):
            actors.append(self._actor(calls=False))
        first = chooser.integer(0, len(actors) - 1)
        race = c.Race((*actors[first:], *actors[:first]))
        steps: list[c.Step] = [race]
        if chooser.chance(1, 3):
            steps.append(c.TouchPages(0, self.end, chooser.chance(1, 2)))
        files = [(i, m) for i, m in enumerate(self.mappings) if m.kind is not Kind.ANON]
        if not files:
            return Program(tuple(self.mappings), tuple(steps))
        slots = tuple(FileSlot(Backing(m.kind.value), FILE_PAGES) for _, m in files)
        numbers = {i: number for number, (i, _) in enumerate(files)}
        layout = tuple(
            Mapping(m.kind, m.at, m.pages, m.prot, m.sharing, numbers.get(i, 0), m.offset,
                    touches=m.touches)
            for i, m in enumerate(self.mappings)
        )  # fmt: skip
        return Program(layout, tuple(steps), slots)

    def _layout(self) -> None:
        chooser = self.chooser
        at = chooser.pick(_GAPS)
        for _ in range(chooser.pick(_MAPPINGS)):
            pages = chooser.pick(_PAGES)
            if at + pages > ROOM_PAGES:
                break
            kind, prot = chooser.pick(_KINDS), chooser.pick(_PROTS)
            shared = kind is not Kind.ANON and chooser.chance(2, 3)
            sharing = Sharing.SHARED if shared else Sharing.PRIVATE
            touches: tuple[Touch, ...] = ()
            if prot is Prot.RW and chooser.chance(4, 5):
                touches = (Touch(0, chooser.integer(1, pages)),)
            self.mappings.append(Mapping(kind, at, pages, prot, sharing, touches=touches))
            at += pages
            self.end = at
            at += chooser.pick(_GAPS)

    def _actor(self, calls: bool) -> c.Actor:
        chooser = self.chooser
        steps: list[c.ActorStep] = []
        for _ in range(chooser.pick(_STEPS)):
            steps.append(self._call() if calls else self._step())
        place = c.ActorPlace.PROCESS if chooser.chance(1, 5) else c.ActorPlace.THREAD
        return c.Actor(tuple(steps), place, chooser.pick(_DELAYS))

    def _step(self) -> c.ActorStep:
        kind = self.chooser.pick(_OTHERS)
        if kind == _CALL:
            return self._call()
        return c.Fork() if kind == _FORK else self._mm_step(kind)

    def _mm_step(self, kind: int) -> c.ActorStep:
        chooser = self.chooser
        page, pages = self._pages()
        if kind == _TOUCH:
            return c.TouchPages(page, pages, chooser.chance(3, 4))
        start, length = page_address(page), pages * PAGE
        if kind == _MUNMAP:
            return c.Munmap(start, length)
        if kind == _MPROTECT:
            return c.Mprotect(start, length, chooser.pick(_PROTS))
        if kind == _MREMAP:
            to = page_address(ROOM_PAGES + chooser.integer(0, 2))
            return c.Mremap(start, length, length, to)
        return c.Mmap(Mapping(Kind.ANON, page, pages, chooser.pick(_PROTS)))

    def _pages(self) -> tuple[int, int]:
        """A run of pages: mostly where mappings are, seldom a page beyond."""
        chooser = self.chooser
        page = chooser.integer(0, self.end - 1)
        return page, chooser.integer(1, max(1, min(4, self.end + 1 - page)))

    def _range(self) -> tuple[int, int]:
        page, pages = self._pages()
        return page_address(page), pages * PAGE

    def _call(self, advices: tuple[int, ...] = (), pidfd: int = FD_PIDFD_SELF) -> c.ActorStep:
        chooser = self.chooser
        advice = chooser.pick(advices or self.advices)
        usual = [s for s in self.surfaces if pidfd == FD_PIDFD_SELF or s != "madvise"]
        surface = chooser.pick(tuple(usual))
        if surface == "madvise":
            return c.Madvise(*self._range(), advice)
        if surface == "madvise_ranges":
            return self._ranges_call(advice, pidfd)
        return self._vector_call(advice, pidfd)

    def _vector_call(self, advice: int, pidfd: int) -> c.ProcessMadvise:
        vec = tuple(c.IoRange(*self._range()) for _ in range(self.chooser.integer(1, 3)))
        at = self._take_slot() + ARRAY_IN_SLOT
        return c.ProcessMadvise(advice, vec, pidfd, vec_at=at)

    def _take_slot(self) -> int:
        at = ZONE_BASE + self.slot * SLOT_BYTES
        self.slot += 1
        assert self.slot <= ACTORS_MAX * ACTOR_STEPS_MAX, "a slot for each call"
        return at

    def _ranges_call(self, advice: int, pidfd: int) -> c.MadviseRanges:
        chooser = self.chooser
        slot = self._take_slot()
        if advice in _POPULATE:  # what they meet while the lock is dropped nobody can say
            advice = BY_NAME["DONTNEED"].value
        ranges = tuple(Range(*self._range(), advice) for _ in range(chooser.integer(1, RANGES_MAX)))
        arm: Single | Multi = Multi(ranges)
        if len(ranges) == 1 and chooser.chance(1, 2):
            arm = Single(ranges[0])
        control = ControlFields(
            arm, pidfd=pidfd, is_remote=pidfd != FD_PIDFD_SELF,
            ignore_errors=chooser.chance(1, 3), single_mapping_only=chooser.chance(1, 3),
            stop_on_gap=chooser.chance(1, 4),
        )  # fmt: skip
        per_range = slot + ELEMENTS_IN_SLOT if chooser.chance(1, 2) else 0
        return c.MadviseRanges(
            control, slot + CTL_IN_SLOT, slot + ARRAY_IN_SLOT, slot + STATS_IN_SLOT, per_range
        )

    def _with_stores(self) -> list[c.Actor]:
        """A call, and someone who changes a word of its control struct or array, and back."""
        chooser = self.chooser
        surface = chooser.pick(tuple(s for s in self.surfaces if s != "madvise"))
        call: c.ProcessMadvise | c.MadviseRanges
        if surface == "madvise_ranges":
            call = self._ranges_call(chooser.pick(self.advices), FD_PIDFD_SELF)
            at, before, after = self._rewritten(call)
        else:
            call = self._vector_call(chooser.pick(self.advices), FD_PIDFD_SELF)
            i = chooser.integer(0, len(call.vec) - 1)
            at, before = call.vec_at + IOVEC_BYTES * i + WORD, call.vec[i].length
            after = chooser.pick(_SIZES)
        stores: tuple[c.Store, ...] = (c.Store(at, after), c.Store(at, before))
        if chooser.chance(1, 3):
            stores = stores[:1]
        caller = c.Actor((call,), delay=chooser.pick(_DELAYS))
        delay = chooser.pick(_STORE_DELAYS)
        writer = c.Actor(stores, delay=delay, repeat=chooser.pick(_REPEATS))
        return [caller, writer]

    def _rewritten(self, call: c.MadviseRanges) -> tuple[int, int, int]:
        """A word of a call's inputs, what it holds, and what it is to hold: by either value the
        call is one that may be made."""
        chooser = self.chooser
        assert isinstance(call.control, ControlFields)
        arm = call.control.arm
        data = control_bytes(call)
        what = chooser.pick(_WORDS)
        if what == _STATS:  # into zone that holds poison: the pointer to elements leads nowhere
            return call.ctl_at + STATS_POINTER, call.stats_at, call.stats_at + STATS_SHIFT
        if what == _OPTIONS:
            before = int.from_bytes(data[-WORD:], "little")
            return call.ctl_at + len(data) - WORD, before, before ^ 1 << 33  # ignore_errors
        if isinstance(arm, Multi):
            at = call.array_at + RANGE_BYTES * chooser.integer(0, len(arm.ranges) - 1)
            entry = arm.ranges[(at - call.array_at) // RANGE_BYTES]
        else:
            assert isinstance(arm, Single)
            at, entry = call.ctl_at + WORD, arm.range
        if what == _SIZE:
            return at + WORD, entry.length, chooser.pick(_SIZES)
        return at + 2 * WORD, entry.advice, chooser.pick(_OTHER_ADVICES)

    def _with_remote(self) -> list[c.Actor]:
        """A call on the second process, which changes its own mappings, or ends."""
        chooser = self.chooser
        caller = c.Actor((self._call(REMOTE, FD_PIDFD_REMOTE),), delay=chooser.pick(_DELAYS))
        kinds = (_TOUCH, _MUNMAP, _MPROTECT, _MMAP)
        steps = [self._mm_step(chooser.pick(kinds)) for _ in range(chooser.pick(_STEPS))]
        if chooser.chance(1, 3):
            steps.append(c.Exit())
        other = c.Actor(tuple(steps), c.ActorPlace.REMOTE, chooser.pick(_DELAYS))
        return [caller, other]


def generate_race(chooser: Chooser, options: GenerateOptions = DEFAULT) -> Program:
    """A program with a race, which validate() accepts, whatever the chooser says."""
    return _Draw(chooser, options).program()
