"""A race as C: each actor a function, their structs put in place, all set off together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from conformance.oracle.explain import call_words
from conformance.program import call as c
from conformance.program.race import placed, serial_of
from fuzz.findings import c_steps, c_structs
from fuzz.findings import c_words as w
from fuzz.findings.c_structs import in_arena

_WHO: Final = {
    c.ActorPlace.THREAD: "THREAD", c.ActorPlace.PROCESS: "PROCESS", c.ActorPlace.REMOTE: "REMOTE",
}  # fmt: skip


class Made(NamedTuple):
    """A call of an actor. words: for people; result: its index among those of the race."""

    step: c.ActorStep
    words: str
    result: int


def made(race: c.Race, number: str) -> Iterator[Made]:
    """All calls of a race in the order of their results. number: of the step."""
    result = 0
    for who, actor in enumerate(race.actors, 1):
        for turn in range(actor.repeat):
            for index, step in enumerate(actor.steps, 1):
                words = f"{number}, actor {who}, call {index}"
                if actor.repeat > 1:
                    words += f", time {turn + 1}"
                yield Made(step, f"{words}: {call_words(step)}", result)
                result += 1


def race_parts(race: c.Race) -> set[str]:
    """The parts that its actors need."""
    steps = [step for actor in race.actors for step in actor.steps]
    remote = any(actor.place is c.ActorPlace.REMOTE for actor in race.actors)
    used = {"race_second" if remote else "race_here"}
    if any(isinstance(step, c.TouchPages) for step in steps):
        used.add("race_touch")
    if any(isinstance(step, c.Store) for step in steps):
        used.add("race_store")
    if any(isinstance(step, c.Fork) for step in steps):
        used.add("race_fork")
    return used


def actor_lines(race: c.Race, serial: int) -> Iterator[str]:
    """The functions of its actors, and the list of them."""
    for number, actor in enumerate(race.actors):
        yield ""
        yield f"static void actor_{serial}_{number + 1}(int self, long *result)"
        yield "{"
        yield "\t(void)self;"
        indent = "\t"
        if actor.repeat > 1:
            yield f"\tfor (int turn = 0; turn < {actor.repeat}; turn++) {{"
            indent = "\t\t"
        for index, step in enumerate(actor.steps):
            if actor.delay:
                yield f"{indent}idle({actor.delay});"
            yield from _call_lines(step, serial_of(serial, number, index), indent)
        if actor.repeat > 1:
            yield "\t}"
        yield "}"
    yield ""
    yield f"static const struct actor race_{serial}[] = {{"
    first = 0
    for number, actor in enumerate(race.actors):
        yield f"\t{{ actor_{serial}_{number + 1}, {_WHO[actor.place]}, {first} }},"
        first += len(actor.steps) * actor.repeat
    yield "};"


def _call_lines(step: c.ActorStep, serial: int, indent: str) -> Iterator[str]:
    if isinstance(step, c.Exit):
        yield f"{indent}*result = 0;"
        yield f"{indent}CALL(SYS_exit_group, 0);"
        return
    head, words = _call(step, serial)
    yield from w.call_lines(f"*result++ = {head}(", words, ");", indent)


def _call(step: c.ActorStep, serial: int) -> tuple[str, list[str]]:
    """The function, and its arguments: no actor may use the C library's."""
    if isinstance(step, c.TouchPages):
        access = [str(step.page), str(step.pages), str(int(step.write)), str(serial)]
        return "touch_as", ["self", *access]
    if isinstance(step, c.Store):
        return "store_as", ["self", w.address(step.at), w.number(step.value)]
    if isinstance(step, c.Fork):
        return "fork_and_reap", []
    return "CALL", _kernel_call(step)


def _kernel_call(step: c.ActorStep) -> list[str]:
    if isinstance(step, c.Madvise):
        return ["SYS_madvise", w.pointer(step.start), w.length(step.length), w.advice(step.advice)]
    if isinstance(step, c.ProcessMadvise):
        return ["440 /* process_madvise */", *c_steps.process_madvise_words(step)]
    if isinstance(step, c.MadviseRanges):
        return ["__NR_madvise_ranges", w.pointer(step.ctl_at)]
    if isinstance(step, c.Mmap):
        return ["SYS_mmap", *c_steps.mmap_words(step.mapping)]
    if isinstance(step, c.Munmap):
        return ["SYS_munmap", w.pointer(step.start), w.length(step.length)]
    if isinstance(step, c.Mprotect):
        return ["SYS_mprotect", w.pointer(step.start), w.length(step.length), w.prot(step.prot)]
    if isinstance(step, c.Mremap):
        return ["SYS_mremap", *c_steps.mremap_words(step)]
    raise TypeError(f"{type(step).__name__} is no call of an actor's")


def race_call(race: c.Race, serial: int, used: set[str]) -> Iterator[str]:
    """All structs are put in place, and the race is run: `result` is 0 then."""
    arena = c_steps.places_in_arena(race)
    if placed(race):
        used.add("zone")
        yield "\tbegin_structs();"
    if arena:
        yield "\tplaced = 1;"
    for actor in race.actors:
        for step in actor.steps:
            if not isinstance(step, c.MadviseRanges | c.ProcessMadvise):
                continue
            yield "\t{"
            if isinstance(step, c.MadviseRanges):
                yield from c_structs.struct_lines(step, used)
            else:
                yield from c_structs.vector_lines(step, used)
            yield "\t}"
    for one in placed(race):
        if one.peeked and not in_arena(one.poke.at):
            used.add("output")
            size = w.length(len(one.poke.data))
            yield f"\tmay_write({w.address(one.poke.at)}, {size});"
    if placed(race):
        yield "\tremember_structs();"
    run = "run_race_with_second" if "race_second" in race_parts(race) else "run_race"
    tail = " : NOT_PLACED" if arena else ""
    head = "placed ? " if arena else ""
    yield f"\tresult = {head}{run}(race_{serial}, {len(race.actors)}){tail};"
