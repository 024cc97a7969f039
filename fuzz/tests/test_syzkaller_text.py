"""syzkaller's text: read, run, written again as it stood; and what is not taken, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.abi.advice import BY_NAME
from conformance.model.predict import predict
from conformance.oracle.judge import judge
from conformance.oracle.verdict import VerdictKind
from conformance.program import call as c
from conformance.program.mapping import Kind, Lock, Mapping, Touch
from conformance.program.places import ARENA_BASE, FD_PIDFD_REMOTE, PAGE, page_address
from conformance.program.plan import fail_nth
from conformance.program.program import Program
from conformance.program.validate import validate
from conformance.target.registry import open_target
from fuzz.findings.syzkaller_read import DATA_AREA, read_programs
from fuzz.findings.syzkaller_text import syzkaller_text
from fuzz.findings.syzkaller_values import (
    DATA,
    DATA_PAGES,
    NotSupported,
    SyzkallerError,
    arena_address,
    data_address,
)
from fuzz.generate.programs import ProgramSource

TEN = (Path(__file__).parent / "ten_programs.syz").read_text(encoding="ascii")
VMA = "&(0x7f0000000000/0x1000)=nil, 0x1000"


def test_ten_programs_are_written_again_as_they_stood() -> None:
    programs = read_programs(TEN)
    assert len(programs) == 10
    assert not any(one.left_out for one in programs)
    assert "\n".join(syzkaller_text(one.program).text for one in programs) == TEN


def test_ten_programs_run_and_do_as_predicted() -> None:
    programs = [one.program for one in read_programs(TEN)]
    with open_target("host") as host:
        for program, outcome in zip(programs, host.run_batch(programs), strict=True):
            verdict = judge(program, outcome, predict(program, host.facts))
            assert verdict.kind is VerdictKind.CONFORMANT, verdict.differences


def test_what_a_program_means() -> None:
    one = read_programs(TEN)[3].program
    assert one.layout == (
        Mapping(Kind.ANON, 0, 2, touches=(Touch(0, 2),)),
        Mapping(Kind.ANON, 3, 1, one.layout[1].prot, one.layout[1].sharing),
    )
    assert one.steps == (c.Madvise(page_address(0), 4 * PAGE, BY_NAME["PAGEOUT"].value),)
    assert read_programs(TEN)[0].program.layout == (DATA_AREA,)


def test_generated_programs_come_back_as_the_same_text() -> None:
    """What of them can be said at all: two thousand programs, some hundreds of which can."""
    said = 0
    for index in range(2000):
        try:
            text = syzkaller_text(ProgramSource(3).program(index)).text
            again = read_programs(text)
        except SyzkallerError:
            continue
        assert syzkaller_text(again[0].program).text == text
        said += 1
    assert said > 20


def test_places_are_one_to_one() -> None:
    for page in (0, 1, 1023, 1024, 2047):
        at = ARENA_BASE + page * PAGE
        assert arena_address(data_address(at)) == at
    assert data_address(ARENA_BASE + 2047 * PAGE) == DATA + (DATA_PAGES - 1) * PAGE
    with pytest.raises(ValueError, match="middle of the data area"):
        arena_address(DATA + 1024 * PAGE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("madvise", "line 1: 'madvise' is no call"),
        ("", "there is no program in it"),
        ("# only a comment", "there is no program in it"),
        (f"madvise({VMA}", "line 1: .* is no call"),
        (f"madvise({VMA}, 0x4, 0x5)", "line 1: madvise has 3 arguments, not 4"),
        (f"madvise({VMA} 0x4)", "line 1: madvise: 0x4 where , must stand"),
        ("madvise(&(0x7f0000000000/r1)=nil, 0x0, 0x0)", "r1 where a hexadecimal number"),
        ("madvise(&(0x7f0000000000/0x1000)=nil, ~, 0x0)", "line 1: madvise: cannot read ' ?~"),
        ("madvise(" + "[" * 20 + ")", "more than 8 deep"),
        ("madvise(&(0x7f0000000000/0x1000)=nil,", "is no call"),
    ],
)
def test_what_is_no_text_of_syzkallers_says_where(text: str, said: str) -> None:
    with pytest.raises(SyzkallerError, match=said):
        read_programs(text)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("syz_open_dev$x(&(0x7f0000000000)='~\\x00', 1?)", "line 2: syz_open_dev.x: not supported"),
        ("socket(0x1, 0x2, 0x3)", "line 2: socket: not supported; these are: mmap, "),
        (f"madvise({VMA}, 0x4) (async)", "line 2: madvise .async.: only the property .fail_nth"),
        (f"madvise({VMA}, 0x4) (fail_nth: 0)", "line 2: madvise .fail_nth: 0.: only the"),
        (f"munmap({VMA}) (fail_nth: 1)", "line 2: munmap: allocations fail in madvise and"),
        ("madvise(&(0x7f0000500000/0x1000)=nil, 0x1000, 0x4)", "line 2: madvise: .*middle"),
        ("madvise(&(0x7f0000000000/0x1000000)=nil, 0x1000000, 0x4)", "goes over page 1024"),
        ("madvise(r5, 0x1000, 0x4)", "line 2: madvise: a place in memory must stand there"),
        (f"mmap({VMA}, 0x7, 0x32, 0xffffffffffffffff, 0x0)", "line 2: mmap: protection 0x7"),
        (f"mmap({VMA}, 0x3, 0x22, 0xffffffffffffffff, 0x0)", "line 2: mmap: flags 0x22"),
        (f"mmap({VMA}, 0x3, 0x32, r3, 0x0)", "line 2: mmap: only memory without a file"),
        (f"mremap({VMA}, 0x2000, 0x1, 0x0)", "line 2: mremap: flags 0x1"),
        ("process_madvise(r7, &AUTO=[], 0x0, 0x4, 0x0)", "r7 is no pidfd of the process"),
        ("process_madvise(0x3, &AUTO=[], 0x0, 0x4, 0x0)", "line 2: process_madvise: pidfd 3"),
        ("r1 = pidfd_open(0x1, 0x0)", "line 2: pidfd_open: only of what getpid"),
        ('write(0x1, &(0x7f0000000000)="01", 0x1)', "line 2: write: only as a write to a page"),
        ("madvise(&(0x7f0000000000/0x1000)=nil, @a=0x1, 0x4)", "a value that begins with @"),
    ],
)
def test_what_is_not_supported_names_line_and_call_or_is_left_out(line: str, said: str) -> None:
    text = f"madvise({VMA}, 0x4)\n{line}\n"
    with pytest.raises(NotSupported, match=said):
        read_programs(text)
    (one,) = read_programs(text, skip_unsupported=True)
    assert len(one.program.steps) == 1
    assert len(one.left_out) == 1


def test_more_steps_than_a_program_has_are_not_taken() -> None:
    text = f"madvise({VMA}, 0x4)\n" * 9
    with pytest.raises(NotSupported, match="line 9: madvise: a program has at most 8 steps"):
        read_programs(text)


def test_an_allocation_that_fails_is_kept_both_ways() -> None:
    text = (
        f"madvise({VMA}, 0xe) (fail_nth: 3)\n\n"
        f"madvise({VMA}, 0x4)\nr0 = getpid()\nr1 = pidfd_open(r0, 0x0)\n"
        "process_madvise(r1, &AUTO=[{&(0x7f0000000000), 0x1000}], 0x1, 0x14, 0x0) (fail_nth: 1)\n"
    )
    first, second = (one.program for one in read_programs(text))
    assert [fail_nth(step) for step in (*first.steps, *second.steps)] == [3, 0, 1]
    assert syzkaller_text(first).text == f"madvise({VMA}, 0xe) (fail_nth: 3)\n"
    assert syzkaller_text(second).text.endswith("0x0) (fail_nth: 1)\n")
    with pytest.raises(SyzkallerError, match="one call has an allocation that fails"):
        read_programs(f"madvise({VMA}, 0x4) (fail_nth: 1)\n" * 2)


def test_what_is_read_may_be_run() -> None:
    """Poisoning memory is for guests: the same rule as for files."""
    assert all(not validate(one.program) for one in read_programs(TEN))
    with pytest.raises(SyzkallerError, match="could poison memory of this machine"):
        read_programs(f"madvise({VMA}, 0x64)\n")
    with pytest.raises(SyzkallerError, match="no call is left"):
        read_programs("socket(0x1)\n", skip_unsupported=True)


LAYOUT = (Mapping(Kind.ANON, 0, 4),)
STORM = c.Madvise(page_address(0), PAGE, 4, signal=c.Signal(c.SignalHow.STORM))


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (Program(LAYOUT, (c.TouchPages(0, 1, write=False),)), "no way to read a page"),
        (Program(LAYOUT, (STORM,)), "it has no signals"),
        (Program(LAYOUT, (c.Fork(),)), r"fork\(\): no such call"),
        (Program(LAYOUT, (c.Madvise(page_address(0) + 1, PAGE, 4),)), "memory begins at a page"),
        (Program((Mapping(Kind.SECRETMEM, 0, 4),), ()), "only memory without a file"),
        (Program((Mapping(Kind.ANON, 0, 4, lock=Lock.LOCKED),), ()), "mlock.*no such call"),
        (Program(LAYOUT, (c.ProcessMadvise(4, (), FD_PIDFD_REMOTE),)), "have one process"),
        (Program(LAYOUT, (c.Madvise(page_address(1020), 8 * PAGE, 4),)), "over page 1024"),
    ],
)
def test_what_cannot_be_said_there_is_told(program: Program, said: str) -> None:
    with pytest.raises(NotSupported, match=said):
        syzkaller_text(program)
    assert len(syzkaller_text(program, skip_unsupported=True).left_out) == 1
