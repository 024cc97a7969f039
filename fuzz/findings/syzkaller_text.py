"""Programs as syzkaller's text; the other way: syzkaller_read.

What read_programs() reads of it is written again as it stood, if it stood as it is written here:
sizes of memory rounded up to pages, variables in order, nothing that syzkaller ignores.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from conformance.program import call as c
from conformance.program.mapping import Mapping
from conformance.program.mmap_flags import (
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    mmap_flags,
)
from conformance.program.places import FD_PIDFD_SELF, PAGE, ZONE_BASE, ZONE_END, page_address
from conformance.program.plan import fail_nth, signal_of
from conformance.program.program import Program, Rights
from conformance.program.step_words import step_words
from fuzz.findings.syzkaller_read import DATA_AREA, KINDS, NO_FD, PIDFD_NUMBERS, TOUCHED
from fuzz.findings.syzkaller_values import (
    DATA,
    DATA_PAGES,
    MASK64,
    NotSupported,
    check_side,
    data_address,
    in_arena,
)


class Exported(NamedTuple):
    """A program's text, and what had to be left out of it."""

    text: str
    left_out: tuple[str, ...]


def syzkaller_text(program: Program, skip_unsupported: bool = False) -> Exported:
    """One line for each call. Raises NotSupported."""
    lines: list[str] = []
    left_out: list[str] = []
    if program.rights is not Rights.ALL:
        _leave(f"rights {program.rights.value}", skip_unsupported, left_out)
    steps: tuple[c.AnyStep, ...] = program.steps
    if any(isinstance(s, c.ProcessMadvise) and s.pidfd == FD_PIDFD_SELF for s in steps):
        lines += ["r0 = getpid()", "r1 = pidfd_open(r0, 0x0)"]
    if program.layout != (DATA_AREA,):
        size = DATA_PAGES * PAGE
        lines.append(f"munmap(&({DATA:#x}/{size:#x})=nil, {size:#x})")
        steps = (*program.setup(), *steps)
    for step in steps:
        try:
            lines += _lines(step)
        except ValueError as error:
            _leave(f"{step_words(step)}: {error}", skip_unsupported, left_out)
    return Exported("\n".join(lines) + "\n", tuple(left_out))


def _leave(what: str, skip: bool, left_out: list[str]) -> None:
    if not skip:
        raise NotSupported(f"syzkaller's text cannot say: {what}")
    left_out.append(what)


def _lines(step: c.AnyStep) -> Iterator[str]:
    """Raises ValueError, which says why not."""
    if isinstance(step, c.Madvise | c.ProcessMadvise) and step.ilp32:
        raise ValueError("calls of 32-bit processes are another target of syzkaller's")
    if signal_of(step) is not None:
        raise ValueError("it has no signals")
    if isinstance(step, c.TouchPages):
        yield from _touch(step)
        return
    if isinstance(step, c.Madvise):
        words = [*_range(step.start, step.length), hex(step.advice & MASK64)]
        name = "madvise"
    elif isinstance(step, c.ProcessMadvise):
        words, name = _process_madvise(step), "process_madvise"
    elif isinstance(step, c.Mmap):
        words, name = _mmap(step.mapping), "mmap"
    elif isinstance(step, c.Munmap):
        words, name = [*_range(step.start, step.length)], "munmap"
    elif isinstance(step, c.Mprotect):
        words, name = [*_range(step.start, step.length), hex(step.prot.bits)], "mprotect"
    elif isinstance(step, c.Mremap):
        words, name = _mremap(step), "mremap"
    else:
        raise ValueError("no such call there")
    fails = f" (fail_nth: {fail_nth(step)})" if fail_nth(step) else ""
    yield f"{name}({', '.join(words)}){fails}"


def _touch(step: c.TouchPages) -> Iterator[str]:
    if not step.write:
        raise ValueError("it has no way to read a page")
    for page in range(step.page, step.page + step.pages):
        yield f"write({NO_FD:#x}, &({data_address(page_address(page)):#x})={TOUCHED}, 0x1)"


def _range(start: int, length: int) -> tuple[str, str]:
    return _memory(start, length), hex(length)


def _memory(start: int, length: int) -> str:
    """A place in memory and how much of it, in whole pages."""
    if not in_arena(start):
        return hex(start)
    if start % PAGE:
        raise ValueError("memory begins at a page there")
    check_side(start, length)
    size = max(1, -(-length // PAGE)) * PAGE
    at = data_address(start)
    if at + size > DATA + DATA_PAGES * PAGE:
        raise ValueError("it goes beyond the end of the arena")
    return f"&({at:#x}/{size:#x})=nil"


def _mmap(m: Mapping) -> list[str]:
    if m.kind not in KINDS:
        raise ValueError("only memory without a file")
    at, length = _range(page_address(m.at), m.pages * PAGE)
    return [at, length, hex(m.prot.bits), hex(mmap_flags(m)), hex(NO_FD), "0x0"]


def _mremap(step: c.Mremap) -> list[str]:
    flags = MREMAP_DONTUNMAP if step.dont_unmap else 0
    to = "0x0"
    if step.target is not None:
        flags |= MREMAP_MAYMOVE | MREMAP_FIXED
        to = _memory(step.target, step.new_length)
    words = _range(step.start, step.old_length)
    return [*words, hex(step.new_length), hex(flags), to]


def _process_madvise(step: c.ProcessMadvise) -> list[str]:
    if step.pidfd != FD_PIDFD_SELF and step.pidfd not in PIDFD_NUMBERS:
        raise ValueError("its programs have one process")
    pidfd = "r1" if step.pidfd == FD_PIDFD_SELF else hex(step.pidfd & MASK64)
    count = len(step.vec) if step.count is None else step.count
    return [
        pidfd, _vector(step), hex(count & MASK64), hex(step.advice & MASK64),
        hex(step.flags & MASK64),
    ]  # fmt: skip


def _vector(step: c.ProcessMadvise) -> str:
    if not step.vec and not ZONE_BASE <= step.vec_at < ZONE_END:
        return hex(step.vec_at)
    elements = []
    for r in step.vec:
        check_side(r.start, r.length)
        at = f"&({data_address(r.start):#x})" if in_arena(r.start) else hex(r.start)
        elements.append(f"{{{at}, {r.length:#x}}}")
    if in_arena(step.vec_at):
        place = f"({data_address(step.vec_at):#x})"
    elif ZONE_BASE <= step.vec_at < ZONE_END:
        place = "AUTO"
    else:
        raise ValueError("its vectors lie in the data area")
    return f"&{place}=[{', '.join(elements)}]"
