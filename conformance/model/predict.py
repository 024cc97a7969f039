"""predict(): what one program may do on one kernel."""

from __future__ import annotations

from typing import Final

from conformance.model import disturbance
from conformance.model.address_space import NO_COPY
from conformance.model.allowed import REASONS, Unspecified
from conformance.model.call_madvise import madvise
from conformance.model.call_madvise_ranges import madvise_ranges
from conformance.model.call_mmap import make_file, mmap, munmap
from conformance.model.call_mprotect import mlock, mprotect, mseal, uffd_register
from conformance.model.call_mremap import mremap
from conformance.model.call_process_madvise import process_madvise
from conformance.model.disturbance import Call
from conformance.model.fork_child import fork
from conformance.model.fork_exec import heirs
from conformance.model.huge_pages import may_be_scanned, scan
from conformance.model.missing import missing_feature
from conformance.model.page_state import touch_run
from conformance.model.policy import DEFAULT_POLICY, Policy
from conformance.model.prediction import Prediction
from conformance.model.process import Process
from conformance.model.race import Schedule, one_after_the_other, race
from conformance.model.reclaim import reclaim
from conformance.model.rights import facts_under
from conformance.model.snapshot import expect_snapshot
from conformance.program import call as c
from conformance.program.content import write_tag
from conformance.program.control_memory import Poke, pokes_of
from conformance.program.kernel_facts import KernelFacts
from conformance.program.outcome import MEMORY_ERROR, NOT_PLACED
from conformance.program.places import ARENA_BASE, ARENA_END_MAX, PAGE, page_address
from conformance.program.plan import plan_of
from conformance.program.program import Program, Rights
from conformance.program.race import placed, results_of
from conformance.program.struct_shapes import shape_of
from conformance.spec.cite import cite, forget_cited, last_cited, met

STRUCT_NAMES: Final = ("per_range", "stats", "array", "ctl")  # by Poke.part
EACH_STEP: Final = 2  # wire.Observe.EACH_STEP
READ_ALL: Final = 1  # wire.Observe.READ_ALL

_ALL_RIGHTS: Final = Rights.ALL
# What no branch decides: the oracle sees to it in every program.
OF_EVERY_PROGRAM: Final = ("process-survives", "call-returns", "kernel-quiet")

# The rule that a result rests on when no more special one decided.
_USUAL: Final[dict[type, str]] = {
    c.Madvise: "madvise-effect",
    c.ProcessMadvise: "process-madvise-bytes",
    c.MadviseRanges: "walk-as-madvise",
    c.Mmap: "mmap-fixed",
    c.Munmap: "munmap-effect",
    c.Mprotect: "mprotect-effect",
    c.Mremap: "mremap-move",
    c.TouchPages: "touch-effect",
    c.Fork: "fork-effect",
    c.ForkExec: "default-inherit",
    c.Reclaim: "reclaim-effect",
    c.Race: "race-linear",
    c.Mlock: "mlock-effect",
    c.Mseal: "mseal-effect",
    c.UffdRegister: "uffd-effect",
    c.ClearSoftDirty: "soft-dirty-effect",
    c.SealFile: "seal-file-effect",
}


def predict(
    program: Program,
    facts: KernelFacts,
    policy: Policy = DEFAULT_POLICY,
    outside: tuple[int, ...] = (),
    observe: int = 0,
    schedule: Schedule = one_after_the_other,
) -> Prediction:
    """Everything the model says of a program. Never raises for a program that validates.

    outside: the VMAs outside the arena (Outcome.outside), for a program with `whole`.
    observe: the wire.Observe flags that the program is run with. schedule: orders the atomic steps
    of actors.
    """
    prediction = _predict(program, facts, policy, outside, observe, 0, schedule)
    if not prediction.skip and plan_of(program).fault >= 0:

        def again(place: int) -> Prediction:
            return _predict(program, facts, policy, outside, observe, place, schedule)

        prediction.again = again
    if plan_of(program).race:

        def reorder(order: Schedule) -> Prediction:
            return _predict(program, facts, policy, outside, observe, 0, order)

        prediction.reorder = reorder
    return prediction


def _predict(
    program: Program,
    facts: KernelFacts,
    policy: Policy,
    outside: tuple[int, ...],
    observe: int,
    place: int,
    schedule: Schedule,
) -> Prediction:
    """place: which of the model's allocations fails in the step that has fail_nth, 0 for none."""
    prediction = Prediction()
    prediction.skip = missing_feature(program, facts)
    if prediction.skip:
        return prediction
    for rule in OF_EVERY_PROGRAM:
        met(rule)
    plan = plan_of(program)
    run = begin(program, facts, prediction, plan.arena_pages, plan.remote, policy, outside, place)
    run.schedule = schedule
    process = run.process
    setup = run.serial
    for step in program.steps:
        run.step(step)
        if plan.fault >= 0 and run.serial - setup == plan.fault + 2:
            met("allocation-retry")
        if observe & EACH_STEP:
            last = run.serial - setup == len(program.steps)
            run.snapshot(False, bool(observe & READ_ALL) and last)
    if not observe & EACH_STEP:
        run.snapshot(False, bool(observe & READ_ALL))
    if process.remote is not None and not process.gone:
        space = process.remote
        prediction.snapshots.append(
            expect_snapshot(space, run.serial - 1, True, bool(observe & READ_ALL))
        )
    if prediction.judged_until < 0:
        prediction.judged_until = run.serial
    return prediction


def begin(
    program: Program,
    facts: KernelFacts,
    prediction: Prediction,
    pages: int,
    remote: bool,
    policy: Policy = DEFAULT_POLICY,
    outside: tuple[int, ...] = (),
    place: int = 0,
) -> Run:
    """The model where the layout of a program is made, and none of its steps taken. pages: of the
    arena, that steps will use. remote: a second process stands by. place: see _predict()."""
    process = Process(facts, pages)
    for slot, spec in enumerate(program.files):
        process.files.append(make_file(slot, spec, process))
    process.add_outside(outside)
    run = Run(process, prediction, policy, place)
    for step in plan_of(program).setup:
        run.step(step)
    if program.rights is not _ALL_RIGHTS:
        process.facts = process.space.facts = facts_under(program.rights, facts)
    if remote:
        process.remote = fork(process.space)
        process.remote.peer = process.space
        process.remote.allocations = process.space.allocations
        if plan_of(program).fault >= 0:
            copies = process.remote.copy_of
            process.space.shared = {i for i, copy in enumerate(copies) if copy != NO_COPY}
        if program.whole:  # the sacrificed process and the second one share what is left out
            process.remote.covered = process.space.covered
        process.space.peer = process.remote
    return run


class Run:
    """One program on its way through the model."""

    __slots__ = ("process", "out", "policy", "serial", "scanned", "place", "schedule")

    def __init__(self, process: Process, out: Prediction, policy: Policy, place: int) -> None:
        self.process = process
        self.place = place
        self.out = out
        self.policy = policy
        self.schedule: Schedule = one_after_the_other
        self.serial = 0
        self.scanned = may_be_scanned(process.facts, process.space.count)
        out.judged_until = -1

    def step(self, step: c.AnyStep) -> None:
        """Take one step and note its result."""
        self.serial += 1
        out = self.out
        forget_cited()
        result = self._result(step)
        if self.process.space.choices:
            self._choose(step)
        if self.process.space.memory_error:
            self.process.space.memory_error = False
            result -= MEMORY_ERROR
        out.results.append(result)
        out.requirements.append(last_cited() or cite(_USUAL[type(step)]))
        remote = self.process.remote
        if self.scanned:
            scan(self.process.space)
            if remote is not None:
                scan(remote)
        unsure = self.process.space.unsure or (remote.unsure if remote is not None else "")
        if unsure and out.judged_until < 0:
            out.judged_until = self.serial - 1
            out.unspecified[self.serial - 1] = Unspecified(unsure)

    def _choose(self, step: c.AnyStep) -> None:
        """The call at hand may return something else. What the other calls make of an error that
        is one of two is not worked out."""
        space = self.process.space
        if isinstance(step, c.Madvise):
            self.out.alternatives[self.serial - 1] = space.choices
        else:
            space.unsure = REASONS[space.choices[0].reason]
        space.choices = ()

    def snapshot(self, child: bool, read_all: bool) -> None:
        """The arena as it must stand after the last step."""
        space = self.process.space
        self.out.snapshots.append(expect_snapshot(space, self.serial - 1, child, read_all))

    def _result(self, step: c.AnyStep) -> int:
        process = self.process
        # isinstance() of a msgspec struct costs four times as much as this; usual steps first.
        if type(step) is c.Mmap:
            return mmap(process, step.mapping)
        if type(step) is c.TouchPages:
            return self._touch(step)
        if type(step) is c.Madvise:
            return self._madvise(step)
        if type(step) is c.MadviseRanges:
            return self._madvise_ranges(step)
        if type(step) is c.ProcessMadvise:
            return self._process_madvise(step)
        return self._rare(step)

    def _rare(self, step: c.AnyStep) -> int:
        process = self.process
        space = process.space
        if isinstance(step, c.Munmap):
            return munmap(space, step.start, step.length)
        if isinstance(step, c.Mprotect):
            return mprotect(space, step)
        if isinstance(step, c.Mremap):
            return mremap(process, step)
        if isinstance(step, c.Fork):
            child = fork(space)
            self.out.snapshots.append(expect_snapshot(child, self.serial - 1, True, False))
            return 0
        if isinstance(step, c.ForkExec):
            self._note_peek(heirs(space), "heirs")
            return 0
        if isinstance(step, c.Reclaim):
            return reclaim(process)
        if isinstance(step, c.Race):
            return self._race(step)
        if isinstance(step, c.Mlock):
            return mlock(process, step)
        if isinstance(step, c.Mseal):
            return mseal(space, step)
        if isinstance(step, c.UffdRegister):
            return uffd_register(space, step)
        if isinstance(step, c.SealFile):
            process.files[step.file].sealed = True
        return 0

    def _touch(self, step: c.TouchPages) -> int:
        first = page_address(step.page) // PAGE
        if not step.write and self.process.facts.vvar_pages:
            self._special_touch(first, first + step.pages)
        tag = write_tag(self.serial, step.page)
        return touch_run(self.process.space, first, step.pages, step.write, tag)

    def _special_touch(self, start: int, end: int) -> None:
        """Reading [vvar] may end in SIGBUS, by what clock the kernel uses. What comes after it
        in the same touch may then not have been reached."""
        space = self.process.space
        for vma in space.vmas:
            if vma.special and vma.file is None and vma.start < end and vma.end > start:
                met("special-content")
                reason = Unspecified(REASONS["special-page"])
                self.out.unspecified[self.serial - 1] = reason
                if vma.end < end:
                    space.unsure = "a touch that goes on behind [vvar]"

    def _note_peek(self, data: bytes, name: str) -> None:
        self.out.peeks.append(data)
        self.out.peek_steps.append(self.serial - 1)
        self.out.peek_names.append(name)

    def _place(self, pokes: tuple[Poke, ...]) -> bool:
        placed = True
        memory = self.process.memory
        for poke in pokes:
            placed = memory.place(poke.at, poke.data) and placed
        return placed

    def _begin(self, step: Call) -> None:
        disturbance.begin(self.process.space, step, self.place)

    def _end(self, step: Call) -> None:
        disturbance.end(self.process.space, step, self.place, self.out, self.serial - 1)

    def _note(self, step: Call) -> None:
        disturbance.note(self.process.space, step, self.out, self.serial - 1)

    def _madvise(self, step: c.Madvise) -> int:
        self._begin(step)
        result = madvise(self.process.space, step)
        self._end(step)
        self._note(step)
        return result

    def _process_madvise(self, step: c.ProcessMadvise) -> int:
        result = NOT_PLACED
        if self._place(pokes_of(step)):
            self._begin(step)
            result = process_madvise(self.process, step)
            self._end(step)
        self._note_peek(bytes(8), "zone")  # the call writes nothing
        self.process.memory.forget_zone()
        self._note(step)
        return result

    def _madvise_ranges(self, step: c.MadviseRanges) -> int:
        memory = self.process.memory
        result = NOT_PLACED
        memory.begin_call()
        pokes = pokes_of(step)
        if self._place(pokes):
            memory.begin_call()
            shape = shape_of(step.ilp32)
            self._begin(step)
            result = madvise_ranges(self.process, step.ctl_at, self.policy, shape)
            self._end(step)
        peeked: list[tuple[int, int]] = []
        for poke in pokes:
            if poke.output or ARENA_BASE <= poke.at < ARENA_END_MAX:
                data = memory.peek(poke.at, len(poke.data))
                if memory.doubtful:
                    self.out.free_peeks[len(self.out.peeks)] = "lazy-free"
                if poke.at < ARENA_END_MAX:
                    met("stats-single-fetch")
                self._note_peek(data, STRUCT_NAMES[poke.part])
                peeked.append((poke.at, len(poke.data)))
        self._zone_peek(peeked)
        self._note(step)
        return result

    def _race(self, step: c.Race) -> int:
        """All structs are stored, the actors act, and all is read back."""
        memory = self.process.memory
        structs = placed(step)
        memory.begin_call()
        result = 0 if self._place(tuple([one.poke for one in structs])) else NOT_PLACED
        memory.begin_call()
        results = [[NOT_PLACED] * results_of(step)]
        if not result:
            results = race(self.process, step, self.serial, self.policy, self.schedule)
        data = b"".join(
            [value.to_bytes(8, "little", signed=True) for part in results for value in part]
        )
        self._note_peek(data, "race")
        peeked: list[tuple[int, int]] = []
        for one in structs:
            if one.peeked:
                poke = one.poke
                data = memory.peek(poke.at, len(poke.data))
                if memory.doubtful:
                    self.out.free_peeks[len(self.out.peeks)] = "lazy-free"
                self._note_peek(data, STRUCT_NAMES[poke.part])
                peeked.append((poke.at, len(poke.data)))
        self._zone_peek(peeked)
        return result

    def _zone_peek(self, peeked: list[tuple[int, int]]) -> None:
        memory = self.process.memory
        met("abi-writes-confined")
        self._note_peek(memory.first_change(peeked).to_bytes(8, "little"), "zone")
        memory.forget_zone()
