"""The text that syzkaller writes programs in, as far as values go: calls, their arguments, and
where in memory these point. Described in its docs/program_syntax.md.

Memory: all pointers lie in a data area of 16 MiB at DATA, which is mapped before a program begins.
The arena has 8 MiB, so its halves stand for the first and the last quarter of the data area, where
syzkaller puts data and mappings: what is side by side there is so here.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from conformance.program.places import ARENA_BASE, ARENA_PAGES_MAX, PAGE

DATA: Final = 0x7F00_0000_0000
DATA_PAGES: Final = 4096
HALF: Final = ARENA_PAGES_MAX // 2  # pages
GAP: Final = DATA_PAGES - ARENA_PAGES_MAX  # pages of the data area that the arena lacks
DEPTH_MAX: Final = 8  # of brackets in brackets
MASK64: Final = (1 << 64) - 1
_TOKEN: Final = re.compile(
    r"""\s*(0x[0-9a-f]{1,16}|r[0-9]+|nil|AUTO|@[A-Za-z0-9_$]+|"[^"]*"|'[^']*'|[&()=/\[\]{},<>+])"""
)
_CALL: Final = re.compile(
    r"(?:(r[0-9]+) = )?([a-z_][A-Za-z0-9_$]*)\((.*?)\)((?: \([a-z_][^()]*\))?)"
)
_FAIL_NTH: Final = re.compile(r" \(fail_nth: ([1-9][0-9]*)\)")


class SyzkallerError(Exception):
    """A text that cannot be taken. str() says which line, which call, and why."""


class NotSupported(SyzkallerError):
    """It is a call that is understood, but madvet's programs cannot hold it."""


class Pointer(NamedTuple):
    """&(at/size)=value. at: None for AUTO. size: None unless written. value: None when nothing is
    pointed to: memory as such (nil), or left at its default."""

    at: int | None
    size: int | None
    value: Value | None


class Variable(NamedTuple):
    """What an earlier call returned."""

    name: str


Value = int | str | Pointer | Variable | tuple["Value", ...]


class Call(NamedTuple):
    """One line. result: the variable that it is assigned to, or "". inside: its brackets.
    fail_nth: which allocation in it fails, 0 for none."""

    line: int
    result: str
    name: str
    inside: str
    fail_nth: int = 0

    def arguments(self, count: int) -> tuple[Value, ...]:
        """Its arguments, so many. Raises SyzkallerError."""
        values = _Reader(self.inside, self.line, self.name).sequence("")
        if len(values) != count:
            raise SyzkallerError(
                f"line {self.line}: {self.name} has {count} arguments, not {len(values)}"
            )
        return values


def parse_call(text: str, line: int) -> Call:
    """A line as a call, its arguments not yet looked at: of a call that is not known they may be
    anything. Raises SyzkallerError."""
    match = _CALL.fullmatch(text.strip())
    if match is None:
        raise SyzkallerError(f"line {line}: {_short(text)} is no call: r0 = name(arguments)")
    result, name, inside, properties = match.groups()
    fails = _FAIL_NTH.fullmatch(properties)
    if properties and fails is None:
        raise NotSupported(
            f"line {line}: {name}{properties}: only the property (fail_nth: N) is kept"
        )
    return Call(line, result or "", name, inside, int(fails[1]) if fails else 0)


class _Reader:
    """The arguments of one call, token by token."""

    def __init__(self, text: str, line: int, name: str) -> None:
        self._where = f"line {line}: {name}"
        self._tokens: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if match is None:
                raise SyzkallerError(f"{self._where}: cannot read {_short(text[at:])}")
            self._tokens.append(match[1])
            at = match.end()

    def sequence(self, end: str, depth: int = 0) -> tuple[Value, ...]:
        """Values with commas between them, up to a bracket or the end."""
        if depth > DEPTH_MAX:
            raise SyzkallerError(f"{self._where}: brackets in brackets, more than {DEPTH_MAX} deep")
        out: list[Value] = []
        while self._peek() != end:
            if out:
                self._take(",")
            out.append(self._value(depth))
        if end:
            self._take(end)
        return tuple(out)

    def _peek(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _take(self, wanted: str = "") -> str:
        token = self._peek()
        if not token or (wanted and token != wanted):
            what = wanted or "a value"
            raise SyzkallerError(f"{self._where}: {token or 'the end'} where {what} must stand")
        return self._tokens.pop(0)

    def _value(self, depth: int) -> Value:
        token = self._take()
        if token.startswith("0x"):
            return int(token, 16)
        if token == "[":
            return self.sequence("]", depth + 1)
        if token == "{":
            return self.sequence("}", depth + 1)
        if token == "&":
            return self._pointer(depth)
        if token[0] in "\"'":
            return token
        if re.fullmatch("r[0-9]+", token):
            return Variable(token)
        raise NotSupported(f"{self._where}: a value that begins with {token} is not known here")

    def _pointer(self, depth: int) -> Pointer:
        at = size = value = None
        if self._peek() == "AUTO":
            self._take()
        else:
            self._take("(")
            at = self._number()
            if self._peek() == "/":
                self._take()
                size = self._number()
            self._take(")")
        if self._peek() == "=":
            self._take()
            if self._peek() == "nil":
                self._take()
            else:
                value = self._value(depth + 1)
        return Pointer(at, size, value)

    def _number(self) -> int:
        token = self._take()
        if not token.startswith("0x"):
            raise SyzkallerError(f"{self._where}: {token} where a hexadecimal number must stand")
        return int(token, 16)


def arena_address(at: int) -> int:
    """The place in the arena for one in the data area; others stand for themselves.

    Raises ValueError for the middle of the data area.
    """
    page = (at - DATA) // PAGE
    if not 0 <= page < DATA_PAGES:
        return at
    if HALF <= page < DATA_PAGES - HALF:
        raise ValueError(
            f"{at:#x} is in the middle of the data area; madvet has room for the first and the "
            f"last {HALF} pages"
        )
    return ARENA_BASE + at - DATA - (GAP * PAGE if page >= HALF else 0)


def data_address(at: int) -> int:
    """The place in the data area for one in the arena; others stand for themselves."""
    page = (at - ARENA_BASE) // PAGE
    if not 0 <= page < ARENA_PAGES_MAX:
        return at
    return DATA + at - ARENA_BASE + (GAP * PAGE if page >= HALF else 0)


def check_side(start: int, length: int) -> None:
    """Raises ValueError for a range of the arena that goes over the middle, where the data area
    has more."""
    middle = ARENA_BASE + HALF * PAGE
    end = start + length
    if ARENA_BASE <= start < middle < end:
        raise ValueError(f"it goes over page {HALF} of the arena, where the data area goes on")


def in_arena(at: int) -> bool:
    """Is an address one of the arena?"""
    return ARENA_BASE <= at < ARENA_BASE + ARENA_PAGES_MAX * PAGE


def _short(text: str) -> str:
    return repr(text if len(text) <= 50 else text[:47] + "...")
