"""A step, a mapping and a result, each in one line for people: "madvise(arena+1p, 2p, FREE)"."""

from __future__ import annotations

from typing import Final

from conformance.program import call as c
from conformance.program import control_struct as cs
from conformance.program.mapping import FILE_KINDS, Lock, Mapping, Sharing, Uffd
from conformance.program.text_places import (
    address_text,
    advice_word,
    length_text,
    pidfd_word,
    run_text,
)

ELEMENTS_SHOWN: Final = 3  # of an array of ranges; the rest is counted
_OPTIONS: Final = ("is_remote", "ignore_errors", "single_mapping_only", "stop_on_gap")


def step_words(step: c.AnyStep | c.ActorStep) -> str:
    """The step as a call, addresses by place."""
    if isinstance(step, c.Race):
        return " || ".join(map(actor_words, step.actors))
    if isinstance(step, c.Store):
        return f"store {step.value:#x} at {address_text(step.at)}"
    if isinstance(step, c.Exit):
        return "exit()"
    if isinstance(step, c.Madvise):
        words = f"madvise({_range(step.start, step.length)}, {advice_word(step.advice)})"
        return _caller(step) + words + _failing(step)
    if isinstance(step, c.ProcessMadvise):
        return _caller(step) + _process_madvise(step) + _failing(step)
    if isinstance(step, c.MadviseRanges):
        return f"{_caller(step)}madvise_ranges({_control(step)}){_failing(step)}"
    if isinstance(step, c.Mmap):
        m = step.mapping
        return f"mmap({_range(m.at, m.pages, pages=True)}, {mapping_words(m)})"
    if isinstance(step, c.Mprotect):
        return f"mprotect({_range(step.start, step.length)}, {step.prot.value})"
    if isinstance(step, c.Mremap):
        return _mremap(step)
    if isinstance(step, c.TouchPages):
        how = "write" if step.write else "read"
        return f"{how} pages {run_text(step.page, step.pages)}"
    if isinstance(step, c.Fork):
        return "fork()"
    if isinstance(step, c.ForkExec):
        return "fork() and execve()"
    if isinstance(step, c.Reclaim):
        return "memory.reclaim"
    return _setup_words(step)


def actor_words(actor: c.Actor) -> str:
    """An actor's steps: "remote, 3 times: munmap(...); exit()"."""
    how = [] if actor.place is c.ActorPlace.THREAD else [actor.place.value]
    if actor.repeat != 1:
        how.append(f"{actor.repeat} times")
    steps = "; ".join(map(step_words, actor.steps))
    return f"{', '.join(how)}: {steps}" if how else steps


def _caller(step: c.Madvise | c.ProcessMadvise | c.MadviseRanges) -> str:
    return "ILP32 " if step.ilp32 else ""


def _failing(step: c.Madvise | c.ProcessMadvise | c.MadviseRanges) -> str:
    words = f", allocation {step.fail_nth} failing" if step.fail_nth else ""
    signal = step.signal
    if signal is None:
        return words
    if signal.how is c.SignalHow.STORM:
        return f"{words}, in a storm of signals"
    where = run_text(signal.page, signal.pages)
    return f"{words}, {signal.how.value} signal when it sleeps in pages {where}"


def _setup_words(step: c.AnyStep | c.ActorStep) -> str:
    if isinstance(step, c.Munmap):
        return f"munmap({_range(step.start, step.length)})"
    if isinstance(step, c.Mlock):
        onfault = ", ONFAULT" if step.onfault else ""
        return f"mlock({_range(step.start, step.length)}{onfault})"
    if isinstance(step, c.Mseal):
        return f"mseal({_range(step.start, step.length)})"
    if isinstance(step, c.UffdRegister):
        mode = "wp" if step.wp else "missing"
        return f"userfaultfd register({_range(step.start, step.length)}, {mode})"
    if isinstance(step, c.SealFile):
        return f"seal file {step.file} against new writable mappings"
    return "clear soft-dirty"


def mapping_words(m: Mapping) -> str:
    """What a mapping is: "memfd 0+2p shared r-- locked"."""
    words = [m.kind.value]
    if m.kind in FILE_KINDS:
        words.append(f"{m.file}+{m.offset}p" if m.offset else str(m.file))
    if m.sharing is Sharing.SHARED:
        words.append("shared")
    words.append(m.prot.value)
    if m.read_only_fd:
        words.append("read-only-fd")
    if m.lock is not Lock.NO:
        words.append("locked" if m.lock is Lock.LOCKED else "lock-on-fault")
    if m.uffd is not Uffd.NO:
        words.append(f"uffd-{m.uffd.value}")
    if m.sealed:
        words.append("sealed")
    if m.soft_dirty_cleared:
        words.append("soft-dirty-cleared")
    return " ".join(words)


def _range(start: int, length: int, pages: bool = False) -> str:
    if pages:
        return f"arena+{start}p, {length}p"
    return f"{address_text(start)}, {length_text(length)}"


def _mremap(step: c.Mremap) -> str:
    parts = [_range(step.start, step.old_length), length_text(step.new_length)]
    if step.target is not None:
        parts.append(f"to {address_text(step.target)}")
    if step.dont_unmap:
        parts.append("DONTUNMAP")
    return f"mremap({', '.join(parts)})"


def _process_madvise(step: c.ProcessMadvise) -> str:
    parts = [str(pidfd_word(step.pidfd))]
    parts.append(_some([_range(r.start, r.length) for r in step.vec]))
    if step.count is not None:
        parts.append(f"count {step.count}")
    parts.append(str(advice_word(step.advice)))
    if step.flags:
        parts.append(f"flags {step.flags:#x}")
    return f"process_madvise({', '.join(parts)})"


def _some(elements: list[str]) -> str:
    shown = [f"[{element}]" for element in elements[:ELEMENTS_SHOWN]]
    if len(elements) > ELEMENTS_SHOWN:
        shown.append(f"... {len(elements)} in all")
    return " ".join(shown) if shown else "[]"


def _control(step: c.MadviseRanges) -> str:
    control = step.control
    if isinstance(control, cs.ControlBytes):
        return f"{len(control.raw) // 2} raw bytes at {address_text(step.ctl_at)}"
    arm = control.arm
    if isinstance(arm, cs.Single):
        parts = ["SINGLE", _some([_control_range(arm.range)])]
    elif isinstance(arm, cs.Multi):
        parts = ["MULTI", _some([_control_range(r) for r in arm.ranges])]
        if arm.count is not None:
            parts.append(f"count {arm.count}")
    else:
        parts = ["ALL", str(advice_word(arm.advice))]
        if arm.set_default:
            parts.append(f"set_default {arm.set_default}")
    if control.version != 1:
        parts.append(f"version {control.version}")
    if control.type_value is not None:
        parts.append(f"type {control.type_value}")
    parts += [name for name in _OPTIONS if getattr(control, name)]
    if control.is_remote:
        parts.append(f"pidfd {pidfd_word(control.pidfd)}")
    if not step.stats_at:
        parts.append("no stats")
    if step.per_range_at:
        parts.append("per-range stats")
    return ", ".join(parts)


def _control_range(r: cs.Range) -> str:
    return f"{_range(r.start, r.length)} {advice_word(r.advice)}"
