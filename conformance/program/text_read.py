"""TOML tables -> Program. Every default that the writer leaves out is put back here."""

from __future__ import annotations

import re
from typing import Any, Final

from conformance.program import call as c
from conformance.program import control_struct as cs
from conformance.program.mapping import (
    FILE_KINDS,
    Backing,
    FileSlot,
    Kind,
    Lock,
    Mapping,
    Mark,
    Prot,
    Sharing,
    Touch,
    Uffd,
)
from conformance.program.places import ARENA_PAGES_MAX, FD_PIDFD_SELF, FILE_SLOTS, PAGE
from conformance.program.program import MAPPINGS_MAX, STEPS_LONG_MAX, Program, Rights
from conformance.program.race import ACTOR_STEPS_MAX, ACTORS_MAX, DELAY_MAX, RESULTS_MAX
from conformance.program.text_places import RUN_HELP, advice_value, run_value, short
from conformance.program.text_table import Table

ELEMENTS_MAX: Final = 1025  # of an array: one more than UIO_MAXIOV; the zones have room for it
TOUCHES_MAX: Final = 64  # of one mapping
MARKS_MAX: Final = 32  # of one mapping
RAW_BYTES_MAX: Final = PAGE
INT_LOW, INT_HIGH = -(1 << 31), (1 << 32) - 1  # a C int, or its bits as an unsigned number
LONG_LOW, LONG_HIGH = -(1 << 63), (1 << 64) - 1  # a register
SIZE_MAX: Final = (1 << 64) - 1

CALLS: Final = (
    "madvise", "process_madvise", "madvise_ranges", "mmap", "munmap", "mprotect", "mremap",
    "touch", "fork", "fork_exec", "reclaim", "race",
)  # fmt: skip
ACTOR_CALLS: Final = (
    "madvise", "process_madvise", "madvise_ranges", "mmap", "munmap", "mprotect", "mremap",
    "touch", "fork", "store", "exit",
)  # fmt: skip
TYPES: Final = ("single", "multi", "all")
USUAL_VECTOR: Final = c.ProcessMadvise(advice=0)  # every member that may be left out
USUAL_RANGES: Final = c.MadviseRanges(cs.ControlBytes(""))
TOUCH_HELP: Final = f'a touch is "w 0..3" (write) or "r 5" (read): {RUN_HELP}'
SIGNAL_HELP: Final = (
    f'a signal is "handled 0..3", "fatal 5" (pages to sleep in) or "storm": {RUN_HELP}'
)
MARK_HELP: Final = f'a mark is "DONTNEED 0..3" or "prot r-- 5": {RUN_HELP}'


def read_program(top: Table) -> Program:
    """The program of a whole file; `format` is already taken. Raises PlaceError."""
    whole = top.boolean("whole")
    rights = top.choice("rights", Rights, Rights.ALL)
    files = [
        _file(Table(value, f"file {i}", ("file", i)))
        for i, value in enumerate(top.items("file", FILE_SLOTS))
    ]
    layout = [
        _layout_mapping(Table(value, f"mapping {i + 1}", ("mapping", i)))
        for i, value in enumerate(top.items("mapping", MAPPINGS_MAX))
    ]
    steps = [_step(value, i) for i, value in enumerate(top.items("step", STEPS_LONG_MAX))]
    return Program(tuple(layout), tuple(steps), tuple(files), whole, rights)


def _file(table: Table) -> FileSlot:
    slot = FileSlot(
        table.choice("backing", Backing),
        table.integer("pages", 0, ARENA_PAGES_MAX),
        table.boolean("sealed_write"),
    )
    table.end()
    return slot


def _mapping_fields(table: Table) -> dict[str, Any]:
    """The members that mmap() knows: of a [[mapping]] and of an mmap step alike."""
    kind = table.choice("kind", Kind)
    fields: dict[str, Any] = {
        "kind": kind,
        "at": table.integer("at", 0, ARENA_PAGES_MAX - 1),
        "pages": table.integer("pages", 1, ARENA_PAGES_MAX),
        "prot": table.choice("prot", Prot, Prot.RW),
        "sharing": table.choice("sharing", Sharing, Sharing.PRIVATE),
    }
    if kind in FILE_KINDS:
        fields["file"] = table.integer("file", 0, FILE_SLOTS - 1, 0)
        fields["offset"] = table.integer("offset", 0, ARENA_PAGES_MAX, 0)
        fields["read_only_fd"] = table.boolean("read_only_fd")
    return fields


def _layout_mapping(table: Table) -> Mapping:
    fields = _mapping_fields(table)
    mapping = Mapping(
        **fields,
        lock=table.choice("lock", Lock, Lock.NO),
        uffd=table.choice("uffd", Uffd, Uffd.NO),
        sealed=table.boolean("sealed"),
        soft_dirty_cleared=table.boolean("soft_dirty_cleared"),
        touches=tuple(
            table.parsed("touch", text, _touch) for text in table.strings("touch", TOUCHES_MAX)
        ),
        marks=tuple(table.parsed("mark", text, _mark) for text in table.strings("mark", MARKS_MAX)),
    )
    table.end()
    return mapping


def _touch(text: str) -> Touch:
    """A touch as text. Raises ValueError."""
    how, _, pages = text.partition(" ")
    if how not in ("r", "w"):
        raise ValueError(f"{short(text)} is no touch: {TOUCH_HELP}")
    page, count = run_value(pages)
    return Touch(page, count, how == "w")


def _signal(table: Table) -> c.Signal | None:
    if not table.has("signal"):
        return None
    signal: c.Signal = table.parsed("signal", table.string("signal"), _signal_value)
    return signal


def _signal_value(text: str) -> c.Signal:
    """A signal as text. Raises ValueError."""
    how, _, pages = text.partition(" ")
    known = [member.value for member in c.SignalHow]
    if how not in known or (how == c.SignalHow.STORM.value) != (not pages):
        raise ValueError(f"{short(text)} is no signal: {SIGNAL_HELP}")
    return c.Signal(c.SignalHow(how), *(run_value(pages) if pages else (0, 0)))


def _mark(text: str) -> Mark:
    """A mark as text. Raises ValueError."""
    what, _, pages = text.rpartition(" ")
    page, count = run_value(pages)
    if what.startswith("prot "):
        prot = what.removeprefix("prot ")
        if prot not in [member.value for member in Prot]:
            allowed = ", ".join(member.value for member in Prot)
            raise ValueError(f"{short(prot)} is no protection: {allowed}")
        return Mark(page, count, prot=Prot(prot))
    if not what:
        raise ValueError(f"{short(text)} is no mark: {MARK_HELP}")
    number = re.fullmatch(r"-?[0-9]{1,20}", what)
    value = advice_value(int(what) if number else what)
    if not LONG_LOW <= value <= LONG_HIGH:
        raise ValueError(f"{short(what)} does not fit 64 bits: {MARK_HELP}")
    return Mark(page, count, advice=value)


def _step(value: object, number: int) -> c.Step:
    call = value.get("call") if isinstance(value, dict) else None
    known = call if isinstance(call, str) and call in CALLS else None
    where = f"step {number + 1} ({known})" if known else f"step {number + 1}"
    table = Table(value, where, ("step", number))
    name = _name(table, call, CALLS)
    step: c.Step = _race(table) if name == "race" else _call(name, table)
    table.end()
    return step


def _name(table: Table, call: object, allowed: tuple[str, ...]) -> str:
    """Take the name of a call."""
    if not isinstance(call, str) or call not in allowed:
        wrong = f"is {short(call)}" if table.has("call") else "is missing"
        raise table.fail("call", f"{wrong}, allowed: {', '.join(allowed)}")
    table.take("call")
    return call


def _race(table: Table) -> c.Race:
    actors = []
    for i, value in enumerate(table.items("actors", ACTORS_MAX)):
        inside = table.inside("actor", value, i)
        steps = [
            _actor_step(inside.inside("step", step, k), step)
            for k, step in enumerate(inside.items("steps", ACTOR_STEPS_MAX))
        ]
        place = inside.choice("place", c.ActorPlace, c.ActorPlace.THREAD)
        delay = inside.integer("delay", 0, DELAY_MAX, 0)
        actors.append(
            c.Actor(tuple(steps), place, delay, inside.integer("repeat", 1, RESULTS_MAX, 1))
        )
        inside.end()
    return c.Race(tuple(actors))


def _actor_step(table: Table, value: object) -> c.ActorStep:
    name = _name(table, value.get("call") if isinstance(value, dict) else None, ACTOR_CALLS)
    step: c.ActorStep
    if name == "store":
        step = c.Store(table.address("at"), table.integer("value", 0, SIZE_MAX))
    else:
        step = c.Exit() if name == "exit" else _call(name, table)
    table.end()
    return step


def _call(name: str, table: Table) -> Any:
    if name == "madvise":
        return c.Madvise(
            table.address("start"),
            table.length("length"),
            table.advice("advice", LONG_LOW, LONG_HIGH),
            table.boolean("ilp32"),
            table.integer("fail_nth", 0, c.FAIL_NTH_MAX, 0),
            _signal(table),
        )
    if name == "process_madvise":
        return _process_madvise(table)
    if name == "madvise_ranges":
        return _madvise_ranges(table)
    if name == "mmap":
        return c.Mmap(Mapping(**_mapping_fields(table)))
    if name == "munmap":
        return c.Munmap(table.address("start"), table.length("length"))
    if name == "mprotect":
        return c.Mprotect(
            table.address("start"), table.length("length"), table.choice("prot", Prot)
        )
    if name == "mremap":
        return c.Mremap(
            table.address("start"),
            table.length("old_length"),
            table.length("new_length"),
            table.address("target", None),
            table.boolean("dont_unmap"),
        )
    if name == "touch":
        touch: Touch = table.parsed("touch", table.string("touch"), _touch)
        return c.TouchPages(touch.page, touch.pages, touch.write)
    if name == "reclaim":
        return c.Reclaim()
    return c.Fork() if name == "fork" else c.ForkExec()


def _process_madvise(table: Table) -> c.ProcessMadvise:
    vec = []
    for i, value in enumerate(table.items("vec", ELEMENTS_MAX)):
        element = table.inside("vec", value, i)
        vec.append(c.IoRange(element.address("start"), element.length("length")))
        element.end()
    return c.ProcessMadvise(
        advice=table.advice("advice", LONG_LOW, LONG_HIGH),
        vec=tuple(vec),
        pidfd=table.pidfd("pidfd", FD_PIDFD_SELF),
        flags=table.integer("flags", 0, SIZE_MAX, 0),
        count=table.integer("count", 0, SIZE_MAX, None),
        vec_at=table.address("vec_at", USUAL_VECTOR.vec_at),
        ilp32=table.boolean("ilp32"),
        fail_nth=table.integer("fail_nth", 0, c.FAIL_NTH_MAX, 0),
        signal=_signal(table),
    )


def _madvise_ranges(table: Table) -> c.MadviseRanges:
    control: cs.Control
    control = _raw(table) if table.has("raw") else _fields(table)
    return c.MadviseRanges(
        control=control,
        ctl_at=table.address("ctl_at", USUAL_RANGES.ctl_at),
        array_at=table.address("array_at", USUAL_RANGES.array_at),
        stats_at=table.address("stats_at", USUAL_RANGES.stats_at),
        per_range_at=table.address("per_range_at", USUAL_RANGES.per_range_at),
        stats_fill=table.integer("stats_fill", 0, 255, 0),
        ilp32=table.boolean("ilp32"),
        fail_nth=table.integer("fail_nth", 0, c.FAIL_NTH_MAX, 0),
        signal=_signal(table),
    )


def _raw(table: Table) -> cs.ControlBytes:
    raw = "".join(table.string("raw").split()).lower()
    if not re.fullmatch(r"(?:[0-9a-f]{2})*", raw):
        raise table.fail("raw", "must be pairs of hexadecimal digits, spaces allowed")
    if len(raw) > 2 * RAW_BYTES_MAX:
        raise table.fail("raw", f"has {len(raw) // 2} bytes, allowed: at most {RAW_BYTES_MAX}")
    return cs.ControlBytes(raw, _ranges(table))


def _fields(table: Table) -> cs.ControlFields:
    if not table.has("type"):
        raise table.fail("type", f"is missing, allowed: {', '.join(TYPES)}, or raw = ... instead")
    kind = table.string("type")
    arm: cs.Arm
    if kind == "single":
        arm = cs.Single(_range(table.inside("range", table.take("range"))))
    elif kind == "multi":
        arm = cs.Multi(_ranges(table), table.integer("count", 0, SIZE_MAX, None))
    elif kind == "all":
        advice = table.advice("advice", INT_LOW, INT_HIGH)
        arm = cs.All(advice, table.integer("set_default", 0, 255, 0))
    else:
        raise table.fail("type", f"is {short(kind)}, allowed: {', '.join(TYPES)}")
    return cs.ControlFields(
        arm=arm,
        version=table.integer("version", INT_LOW, INT_HIGH, 1),
        type_value=table.integer("type_value", INT_LOW, INT_HIGH, None),
        pidfd=table.pidfd("pidfd", -1),
        is_remote=table.boolean("is_remote"),
        ignore_errors=table.boolean("ignore_errors"),
        single_mapping_only=table.boolean("single_mapping_only"),
        stop_on_gap=table.boolean("stop_on_gap"),
        flag_byte_extra=table.integer("flag_byte_extra", 0, 255, 0),
        tail=table.integer("tail", 0, 0xFFFFFF, 0),
        padding=table.integer("padding", 0, 255, 0),
    )


def _ranges(table: Table) -> tuple[cs.Range, ...]:
    values = table.items("ranges", ELEMENTS_MAX)
    return tuple(_range(table.inside("ranges", value, i)) for i, value in enumerate(values))


def _range(table: Table) -> cs.Range:
    out = cs.Range(
        table.address("start"), table.length("length"), table.advice("advice", INT_LOW, INT_HIGH)
    )
    table.end()
    return out
