"""Program -> TOML text, one way only: what is at its default is left out, order is fixed."""

from __future__ import annotations

from typing import Final

from conformance.program import call as c
from conformance.program import control_struct as cs
from conformance.program.mapping import (
    FILE_KINDS,
    FileSlot,
    Lock,
    Mapping,
    Mark,
    Prot,
    Sharing,
    Touch,
    Uffd,
)
from conformance.program.places import FD_PIDFD_SELF
from conformance.program.program import Program, Rights
from conformance.program.text_places import (
    address_text,
    advice_word,
    length_text,
    pidfd_word,
    run_text,
)
from conformance.program.text_read import USUAL_RANGES, USUAL_VECTOR

RAW_GROUP: Final = 8  # bytes between two spaces of raw = "..."
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\t": "\\t"}


def program_lines(program: Program) -> list[str]:
    """The lines after `format`; tables are set apart by one empty line."""
    out: list[str] = []
    if program.whole:
        out.append("whole = true")
    if program.rights is not Rights.ALL:
        out.append(f'rights = "{program.rights.value}"')
    for slot in program.files:
        out += ["", "[[file]]", *_file(slot)]
    for mapping in program.layout:
        out += ["", "[[mapping]]", *_mapping(mapping), *_prepared(mapping)]
    for step in program.steps:
        out += ["", "[[step]]", *(_race(step) if isinstance(step, c.Race) else _step(step))]
    return out


def string(value: str) -> str:
    """A TOML string. A text of several lines stands in triple quotes, as it would be read."""
    if "\n" not in value:
        return '"' + "".join(_escaped(char) for char in value) + '"'
    lines = ["".join(_escaped(char) for char in line) for line in value.split("\n")]
    return '"""\n' + "\n".join(lines) + '"""'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    code = ord(char)
    if code < 0x20 or code == 0x7F:
        return f"\\u{code:04x}"
    # A lone surrogate has no place in UTF-8; it can only come from undecodable foreign bytes.
    return "\ufffd" if 0xD800 <= code < 0xE000 else char


def _word(value: str | int) -> str:
    return string(value) if isinstance(value, str) else _number(value)


def _number(value: int) -> str:
    return hex(value) if value >= 1 << 16 else str(value)


def _file(slot: FileSlot) -> list[str]:
    out = [f'backing = "{slot.backing.value}"', f"pages = {slot.pages}"]
    return [*out, "sealed_write = true"] if slot.sealed_write else out


def _mapping(m: Mapping) -> list[str]:
    out = [f'kind = "{m.kind.value}"', f"at = {m.at}", f"pages = {m.pages}"]
    if m.prot is not Prot.RW:
        out.append(f'prot = "{m.prot.value}"')
    if m.sharing is not Sharing.PRIVATE:
        out.append(f'sharing = "{m.sharing.value}"')
    if m.kind in FILE_KINDS:
        out.append(f"file = {m.file}")
        if m.offset:
            out.append(f"offset = {m.offset}")
        if m.read_only_fd:
            out.append("read_only_fd = true")
    return out


def _prepared(m: Mapping) -> list[str]:
    out = []
    if m.lock is not Lock.NO:
        out.append(f'lock = "{m.lock.value}"')
    if m.uffd is not Uffd.NO:
        out.append(f'uffd = "{m.uffd.value}"')
    if m.sealed:
        out.append("sealed = true")
    if m.soft_dirty_cleared:
        out.append("soft_dirty_cleared = true")
    if m.touches:
        out.append(f"touch = [{', '.join(string(touch_text(t)) for t in m.touches)}]")
    if m.marks:
        out.append(f"mark = [{', '.join(string(mark_text(k)) for k in m.marks)}]")
    return out


def touch_text(touch: Touch | c.TouchPages) -> str:
    """ "w 0..3" """
    return f"{'w' if touch.write else 'r'} {run_text(touch.page, touch.pages)}"


def mark_text(mark: Mark) -> str:
    """ "DONTNEED 0..3", or "prot r-- 5" """
    what = f"prot {mark.prot.value}" if mark.prot else str(advice_word(mark.advice or 0))
    return f"{what} {run_text(mark.page, mark.pages)}"


def _at(key: str, value: int) -> str:
    return f'{key} = "{address_text(value)}"'


def _size(key: str, value: int) -> str:
    return f'{key} = "{length_text(value)}"'


def _race(race: c.Race) -> list[str]:
    out = ['call = "race"', "actors = ["]
    for actor in race.actors:
        words = ""
        if actor.place is not c.ActorPlace.THREAD:
            words += f'place = "{actor.place.value}", '
        if actor.delay:
            words += f"delay = {actor.delay}, "
        if actor.repeat != 1:
            words += f"repeat = {actor.repeat}, "
        steps = [f"        {{ {_inline(_step(step))} }}," for step in actor.steps]
        out += [f"    {{ {words}steps = [", *steps, "    ] },"]
    return [*out, "]"]


def _inline(lines: list[str]) -> str:
    """Lines of a table as they stand between braces: an array over several lines on one."""
    out = ""
    for line in lines:
        if line.startswith(" "):
            out += f"{line.strip()} "
        elif line == "]":
            out = f"{out.rstrip(' ,')}]"
        else:
            out += f", {line}" if out else line
    return out


def _step(step: c.Step | c.ActorStep) -> list[str]:
    if isinstance(step, c.Madvise):
        return ['call = "madvise"', _at("start", step.start), _size("length", step.length),
                f"advice = {_word(advice_word(step.advice))}", *_how(step)]  # fmt: skip
    if isinstance(step, c.ProcessMadvise):
        return ['call = "process_madvise"', *_process_madvise(step)]
    if isinstance(step, c.MadviseRanges):
        return ['call = "madvise_ranges"', *_madvise_ranges(step)]
    if isinstance(step, c.Mmap):
        return ['call = "mmap"', *_mapping(step.mapping)]
    if isinstance(step, c.Munmap):
        return ['call = "munmap"', _at("start", step.start), _size("length", step.length)]
    if isinstance(step, c.Mprotect):
        return ['call = "mprotect"', _at("start", step.start), _size("length", step.length),
                f'prot = "{step.prot.value}"']  # fmt: skip
    if isinstance(step, c.Mremap):
        return ['call = "mremap"', *_mremap(step)]
    if isinstance(step, c.TouchPages):
        return ['call = "touch"', f'touch = "{touch_text(step)}"']
    if isinstance(step, c.Reclaim):
        return ['call = "reclaim"']
    if isinstance(step, c.Store):
        return ['call = "store"', _at("at", step.at), f"value = {step.value:#x}"]
    if isinstance(step, c.Exit):
        return ['call = "exit"']
    return [f'call = "{"fork" if isinstance(step, c.Fork) else "fork_exec"}"']


def _mremap(step: c.Mremap) -> list[str]:
    out = [_at("start", step.start), _size("old_length", step.old_length),
           _size("new_length", step.new_length)]  # fmt: skip
    if step.target is not None:
        out.append(_at("target", step.target))
    return [*out, "dont_unmap = true"] if step.dont_unmap else out


def _process_madvise(step: c.ProcessMadvise) -> list[str]:
    out = []
    if step.pidfd != FD_PIDFD_SELF:
        out.append(f"pidfd = {_word(pidfd_word(step.pidfd))}")
    out.append(f"advice = {_word(advice_word(step.advice))}")
    if step.vec:
        elements = [f"{{ {_at('start', r.start)}, {_size('length', r.length)} }}" for r in step.vec]
        out += _array("vec", elements)
    if step.flags:
        out.append(f"flags = {_number(step.flags)}")
    if step.count is not None:
        out.append(f"count = {_number(step.count)}")
    if step.vec_at != USUAL_VECTOR.vec_at:
        out.append(_at("vec_at", step.vec_at))
    return out + _how(step)


def _how(step: c.Madvise | c.ProcessMadvise | c.MadviseRanges) -> list[str]:
    out = ["ilp32 = true"] if step.ilp32 else []
    if step.fail_nth:
        out.append(f"fail_nth = {step.fail_nth}")
    signal = step.signal
    if signal is not None:
        watched = f" {run_text(signal.page, signal.pages)}" if signal.pages else ""
        out.append(f'signal = "{signal.how.value}{watched}"')
    return out


def _array(key: str, elements: list[str]) -> list[str]:
    """An array of tables: on one line when it has one element, else an element a line."""
    if len(elements) == 1:
        return [f"{key} = [{elements[0]}]"]
    return [f"{key} = [", *(f"    {element}," for element in elements), "]"]


def _madvise_ranges(step: c.MadviseRanges) -> list[str]:
    out = _raw(step.control) if isinstance(step.control, cs.ControlBytes) else _fields(step.control)
    for key in ("ctl_at", "array_at", "stats_at", "per_range_at"):
        value = getattr(step, key)
        if value != getattr(USUAL_RANGES, key):
            out.append(_at(key, value))
    if step.stats_fill:
        out.append(f"stats_fill = {step.stats_fill:#04x}")
    return out + _how(step)


def _range(r: cs.Range) -> str:
    return (
        f"{{ {_at('start', r.start)}, {_size('length', r.length)}, "
        f"advice = {_word(advice_word(r.advice))} }}"
    )


def _ranges(ranges: tuple[cs.Range, ...]) -> list[str]:
    return _array("ranges", [_range(r) for r in ranges]) if ranges else []


def _raw(control: cs.ControlBytes) -> list[str]:
    digits = 2 * RAW_GROUP
    groups = [control.raw[i : i + digits] for i in range(0, len(control.raw), digits)]
    return [f'raw = "{" ".join(groups)}"', *_ranges(control.ranges)]


def _fields(control: cs.ControlFields) -> list[str]:
    arm = control.arm
    if isinstance(arm, cs.Single):
        out = ['type = "single"', f"range = {_range(arm.range)}"]
    elif isinstance(arm, cs.Multi):
        out = ['type = "multi"', *_ranges(arm.ranges)]
        if arm.count is not None:
            out.append(f"count = {_number(arm.count)}")
    else:
        out = ['type = "all"', f"advice = {_word(advice_word(arm.advice))}"]
        if arm.set_default:
            out.append(f"set_default = {arm.set_default}")
    if control.version != 1:
        out.append(f"version = {_number(control.version)}")
    if control.type_value is not None:
        out.append(f"type_value = {_number(control.type_value)}")
    if control.pidfd != -1:
        out.append(f"pidfd = {_word(pidfd_word(control.pidfd))}")
    for key in ("is_remote", "ignore_errors", "single_mapping_only", "stop_on_gap"):
        if getattr(control, key):
            out.append(f"{key} = true")
    for key in ("flag_byte_extra", "tail", "padding"):
        if getattr(control, key):
            out.append(f"{key} = {getattr(control, key):#04x}")
    return out
