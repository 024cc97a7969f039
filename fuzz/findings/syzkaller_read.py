"""Programs from syzkaller's text: mmap, munmap, mprotect, mremap, madvise, process_madvise.

The data area, which syzkaller maps before a program begins, is the layout, unless the program
begins by unmapping it: then the layout is what it maps next, and what it writes there. A page is
written by `write(0xffffffffffffffff, &(0x7f0000001000)="01", 0x1)`: the data is stored before the
call is made, which fails. getpid() and pidfd_open() give pidfds, and are no steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from conformance.program import call as c
from conformance.program.mapping import PROT_BITS, Kind, Mapping, Prot, Sharing, Touch
from conformance.program.mmap_flags import (
    MAP_FIXED,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    mmap_flags,
)
from conformance.program.places import (
    ARENA_BASE,
    ARENA_PAGES_MAX,
    FD_PIDFD_SELF,
    NULL,
    PAGE,
    PIDFD_SELF_GROUP,
    PIDFD_SELF_THREAD,
)
from conformance.program.program import MAPPINGS_MAX, STEPS_MAX, Program
from conformance.program.validate import validate
from fuzz.findings.syzkaller_values import (
    DATA,
    DATA_PAGES,
    MASK64,
    Call,
    NotSupported,
    Pointer,
    SyzkallerError,
    Value,
    Variable,
    arena_address,
    check_side,
    parse_call,
)

DATA_AREA: Final = Mapping(Kind.ANON, 0, ARENA_PAGES_MAX)
NO_FD: Final = MASK64
TOUCHED: Final = '"01"'  # what is written to a page
KINDS: Final = (Kind.ANON, Kind.NORESERVE, Kind.GROWSDOWN, Kind.DROPPABLE, Kind.HUGETLB)
PIDFD_NUMBERS: Final = (-1, PIDFD_SELF_THREAD, PIDFD_SELF_GROUP)
_PROTS: Final = {bits: prot for prot, bits in PROT_BITS.items()}
_MAPPINGS: Final = {
    mmap_flags(mapping): mapping
    for kind in KINDS
    for sharing in (Sharing.SHARED, Sharing.PRIVATE)
    for mapping in [Mapping(kind, 0, 1, sharing=sharing)]
}


class Imported(NamedTuple):
    """A program, and the lines that were left out, each with the reason."""

    program: Program
    left_out: tuple[str, ...]


def read_programs(text: str, skip_unsupported: bool = False) -> list[Imported]:
    """The programs of a text, with blank lines between them. Lines that begin with # are
    comments. Raises SyzkallerError."""
    out: list[Imported] = []
    lines: list[tuple[int, str]] = []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.strip() and not line.startswith("#"):
            lines.append((number, line))
        elif lines and not line.strip():
            out.append(_Import(lines, skip_unsupported).imported())
            lines = []
    if not out:
        raise SyzkallerError("there is no program in it: a line is a call, such as madvise(...)")
    return out


class _Import:
    """One program on its way."""

    def __init__(self, lines: list[tuple[int, str]], skip: bool) -> None:
        self.first = lines[0][0]
        self.layout: list[Mapping] = [DATA_AREA]
        self.steps: list[c.Step] = []
        self.variables: dict[str, str] = {}  # to "pid" or "pidfd" of the process itself
        self.left_out: list[str] = []
        self.making_layout = False
        self.begun = False
        for number, line in lines:
            try:
                self._take(parse_call(line, number))
            except NotSupported as error:
                if not skip:
                    raise
                self.left_out.append(str(error))

    def imported(self) -> Imported:
        """Raises SyzkallerError when nothing is left, or madvet may not run it."""
        program = Program(tuple(self.layout), tuple(self.steps))
        where = f"the program from line {self.first} on"
        if not self.steps:
            raise SyzkallerError(f"{where}: no call is left that madvet can make")
        problems = validate(program)
        if problems:
            raise SyzkallerError(f"{where}: {problems[0]}")
        return Imported(program, tuple(self.left_out))

    def _take(self, call: Call) -> None:
        read = _CALLS.get(call.name)
        if read is None:
            known = ", ".join(_CALLS)
            raise NotSupported(f"line {call.line}: {call.name}: not supported; these are: {known}")
        try:
            step = read(self, call)
            if call.fail_nth:
                step = _failing(step, call.fail_nth)
            if step is None:
                return
            self._add(step)
        except NotSupported:
            raise
        except ValueError as error:
            raise NotSupported(f"line {call.line}: {call.name}: {error}") from error
        finally:
            self.begun = self.begun or call.name not in ("getpid", "pidfd_open")

    def _add(self, step: c.Step) -> None:
        if self.making_layout and self._in_layout(step):
            return
        self.making_layout = False
        last = self.steps[-1] if self.steps else None
        if isinstance(step, c.TouchPages) and isinstance(last, c.TouchPages) and (
            step.page == last.page + last.pages
        ):  # fmt: skip
            self.steps[-1] = msgspec.structs.replace(last, pages=last.pages + 1)
            return
        if len(self.steps) == STEPS_MAX:
            raise ValueError(f"a program has at most {STEPS_MAX} steps")
        self.steps.append(step)

    def _in_layout(self, step: c.Step) -> bool:
        """Is it part of how the layout comes to be? Pages are written mapping by mapping."""
        if isinstance(step, c.Mmap):
            new = step.mapping
            apart = all(
                new.at >= old.at + old.pages or old.at >= new.at + new.pages for old in self.layout
            )
            if not apart or len(self.layout) == MAPPINGS_MAX or any(m.touches for m in self.layout):
                return False
            self.layout.append(new)
            return True
        if not isinstance(step, c.TouchPages):
            return False
        for index, mapping in enumerate(self.layout):
            page = step.page - mapping.at
            if not 0 <= page < mapping.pages or any(m.touches for m in self.layout[index + 1 :]):
                continue
            touches = list(mapping.touches)
            if touches and touches[-1].page + touches[-1].pages == page:
                touches[-1] = Touch(touches[-1].page, touches[-1].pages + 1)
            else:
                touches.append(Touch(page))
            self.layout[index] = msgspec.structs.replace(mapping, touches=tuple(touches))
            return True
        return False

    def _getpid(self, call: Call) -> None:
        call.arguments(0)
        self.variables[call.result] = "pid"

    def _pidfd_open(self, call: Call) -> None:
        pid, flags = call.arguments(2)
        if not isinstance(pid, Variable) or self.variables.get(pid.name) != "pid" or flags:
            raise ValueError("only of what getpid() gave, and without flags")
        self.variables[call.result] = "pidfd"

    def _mmap(self, call: Call) -> c.Step:
        at, size, prot, flags, fd, offset = call.arguments(6)
        start, length = _memory(at), _number(size)
        if fd != NO_FD or offset:
            raise ValueError("only memory without a file (fd 0xffffffffffffffff, offset 0x0)")
        template = _MAPPINGS.get(_number(flags))
        if template is None:
            known = ", ".join(hex(value) for value in _MAPPINGS)
            raise ValueError(
                f"flags {_number(flags):#x}; known are {known}, all with {MAP_FIXED:#x}"
            )
        if start % PAGE or length % PAGE or not length:
            raise ValueError("only whole pages")
        mapping = msgspec.structs.replace(
            template, at=(start - ARENA_BASE) // PAGE, pages=length // PAGE, prot=_prot(prot)
        )
        return c.Mmap(mapping)

    def _munmap(self, call: Call) -> c.Step | None:
        at, size = call.arguments(2)
        whole = Pointer(DATA, DATA_PAGES * PAGE, None)
        if at == whole and size == whole.size and not self.begun:
            self.layout, self.making_layout = [], True
            return None
        return c.Munmap(*_range(at, size))

    def _mprotect(self, call: Call) -> c.Step:
        at, size, prot = call.arguments(3)
        return c.Mprotect(*_range(at, size), _prot(prot))

    def _mremap(self, call: Call) -> c.Step:
        at, old, new, flags, to = call.arguments(5)
        start, old_length = _range(at, old)
        bits, new_length = _number(flags), _number(new)
        dont_unmap = bool(bits & MREMAP_DONTUNMAP)
        moves = bits & ~MREMAP_DONTUNMAP
        if moves not in (0, MREMAP_MAYMOVE | MREMAP_FIXED):
            raise ValueError(f"flags {bits:#x}: where it goes would be the kernel's choice")
        target = None
        if moves:
            target = _memory(to)
            check_side(target, new_length)
        return c.Mremap(start, old_length, new_length, target, dont_unmap)

    def _madvise(self, call: Call) -> c.Step:
        at, size, advice = call.arguments(3)
        return c.Madvise(*_range(at, size), _signed(_number(advice)))

    def _process_madvise(self, call: Call) -> c.Step:
        pidfd, vec, count, advice, flags = call.arguments(5)
        number = self._pidfd(pidfd)
        step = c.ProcessMadvise(
            _signed(_number(advice)), *_vector(vec), pidfd=number, flags=_number(flags)
        )
        length = _number(count)
        if isinstance(vec, Pointer) and vec.at is not None:
            step = msgspec.structs.replace(step, vec_at=arena_address(vec.at))
        elif vec == 0:
            step = msgspec.structs.replace(step, vec_at=NULL)
        if length != len(step.vec):
            step = msgspec.structs.replace(step, count=length)
        return step

    def _pidfd(self, value: Value) -> int:
        if isinstance(value, Variable):
            if self.variables.get(value.name) != "pidfd":
                raise ValueError(f"{value.name} is no pidfd of the process itself")
            return FD_PIDFD_SELF
        number = _signed(_number(value))
        if number not in PIDFD_NUMBERS:
            raise ValueError(f"pidfd {number}: a variable, or one of {PIDFD_NUMBERS}")
        return number

    def _write(self, call: Call) -> c.Step:
        fd, data, size = call.arguments(3)
        if fd != NO_FD or size != 1 or not isinstance(data, Pointer) or data.value != TOUCHED:
            raise ValueError(f"only as a write to a page: fd {NO_FD:#x}, data {TOUCHED}, size 0x1")
        start = _memory(data)
        if start % PAGE or not ARENA_BASE <= start < ARENA_BASE + ARENA_PAGES_MAX * PAGE:
            raise ValueError("only at the start of a page of the data area")
        return c.TouchPages((start - ARENA_BASE) // PAGE)


_CALLS: Final[dict[str, Callable[[_Import, Call], c.Step | None]]] = {
    "mmap": _Import._mmap,
    "munmap": _Import._munmap,
    "mprotect": _Import._mprotect,
    "mremap": _Import._mremap,
    "madvise": _Import._madvise,
    "process_madvise": _Import._process_madvise,
    "getpid": _Import._getpid,
    "pidfd_open": _Import._pidfd_open,
    "write": _Import._write,
}


def _failing(step: c.Step | None, fail_nth: int) -> c.Step:
    if not isinstance(step, c.Madvise | c.ProcessMadvise):
        raise ValueError("allocations fail in madvise and process_madvise only (fail_nth)")
    return msgspec.structs.replace(step, fail_nth=fail_nth)


def _number(value: Value) -> int:
    if not isinstance(value, int):
        raise ValueError("a number must stand there")
    return value


def _signed(value: int) -> int:
    """Numbers are written as 64 bits; those of an int may be meant negative."""
    return value - (1 << 64) if value >> 63 else value


def _memory(value: Value) -> int:
    """Where a pointer points, in the arena."""
    if isinstance(value, int):
        return value
    if not isinstance(value, Pointer) or value.at is None:
        raise ValueError("a place in memory must stand there: &(0x7f0000000000/0x1000)=nil")
    return arena_address(value.at)


def _range(at: Value, size: Value) -> tuple[int, int]:
    start, length = _memory(at), _number(size)
    check_side(start, length)
    return start, length


def _prot(value: Value) -> Prot:
    prot = _PROTS.get(_number(value))
    if prot is None:
        known = ", ".join(hex(bits) for bits in _PROTS)
        raise ValueError(f"protection {_number(value):#x}; known are {known}")
    return prot


def _vector(value: Value) -> tuple[tuple[c.IoRange, ...]]:
    """The iovecs."""
    if value == 0:
        return ((),)
    if not isinstance(value, Pointer) or not isinstance(value.value, tuple):
        raise ValueError("the vector must be written out: &AUTO=[{&(0x7f0000000000), 0x1000}]")
    out = []
    for element in value.value:
        if not isinstance(element, tuple) or len(element) != 2:
            raise ValueError("an element of the vector is {pointer, length}")
        out.append(c.IoRange(*_range(element[0], element[1])))
    return (tuple(out),)
