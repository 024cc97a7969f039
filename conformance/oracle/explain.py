"""Words for a person: which step, which result, which page, what is in it."""

from __future__ import annotations

import signal
from typing import Final

from conformance.abi.advice import advice_name
from conformance.abi.errnos import errno_name
from conformance.program import call as c
from conformance.program.content import FILE_TAG, TORN, ZERO
from conformance.program.control_struct import All, ControlBytes, Single
from conformance.program.outcome import (
    CONTENT_MASK,
    MEMORY_ERROR,
    NOT_PLACED,
    PAGE_GUARD,
    PAGE_PRESENT,
    PAGE_READ,
    PAGE_SWAP,
    PAGE_UNREADABLE,
)
from conformance.program.places import ARENA_BASE, ARENA_END_MAX, PAGE
from conformance.program.program import Program
from conformance.program.race import serial_words
from conformance.program.text_places import address_text, length_text, run_text

SIGNAL_MAX: Final = 64  # SIGRTMAX

_TAGS: Final[dict[type, str]] = {
    c.Madvise: "madvise",
    c.ProcessMadvise: "process_madvise",
    c.MadviseRanges: "madvise_ranges",
    c.Mmap: "mmap",
    c.Munmap: "munmap",
    c.Mprotect: "mprotect",
    c.Mremap: "mremap",
    c.TouchPages: "touch",
    c.Fork: "fork",
    c.ForkExec: "fork_exec",
    c.Reclaim: "reclaim",
    c.Race: "race",
    c.Store: "store",
    c.Exit: "exit",
    c.Mlock: "mlock",
    c.Mseal: "mseal",
    c.UffdRegister: "userfaultfd",
    c.ClearSoftDirty: "clear_soft_dirty",
    c.SealFile: "seal_file",
}


def as_int(register: int) -> int:
    """The C int in the low half of a register."""
    low = register & 0xFFFF_FFFF
    return low - (1 << 32) if low >> 31 else low


def surface(step: object) -> str:
    """The call that a step makes: "madvise", "mmap", "touch", ..."""
    return _TAGS[type(step)]


def signal_name(number: int) -> str:
    """ "SIGSEGV"; "signal-40" for one without a name; "no-signal" for what is none at all."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal-{number}" if 0 < number <= SIGNAL_MAX else "no-signal"


class Steps:
    """setup() + steps of a program, numbered for people: steps from 1, as they stand in the file;
    what the layout does to get ready has no number there and is told apart by "layout"."""

    __slots__ = ("all", "setup")

    def __init__(self, program: Program) -> None:
        setup = program.setup()
        self.all: tuple[c.AnyStep, ...] = (*setup, *program.steps)
        self.setup = len(setup)

    def words(self, step: int) -> str:
        """ "step 2 madvise(arena+1p, 2p, DONTNEED)"."""
        if step >= len(self.all):
            return "after the last step"
        call = call_words(self.all[step])
        if step < self.setup:
            return f"layout: {call}"
        return f"step {step - self.setup + 1} {call}"


def call_words(step: object) -> str:
    """A call with its arguments as the text form writes them."""
    name = surface(step)
    if isinstance(step, c.Madvise | c.ProcessMadvise | c.MadviseRanges) and step.ilp32:
        name = f"ILP32 {name}"
    if isinstance(step, c.Race):
        return " || ".join("; ".join(map(call_words, actor.steps)) for actor in step.actors)
    if isinstance(step, c.Madvise):
        return f"{name}({_range(step.start, step.length)}, {advice_name(as_int(step.advice))})"
    if isinstance(step, c.ProcessMadvise):
        return f"{name}({_count(len(step.vec))}, {advice_name(as_int(step.advice))})"
    if isinstance(step, c.MadviseRanges):
        return f"{name}({_control(step)})"
    if isinstance(step, c.Mmap):
        m = step.mapping
        return f"{name}({m.kind.value}, pages {run_text(m.at, m.pages)})"
    if isinstance(step, c.TouchPages):
        access = "write" if step.write else "read"
        return f"{name}({access} pages {run_text(step.page, step.pages)})"
    if isinstance(step, c.Mremap):
        to = "" if step.target is None else f" to {address_text(step.target)}"
        old = _range(step.start, step.old_length)
        return f"{name}({old} as {length_text(step.new_length)}{to})"
    if isinstance(step, c.Munmap | c.Mprotect | c.Mlock | c.Mseal | c.UffdRegister):
        return f"{name}({_range(step.start, step.length)})"
    return name


def _range(start: int, length: int) -> str:
    return f"{address_text(start)}, {length_text(length)}"


def _control(step: c.MadviseRanges) -> str:
    control = step.control
    if isinstance(control, ControlBytes):
        return f"{len(control.raw) // 2} raw bytes"
    arm = control.arm
    if isinstance(arm, Single):
        r = arm.range
        return f"SINGLE {_range(r.start, r.length)}, {advice_name(as_int(r.advice))}"
    if isinstance(arm, All):
        return f"ALL {advice_name(as_int(arm.advice))}"
    names = dict.fromkeys(advice_name(as_int(r.advice)) for r in arm.ranges)
    return f"MULTI {_count(len(arm.ranges))}: {', '.join(names) or 'none'}"


def _count(ranges: int) -> str:
    return "1 range" if ranges == 1 else f"{ranges} ranges"


def address_words(value: int) -> str:
    """An address by its place, or a number that is none."""
    return address_text(value) if 0 <= value < 1 << 64 else str(value)


def with_sigbus(result: int) -> bool:
    """Is it the result of a call that SIGBUS came with? See outcome.MEMORY_ERROR."""
    return -4096 < result + MEMORY_ERROR < MEMORY_ERROR // 2


def result_class(step: object, result: int) -> str:
    """A result without its numbers: "0", "EINVAL", "address", "bytes", "SIGBUS"."""
    if with_sigbus(result):
        return f"SIGBUS-and-{result_class(step, result + MEMORY_ERROR)}"
    if result == NOT_PLACED:
        return "not-placed"
    if isinstance(step, c.TouchPages | c.Store) and (result < 0 or isinstance(step, c.TouchPages)):
        return "pages" if result >= 0 else signal_name(-result >> 16)
    if -4096 < result < 0:
        return errno_name(-result)
    if result == 0:
        return "0"
    if isinstance(step, c.ProcessMadvise):
        return "bytes"
    return "address" if isinstance(step, c.Mmap | c.Mremap) else "positive"


def result_words(step: object, result: int) -> str:
    """A result with its numbers: "-EINVAL", "arena+3p", "2p bytes", "SIGBUS after 2 pages"."""
    if with_sigbus(result):
        return f"SIGBUS and {result_words(step, result + MEMORY_ERROR)}"
    kind = result_class(step, result)
    if kind == "not-placed":
        return "no call, a struct could not be stored"
    if isinstance(step, c.TouchPages):
        if result >= 0:
            return f"{result} pages"
        return f"{kind} after {-result & 0xFFFF} pages"
    if kind == "address":
        return address_text(result)
    if kind == "bytes":
        return f"{result} bytes"
    return f"-{kind}" if result < 0 else str(result)


def content_class(tag: int) -> str:
    """Where the content of a page is from: "zero", "file", "torn", "written"."""
    if tag == ZERO:
        return "zero"
    if tag == TORN:
        return "torn"
    return "file" if tag & FILE_TAG else "written"


def content_words(tag: int, setup: int) -> str:
    """The content of a page, with its origin; setup: how many steps the layout makes."""
    kind = content_class(tag)
    if kind == "file":
        return f"page {(tag & 0xFFFF) - 1} of file {(tag & ~FILE_TAG) >> 16} as it was made"
    if kind == "written":
        serial = tag >> 16
        who = serial_words(serial, setup) if serial > setup else "the layout"
        return f"what {who} wrote to page {(tag & 0xFFFF) - 1}"
    return "zeros" if kind == "zero" else "neither zeros nor one write"


def page_words(word: int, setup: int) -> str:
    """A page word of a snapshot: "present, zeros", "not present", "guard"."""
    out = [name for bit, name in _PAGE_BITS if word & bit] or ["not present"]
    if word & PAGE_READ:
        out.append(content_words(word & CONTENT_MASK, setup))
    elif word & PAGE_PRESENT and not word & PAGE_UNREADABLE:
        out.append("not read")
    return ", ".join(out)


_PAGE_BITS: Final = (
    (PAGE_PRESENT, "present"),
    (PAGE_SWAP, "swapped out"),
    (PAGE_GUARD, "guard"),
    (PAGE_UNREADABLE, "unreadable"),
)


def span_words(start: int, end: int) -> str:
    """Bytes [start, end) of the address space: by arena pages where they lie there."""
    if ARENA_BASE <= start < end <= ARENA_END_MAX:
        first, pages = (start - ARENA_BASE) // PAGE, -(-(end - start) // PAGE)
        return f"{'page' if pages == 1 else 'pages'} {run_text(first, pages)}"
    return f"{address_text(start)}..{address_text(end)}"
