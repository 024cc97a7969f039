"""Single values as the text form writes them: addresses, lengths, page runs, advices, pidfds.

Each kind has a writer and a reader; the reader of what the writer wrote gives the value back.
Readers raise ValueError with a message that says what is allowed, for the caller to add where.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from conformance.abi.advice import BY_NAME, BY_VALUE
from conformance.program import places as p

PAGE: Final = p.PAGE
WORD_MAX: Final = (1 << 64) - 1
NEAR: Final = 16 * PAGE  # how far around a place an address is written by its name


class Place(NamedTuple):
    """A name for an address; addresses in [first, after) are written relative to it."""

    name: str
    base: int
    first: int
    after: int


PLACES: Final = (
    Place("null", p.NULL, p.NULL, NEAR),
    Place("arena", p.ARENA_BASE, p.ARENA_BASE - NEAR, p.ARENA_END_MAX + NEAR),
    Place("zone", p.ZONE_BASE, p.ZONE_BASE - NEAR, p.ZONE_END - PAGE),
    Place("zone_end", p.ZONE_END, p.ZONE_END - PAGE, p.ZONE_END + NEAR),
    Place("ro_zone", p.ZONE_RO_BASE, p.ZONE_RO_BASE - NEAR, p.ZONE_RO_END - PAGE),
    Place("ro_zone_end", p.ZONE_RO_END, p.ZONE_RO_END - PAGE, p.ZONE_RO_END + NEAR),
    Place("unmapped", p.UNMAPPED, p.UNMAPPED - NEAR, p.UNMAPPED + NEAR),
    Place("executor", p.EXECUTOR_BASE, p.EXECUTOR_BASE - NEAR, p.EXECUTOR_BASE + NEAR),
    Place("top", p.TASK_SIZE, p.TASK_SIZE - NEAR, p.NONCANONICAL),
    Place("noncanonical", p.NONCANONICAL, p.NONCANONICAL, p.NONCANONICAL + NEAR),
    Place("kernel", p.KERNEL, p.KERNEL - NEAR, p.KERNEL + NEAR),
)
_BASES: Final = {place.name: place.base for place in PLACES}
_ADDRESS: Final = re.compile(r"([a-z_]+)((?:[+-](?:0x[0-9a-f]+|[0-9]+p?))*)")
_OFFSET: Final = re.compile(r"([+-])(0x[0-9a-f]+|[0-9]+)(p?)")
_LENGTH: Final = re.compile(r"([0-9]+)(?:p(?:([+-])(0x[0-9a-f]+|[0-9]+))?)?")
_RUN: Final = re.compile(r"([0-9]+)(?:\.\.([0-9]+))?")
_DIGITS_MAX: Final = 20  # 2**64 has 20; int() of more is wasted work
PAGES_IN_LENGTH_MAX: Final = 4096  # longer lengths are written in hexadecimal

ADDRESS_HELP: Final = (
    f"an address is one of {', '.join(_BASES)}, with offsets such as +3p (pages), +0x10 or -20 "
    "(bytes), or plain hexadecimal up to 0xffffffffffffffff"
)
LENGTH_HELP: Final = 'a length is "4p" (pages), "2p+1", "1p-8", "17" (bytes) or hexadecimal'
RUN_HELP: Final = 'pages are "5" or, first and last, "0..3"'

PIDFDS: Final[dict[str, int]] = {
    "self": p.FD_PIDFD_SELF,
    "remote": p.FD_PIDFD_REMOTE,
    "dead": p.FD_PIDFD_DEAD,
    "zombie": p.FD_PIDFD_ZOMBIE,
    "not-a-pidfd": p.FD_NOT_PIDFD,
    "kthread": p.FD_PIDFD_KTHREAD,
    "bad": p.PIDFD_BAD,
    "PIDFD_SELF": p.PIDFD_SELF_THREAD,
    "PIDFD_SELF_THREAD_GROUP": p.PIDFD_SELF_GROUP,
}
_PIDFD_NAMES: Final = {value: name for name, value in PIDFDS.items()}


def address_text(value: int) -> str:
    """An address by place where one is near, else in hexadecimal."""
    for place in PLACES:
        if place.first <= value < place.after:
            return place.name + _offset_text(value - place.base)
    return hex(value)


def _offset_text(delta: int) -> str:
    """Bytes as pages and the rest; a rest before a place in decimal: there it is a struct's."""
    pages, rest = divmod(abs(delta), PAGE)
    sign = "-" if delta < 0 else "+"
    text = f"{sign}{pages}p" if pages else ""
    if rest:
        text += f"{sign}{rest}" if delta < 0 else f"{sign}{rest:#x}"
    return text


def address_value(text: str) -> int:
    """The address that a text names, 0..2**64-1. Raises ValueError."""
    if text.startswith("0x"):
        return _hexadecimal(text, ADDRESS_HELP)
    match = _ADDRESS.fullmatch(text)
    if match is None or match[1] not in _BASES:
        raise ValueError(f"{short(text)} is no address: {ADDRESS_HELP}")
    value = _BASES[match[1]]
    for sign, number, pages in _OFFSET.findall(match[2]):
        size = _number(number, ADDRESS_HELP) * (PAGE if pages else 1)
        value += -size if sign == "-" else size
    if not 0 <= value <= WORD_MAX:
        raise ValueError(f"{short(text)} is outside the 64-bit addresses: {ADDRESS_HELP}")
    return value


def length_text(value: int) -> str:
    """A length in bytes: by pages where that is shorter to read."""
    if value < PAGE:
        return str(value)
    pages, rest = divmod(value, PAGE)
    if pages > PAGES_IN_LENGTH_MAX:
        return hex(value)
    if rest > PAGE - 64:
        return f"{pages + 1}p-{PAGE - rest}"
    return f"{pages}p+{rest}" if rest else f"{pages}p"


def length_value(text: str) -> int:
    """The bytes that a length names, 0..2**64-1. Raises ValueError."""
    if text.startswith("0x"):
        return _hexadecimal(text, LENGTH_HELP)
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise ValueError(f"{short(text)} is no length: {LENGTH_HELP}")
    value = _number(match[1], LENGTH_HELP) * (PAGE if "p" in text else 1)
    if match[3]:
        rest = _number(match[3], LENGTH_HELP)
        value += -rest if match[2] == "-" else rest
    if not 0 <= value <= WORD_MAX:
        raise ValueError(f"{short(text)} does not fit 64 bits: {LENGTH_HELP}")
    return value


def run_text(page: int, pages: int) -> str:
    """Pages [page, page + pages), by first and last."""
    return str(page) if pages == 1 else f"{page}..{page + pages - 1}"


def run_value(text: str) -> tuple[int, int]:
    """(page, pages) of "5" or "0..3". Raises ValueError."""
    match = _RUN.fullmatch(text)
    if match is None:
        raise ValueError(f"{short(text)} are no pages: {RUN_HELP}")
    first = _number(match[1], RUN_HELP)
    last = _number(match[2], RUN_HELP) if match[2] else first
    if last < first:
        raise ValueError(f"{short(text)} ends before it starts: {RUN_HELP}")
    return first, last - first + 1


def advice_word(value: int) -> str | int:
    """An advice by name; the number of one that Linux does not have."""
    row = BY_VALUE.get(value)
    return row.name if row else value


def advice_value(word: str | int) -> int:
    """The value of an advice by name or number. Raises ValueError."""
    if isinstance(word, int):
        return word
    row = BY_NAME.get(word.removeprefix("MADV_"))
    if row is None:
        raise ValueError(
            f"{short(word)} is no advice: one of {', '.join(BY_NAME)}, or a number without quotes"
        )
    return row.value


def pidfd_word(value: int) -> str | int:
    """A pidfd by name; the number of one without."""
    return _PIDFD_NAMES.get(value, value)


def pidfd_value(word: str | int) -> int:
    """The descriptor that a name or a number stands for. Raises ValueError."""
    if isinstance(word, int):
        return word
    if word not in PIDFDS:
        raise ValueError(
            f"{short(word)} is no pidfd: one of {', '.join(PIDFDS)}, or a number without quotes"
        )
    return PIDFDS[word]


def short(value: object) -> str:
    """A value as a message shows it: quoted, and cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _hexadecimal(text: str, help_text: str) -> int:
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,16}", text):
        raise ValueError(f"{short(text)} is no 64-bit hexadecimal number: {help_text}")
    return int(text, 16)


def _number(digits: str, help_text: str) -> int:
    if len(digits) > _DIGITS_MAX:
        raise ValueError(f"{short(digits)} does not fit 64 bits: {help_text}")
    return int(digits, 0) if digits.startswith("0x") else int(digits)
