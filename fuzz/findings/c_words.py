"""Values as a reproducer in C spells them: places, lengths, advices, flags, errnos, pages."""

from __future__ import annotations

import textwrap
from typing import Final

from conformance.abi.advice import BY_VALUE
from conformance.abi.errnos import NAMES
from conformance.oracle.explain import signal_name
from conformance.program import call as c
from conformance.program import places as p
from conformance.program.content import FILE_TAG, TORN
from conformance.program.mapping import Kind, Mapping, Prot, Sharing
from conformance.program.outcome import (
    CONTENT_MASK,
    PAGE_GUARD,
    PAGE_PRESENT,
    PAGE_READ,
    PAGE_SWAP,
    PAGE_UNREADABLE,
)

COLUMNS: Final = 100
NEAR: Final = 16 * p.PAGE
INT_MAX: Final = (1 << 31) - 1
_PLACES: Final = (
    ("ARENA", p.ARENA_BASE, p.ARENA_END_MAX),
    ("ZONE", p.ZONE_BASE, p.ZONE_END),
    ("READ_ONLY", p.ZONE_RO_BASE, p.ZONE_RO_END),
)
_PROTS: Final = {
    Prot.NONE: "PROT_NONE",
    Prot.R: "PROT_READ",
    Prot.RW: "PROT_READ | PROT_WRITE",
    Prot.RX: "PROT_READ | PROT_EXEC",
}
_KIND_FLAGS: Final = {
    Kind.ANON: "MAP_ANONYMOUS",
    Kind.NORESERVE: "MAP_ANONYMOUS | MAP_NORESERVE",
    Kind.GROWSDOWN: "MAP_ANONYMOUS | MAP_GROWSDOWN",
    Kind.DROPPABLE: "MAP_ANONYMOUS | MAP_DROPPABLE",
    Kind.HUGETLB: "MAP_ANONYMOUS | MAP_HUGETLB",
}
_STATES: Final = (
    (PAGE_PRESENT, "PRESENT"),
    (PAGE_SWAP, "SWAPPED"),
    (PAGE_GUARD, "GUARD"),
    (PAGE_UNREADABLE, "UNREADABLE"),
    (PAGE_READ, "READ"),
)


def number(value: int) -> str:
    """An unsigned 64-bit constant."""
    value &= (1 << 64) - 1
    return str(value) if value <= INT_MAX and value < 1 << 16 else f"{value:#x}UL"


def address(value: int) -> str:
    """An address as an integer: by its place, so far as reproducers have that place."""
    for name, first, after in _PLACES:
        if first - NEAR <= value < after + NEAR:
            return name + _offset(value - first)
    return number(value)


def _offset(delta: int) -> str:
    if not delta:
        return ""
    sign = "-" if delta < 0 else "+"
    pages, rest = divmod(abs(delta), p.PAGE)
    words = f" {sign} {pages} * PAGE" if pages else ""
    return words + (f" {sign} {rest:#x}" if rest else "")


def pointer(value: int) -> str:
    """An address as a pointer."""
    if value == 0:
        return "NULL"
    if p.ARENA_BASE <= value < p.ARENA_END_MAX and value % p.PAGE == 0:
        return f"AT({(value - p.ARENA_BASE) // p.PAGE})"
    words = address(value)
    return f"(void *)({words})" if " " in words else f"(void *){words}"


def length(value: int) -> str:
    """A length in bytes, by pages where there are any."""
    pages, rest = divmod(value, p.PAGE)
    if not pages or pages > p.ARENA_PAGES_MAX:
        return number(value)
    words = "PAGE" if pages == 1 else f"{pages} * PAGE"
    if rest > p.PAGE // 2:
        return f"{pages + 1} * PAGE - {p.PAGE - rest}"
    return f"{words} + {rest}" if rest else words


def plain_int(register: int) -> bool:
    """Does a register's value go through a C int unchanged?"""
    return -INT_MAX - 1 <= register <= INT_MAX


def advice(value: int) -> str:
    """An advice by name, or its number."""
    row = BY_VALUE.get(value)
    if row:
        return f"MADV_{row.name}"
    return str(value) if plain_int(value) else number(value)


def prot(value: Prot) -> str:
    """Protection bits."""
    return _PROTS[value]


def mapping_flags(m: Mapping) -> str:
    """The flags argument of its mmap()."""
    words = [_KIND_FLAGS[m.kind]] if m.kind in _KIND_FLAGS else []
    if m.kind is not Kind.DROPPABLE:
        words.insert(0, "MAP_SHARED" if m.sharing is Sharing.SHARED else "MAP_PRIVATE")
    return " | ".join([*words, "MAP_FIXED"])


def result(step: object, value: int) -> str:
    """A result as an expression: "-EINVAL", "2 * PAGE", "FAULT(SIGSEGV, 2)"."""
    if isinstance(step, c.TouchPages | c.Store):
        if value >= 0:
            return str(value)
        return f"FAULT({signal_name(-value >> 16)}, {-value & 0xFFFF})"
    if -4096 < value < 0:
        name = NAMES.get(-value)
        return f"-{name}" if name else str(value)
    if isinstance(step, c.Mmap | c.Mremap):
        return address(value)
    return length(value)


def page_word(word: int) -> str:
    """A page of a snapshot."""
    tag = word & CONTENT_MASK
    words = [name for bit, name in _STATES if word & bit]
    if word & PAGE_READ and tag:
        page = (tag & 0xFFFF) - 1
        if tag == TORN:
            words.append("MIXED")
        elif tag & FILE_TAG:
            words.append(f"FILE_PAGE({(tag & ~FILE_TAG) >> 16}, {page})")
        else:
            words.append(f"WRITTEN({tag >> 16}, {page})")
    return " | ".join(words) or "0"


def mask_word(bits: int) -> str:
    """Which bits of a page are not compared."""
    words = ["CONTENT"] if bits & CONTENT_MASK else []
    return " | ".join([*words, *(name for bit, name in _STATES if bits & bit)]) or "0"


def quoted(text: str) -> str:
    """A string literal; text of this package is ASCII, others' may be anything."""
    plain = text.encode("ascii", "replace").decode()
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def comment(lines: list[str], indent: str = "") -> list[str]:
    """A block comment; no text can end it early."""
    out = []
    for line in lines:
        plain = line.encode("ascii", "replace").decode().replace("*/", "* /").replace("/*", "/ *")
        wrapped = textwrap.wrap(
            plain, COLUMNS - len(indent) - 10, break_on_hyphens=False, break_long_words=False
        )
        out += wrapped or [""]
    if len(out) == 1:
        return [f"{indent}/* {out[0]} */"]
    body = [f"{indent} * {line}".rstrip() for line in out]
    return [f"{indent}/*", *body, f"{indent} */"]


def call_lines(head: str, arguments: list[str], tail: str, indent: str = "\t") -> list[str]:
    """A call, broken between arguments where it is too long for a line."""
    line = f"{indent}{head}{', '.join(arguments)}{tail}"
    if len(line.expandtabs(8)) <= COLUMNS:
        return [line]
    out: list[str] = []
    now = indent + head
    for index, argument in enumerate(arguments):
        piece = argument + (tail if index + 1 == len(arguments) else ",")
        space = "" if now.endswith(("(", "\t", " ")) else " "
        if len((now + space + piece).expandtabs(8)) > COLUMNS and now.strip():
            out.append(now)
            now, space = indent + "\t\t", ""
        now += space + piece
    return [*out, now]
