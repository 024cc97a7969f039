"""The text form: what is written is read back, and every bad file is refused in words."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conformance.program import call as c
from conformance.program.control_struct import All, ControlBytes, ControlFields
from conformance.program.mapping import Kind, Mapping
from conformance.program.program import Program
from conformance.program.text import (
    FILE_BYTES_MAX,
    Document,
    FindingTable,
    dumps,
    loads,
    shortlex,
)
from conformance.program.text_table import ProgramTextError
from conformance.tests.program_strategies import programs

SMALL = """\
# What this is for.
#
#   indented
format = 1

[[file]]
backing = "memfd"
pages = 4
sealed_write = true

[[mapping]]
kind = "memfd"
at = 3
pages = 4
sharing = "shared"
file = 0
offset = 1
touch = ["w 0..3", "r 2"]
mark = ["DONTFORK 0..1", "prot r-- 2"]

[[step]]
call = "madvise"
start = "arena+3p"
length = "2p+1"
advice = "DONTNEED"

[[step]]
call = "madvise_ranges"
type = "multi"
ranges = [
    { start = "arena", length = "1p", advice = "COLD" },
    { start = "unmapped", length = "0", advice = 26 },
]
pidfd = "remote"
is_remote = true
stats_at = "null"

[[step]]
call = "mmap"
kind = "anon"
at = 0
pages = 1
prot = "r--"

[finding]
title = "a title"
identity = "x"
expected = \"\"\"
one
two\"\"\"
"""


def refused(text: str | bytes, name: str = "f.toml") -> str:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(ProgramTextError) as caught:
        loads(data, name)
    message = str(caught.value)
    assert message.startswith(name)
    assert "\n" not in message
    assert len(message) < 1000
    return message


def read_or_refused(data: bytes) -> None:
    """Either is right for damaged text; anything else that is raised is not."""
    message = "f.toml"
    try:
        document = loads(data, "f.toml")
    except ProgramTextError as error:
        message = str(error)
    else:
        assert isinstance(document, Document)
    assert message.startswith("f.toml")


def changed(old: str, new: str) -> str:
    assert SMALL.count(old) >= 1
    return SMALL.replace(old, new, 1)


@settings(deadline=None, max_examples=400)
@given(programs())
def test_reading_what_was_written_gives_the_program_back(program: Program) -> None:
    text = dumps(program)
    document = loads(text.encode(), "x")
    assert document.program == program
    assert dumps(document.program) == text


@settings(deadline=None, max_examples=300)
@example(comment="\t", words=[""] * 10)
@given(comment=st.text(max_size=60), words=st.lists(st.text(max_size=40), min_size=10, max_size=10))
def test_comment_and_finding_are_stable_for_any_text(comment: str, words: list[str]) -> None:
    program = Program((Mapping(Kind.ANON, 0, 1),), (c.Fork(),))
    first = dumps(program, comment, FindingTable(*words))
    document = loads(first.encode(), "x")
    assert dumps(document.program, document.comment, document.finding) == first
    assert document.finding is not None
    for word, key in zip(words, FindingTable.__struct_fields__, strict=True):
        assert getattr(document.finding, key) == re.sub("[\ud800-\udfff]", "\ufffd", word)


def test_a_file_of_every_part_is_read_and_written_unchanged() -> None:
    document = loads(SMALL.encode(), "x")
    assert dumps(document.program, document.comment, document.finding) == SMALL
    assert document.comment == "What this is for.\n\n  indented"
    assert document.finding == FindingTable("a title", "x", expected="one\ntwo")
    assert document.program.steps[0] == c.Madvise(0x1000_3000, 8193, 4)


def test_windows_line_ends_and_missing_last_newline_are_read() -> None:
    plain = loads(SMALL.encode(), "x")
    assert loads(SMALL.replace("\n", "\r\n").encode(), "x") == plain
    assert loads(SMALL.rstrip("\n").encode(), "x") == plain


def test_hand_written_forms_mean_the_same() -> None:
    text = changed('length = "2p+1"', "length = 0x2001").replace('"DONTNEED"', '"MADV_DONTNEED"')
    text = text.replace('"arena+3p"', '"arena+1p+0x2000"')
    assert loads(text.encode(), "x").program == loads(SMALL.encode(), "x").program


def test_raw_bytes_may_be_spaced_and_upper_case() -> None:
    raw = ControlBytes("0100000000000000" + "ff" * 40)
    program = Program((Mapping(Kind.ANON, 0, 1),), (c.MadviseRanges(raw),))
    text = dumps(program)
    assert 'raw = "0100000000000000 ffff' in text
    assert loads(text.replace("ffff", "FF FF").encode(), "x").program == program


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("format = 1", "format = 2", 4, ["format", "reads only format = 1"]),
        ("format = 1\n", "", 0, ["format: is missing"]),
        ("format = 1", "format = 1.0", 4, ["dot outside quotes"]),
        ("format = 1", "format = = 1", 4, ["not TOML"]),
        ("format = 1", "format = 1\nformat = 1", 5, ["not TOML"]),
        ("format = 1", "format = 1\nwide = 1", 5, ["wide: is not known here", "whole"]),
        ("format = 1", "format = 2024-01-01", 4, ["whole number", "date"]),
        ('backing = "memfd"', 'backing = "floppy"', 7, ["file 0: backing", "memfd, tmpfs, disk"]),
        ("pages = 4\nsealed", 'pages = "4"\nsealed', 8, ["must be a whole number, is a string"]),
        ("sealed_write = true", "sealed_write = 1", 9, ["true or false, is a number"]),
        ('kind = "memfd"', 'kind = "drum"', 12, ["mapping 1: kind: is 'drum'", "growsdown"]),
        ("at = 3", "at = true", 13, ["whole number, is true"]),
        ("at = 3", "at = 2046", 14, ["ends at page 2050", "2048"]),
        ("at = 3", "at = 99999999999999999999999", 13, ["beyond 64 bits", "0 to 2047"]),
        ("at = 3\n", "", 11, ["at: is missing"]),
        ("at = 3", "att = 3", 11, ["at: is missing; is 'att' meant"]),
        ("file = 0", "file = 1", 16, ["file: is 1, the program has 1"]),
        ("offset = 1", "offset = -1", 17, ["is -1, allowed: 0 to 2048"]),
        ('"w 0..3"', '"x 0..3"', 18, ["'x 0..3' is no touch"]),
        ('"w 0..3"', '"w 3..0"', 18, ["ends before it starts"]),
        ('"w 0..3"', '"w 0..4"', 18, ["pages 0..4 are not all inside pages 0..3"]),
        ('"w 0..3"', "7", 18, ["must hold strings, holds a number"]),
        ('"DONTFORK 0..1"', '"SPOON 0"', 19, ["'SPOON' is no advice", "GUARD_INSTALL"]),
        ('"DONTFORK 0..1"', '"HWPOISON 0"', 19, ["HWPOISON is for guests only"]),
        ("prot r-- 2", "prot rwx 2", 19, ["'rwx' is no protection: ---, r--"]),
        ('call = "madvise"', 'call = "mlockall"', 22, ["step 1: call: is 'mlockall'", "fork"]),
        ('start = "arena+3p"', 'start = "area+3p"', 23, ["no address", "unmapped", "+0x10"]),
        ('start = "arena+3p"', 'start = "null-1"', 23, ["outside the 64-bit addresses"]),
        ('start = "arena+3p"', 'start = "0x1ffffffffffffffff"', 23, ["64-bit hexadecimal"]),
        ('start = "arena+3p"', 'start = "zone"', 24, ["reaches the zones", "whole = true"]),
        ('start = "arena+3p"', "start = [1]", 23, ["string or a number, is an array"]),
        ('length = "2p+1"', 'length = "two pages"', 24, ["(madvise): length: 'two pages'"]),
        ('length = "2p+1"', 'length = "99999999999999999999999p"', 24, ["does not fit 64 bits"]),
        ('advice = "DONTNEED"', 'advice = "dontneed"', 25, ["is no advice"]),
        ('type = "multi"', 'type = "both"', 29, ["'both', allowed: single, multi, all"]),
        ('type = "multi"\n', "", 27, ["type: is missing", "raw = ... instead"]),
        ('length = "1p", ', "", 30, ["ranges 1: length: is missing"]),
        ('pidfd = "remote"', 'pidfd = "mine"', 34, ["'mine' is no pidfd: one of self, remote"]),
        ('pidfd = "remote"', "pidfd = 7", 34, ["is 7, allowed", "200 and up"]),
        ('stats_at = "null"', 'stats_at = "executor"', 36, ["the executor's own memory"]),
        ('prot = "r--"', 'lock = "locked"', 43, ["lock: is not known here", "sharing"]),
        ("[finding]\n", "[finding]\nmood = 1\n", 46, ["mood: is not known here", "verdict"]),
        ('title = "a title"\n', "", 45, ["finding: title: is missing"]),
        ('identity = "x"', "identity = 5", 47, ["must be a string in quotes"]),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, line: int, words: list[str]) -> None:
    message = refused(changed(old, new))
    assert message.startswith(f"f.toml:{line}: " if line else "f.toml: "), message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "format: is missing"),
        ("\0", "not TOML"),
        ("format = 1", "number of [[mapping]]: is 0, allowed: 1 to 16"),
        ("format = 1\nstep = 3", "must be an array, is a number"),
        ("format = 1\nstep = [3]", "step 1: must be a table, is a number"),
        ("format = 1\nmapping = [[]]", "mapping 1: must be a table, is an array"),
        ("format = 1\n[[step]]\ncall = 5", "call: is 5, allowed"),
        ("format = 1\n[[step]]\ncall = []", "call: is [], allowed"),
        ("format = 1\n" + "[[step]]\n" * 257, "has 257 elements, allowed: at most 256"),
        ("format = 1\nx = " + "[" * 5000, "nested too deeply"),
        ("format = 1\nx = " + "{a=" * 5000, "nested too deeply"),
        ("format = " + "9" * 5000, "not TOML"),
        ("a." * 200000 + "b = 1", "dot outside quotes"),
        ('x = "' + '\\"' * 250000 + "\n", "not TOML"),
        ('x = """' + '\\"""\n' * 100000, "not TOML"),
    ],
)
def test_hostile_text_is_refused_at_once(text: str, word: str) -> None:
    start = time.monotonic()
    assert word in refused(text)
    assert time.monotonic() - start < 2  # seconds; quadratic reading takes minutes


def test_bytes_that_are_no_text_are_refused() -> None:
    assert "f.toml:2: byte 0xff is not UTF-8" in refused(b"format = 1\n\xff")
    assert "larger than 1048576 bytes" in refused(b"#" * (FILE_BYTES_MAX + 1))
    assert "number of [[mapping]]" in refused(b"format = 1\n" + b"#" * (FILE_BYTES_MAX - 11))


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    refused(data)


@settings(deadline=None, max_examples=500)
@given(st.data())
def test_no_damage_to_a_good_file_raises_anything_else(data: st.DataObject) -> None:
    good = SMALL.encode()
    first = data.draw(st.integers(0, len(good)))
    after = data.draw(st.integers(first, min(len(good), first + 20)))
    piece = data.draw(st.binary(max_size=6) | st.sampled_from([b'"', b"[", b"]]", b"=", b"-1"]))
    read_or_refused(good[:first] + piece + good[after:])


@pytest.mark.parametrize("end", range(0, len(SMALL), 7))
def test_a_truncated_file_is_refused_or_still_a_program(end: int) -> None:
    read_or_refused(SMALL[:end].encode())


def test_guests_may_read_what_hosts_may_not() -> None:
    program = Program((Mapping(Kind.ANON, 0, 1),), (c.Madvise(0x1000_0000, 4096, 100),))
    text = dumps(program).encode()
    assert loads(text, "x", guest=True).program == program
    with pytest.raises(ProgramTextError, match="could poison memory of this machine"):
        loads(text, "x")


def test_a_simpler_program_comes_first_in_the_order_of_shrinking() -> None:
    mapping = Mapping(Kind.ANON, 0, 1)
    small = Program((mapping,), (c.Fork(),))
    more = Program((mapping,), (c.Fork(), c.Fork()))
    whole = Program((mapping,), (c.MadviseRanges(ControlFields(All(0))),), whole=True)
    assert sorted([whole, more, small], key=shortlex) == [small, more, whole]
