"""A program as a file that people read, edit and keep: TOML, `format = 1`.

    # Why this file exists. The comment at the top is kept when the file is written again.
    format = 1

    [[mapping]]
    kind = "anon"
    at = 0
    pages = 4
    touch = ["w 0..3"]

    [[step]]
    call = "madvise"
    start = "arena+1p"
    length = "2p"
    advice = "DONTNEED"

A reproducer carries a table [finding] as well. Comments further down are not kept.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final

import msgspec

from conformance.program.program import Program
from conformance.program.text_read import read_program
from conformance.program.text_table import PlaceError, ProgramTextError, Table, line_of
from conformance.program.text_write import program_lines, string
from conformance.program.validate import validate

FORMAT: Final = 1
FILE_BYTES_MAX: Final = 1 << 20  # 8 steps of 1025 ranges take 600 kB

# What TOML has and this format does not need: dots outside strings and comments. tomllib's
# time is quadratic in the dots of a key, so that a hostile file of 1 MiB would take an hour.
# Every alternative matches up to the end of what it opened, closed or not: one pass, no retries.
_QUOTED: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?(?:"""|\Z)'
    r"|'''.*?(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\[^\n])*"?'
    r"|'[^'\n]*'?"
    r"|#[^\n]*",
    re.DOTALL,
)


class FindingTable(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a reproducer says of the finding it reproduces; every member is text for people
    but identity, by which findings are told apart. log: what the kernel said of itself."""

    title: str
    identity: str = ""
    verdict: str = ""
    requirement: str = ""
    expected: str = ""
    observed: str = ""
    stability: str = ""
    found_on: str = ""
    log: str = ""
    severity: str = ""


class Document(msgspec.Struct, frozen=True):
    """A program file. comment: the lines at the top, without "# "."""

    comment: str
    program: Program
    finding: FindingTable | None = None


def dumps(program: Program, comment: str = "", finding: FindingTable | None = None) -> str:
    """The file for a program. For a program that validate() accepts, loads() gives it back,
    and writing that again gives the same text."""
    lines = ["# " + line if line else "#" for line in _comment_lines(comment)]
    lines += [f"format = {FORMAT}", *program_lines(program)]
    if finding is not None:
        lines += ["", "[finding]"]
        for key in FindingTable.__struct_fields__:
            value = getattr(finding, key)
            if value or key == "title":
                lines.append(f"{key} = {string(value)}")
    return "\n".join(lines) + "\n"


def shortlex(program: Program) -> tuple[int, str]:
    """The total order of programs in which shrinking goes down: shorter text, then smaller."""
    text = dumps(program)
    return len(text), text


def loads(data: bytes, name: str, guest: bool = False) -> Document:
    """The document in a file's bytes. guest: it may hold what only a disposable kernel survives.

    Raises ProgramTextError for any bytes that are no program that may be run.
    """
    if len(data) > FILE_BYTES_MAX:
        raise ProgramTextError(f"{name}: larger than {FILE_BYTES_MAX} bytes, no program is")
    text = _decoded(data, name)
    try:
        document = _document(_parsed(text, name))
        for problem in validate(document.program, guest):
            where = ": ".join(part for part in (problem.where, problem.key) if part)
            raise PlaceError(where, problem.what, problem.header, problem.key)
    except PlaceError as error:
        line = line_of(text, error.header, error.key)
        at = f"{name}:{line}" if line else name
        raise ProgramTextError(f"{at}: {error}") from None
    return msgspec.structs.replace(document, comment=_header_comment(text))


def _decoded(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ProgramTextError(
            f"{name}:{line}: byte {data[error.start]:#04x} is not UTF-8; a program is UTF-8 text"
        ) from None
    return text.replace("\r\n", "\n")


def _parsed(text: str, name: str) -> dict[str, object]:
    """The TOML tables. Raises ProgramTextError."""
    dot = _QUOTED.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text).find(".")
    if dot >= 0:
        line = text.count("\n", 0, dot) + 1
        raise ProgramTextError(
            f"{name}:{line}: a dot outside quotes; the format has no dotted keys and no fractions"
        )
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ProgramTextError(f"{name}: tables or arrays are nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and int() of too many digits
        match = re.search(r" \(at line ([0-9]+), column [0-9]+\)$", str(error))
        at = f"{name}:{match[1]}" if match else name
        what = str(error)[: match.start()] if match else str(error)
        raise ProgramTextError(f"{at}: not TOML: {what}") from None


def _document(tables: dict[str, object]) -> Document:
    top = Table(tables, "", ("", 0))
    if top.integer("format", 0, 1 << 31) != FORMAT:
        raise top.fail("format", f"this version of madvet reads only format = {FORMAT}")
    program = read_program(top)
    finding = None
    if top.has("finding"):
        finding = _finding(Table(top.take("finding"), "finding", ("finding", 0)))
    top.end()
    return Document("", program, finding)


def _finding(table: Table) -> FindingTable:
    title = table.string("title")
    others = [key for key in FindingTable.__struct_fields__ if key != "title"]
    finding = FindingTable(title, **{key: table.string(key, "") for key in others})
    table.end()
    return finding


def _comment_lines(comment: str) -> list[str]:
    """Lines that can stand behind "# ": TOML allows no control characters there but tab."""
    cleaned = re.sub(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "\ufffd", comment)
    lines = [line.rstrip() for line in cleaned.split("\n")]
    return [] if lines == [""] else lines  # white space alone is no comment


def _header_comment(text: str) -> str:
    """The comment lines before anything else."""
    out = []
    for line in text.split("\n"):
        if not line.startswith("#"):
            break
        out.append(line[1:].removeprefix(" "))
    return "\n".join(out)
