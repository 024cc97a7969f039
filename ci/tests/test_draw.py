"""The picture of a program: what is drawn, what is left out, and that differences stand out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ci.report.draw import arena_span, draw
from ci.report.pictures import MEANINGS, layout_picture, page_cell, snapshot_picture
from ci.report.strip import ASCII, MARGIN, UNICODE, pages_in_row
from conformance.abi.advice import ADVICES
from conformance.model.allowed import Unspecified
from conformance.model.predict import predict
from conformance.model.prediction import Prediction
from conformance.program import call as c
from conformance.program import control_struct as cs
from conformance.program import places as p
from conformance.program.kernel_facts import KernelFacts
from conformance.program.mapping import Backing, FileSlot, Kind, Lock, Mapping, Mark, Prot, Touch
from conformance.program.outcome import (
    PAGE_GUARD,
    PAGE_PRESENT,
    PAGE_READ,
    PAGE_SWAP,
    PAGE_UNREADABLE,
    Outcome,
    Snapshot,
    Status,
)
from conformance.program.program import Program
from conformance.program.wire import Observe
from fuzz.generate.programs import ProgramSource

FACTS = KernelFacts(release="drawn", advices=tuple(row.value for row in ADVICES))
PROGRAMS = st.builds(ProgramSource(1).program, st.integers(0, 1 << 32))
A, PAGE = p.ARENA_BASE, p.PAGE
DONTNEED, RANDOM = 4, 1
GAPPED = Program(
    (
        Mapping(Kind.ANON, 0, 4, touches=(Touch(0, 3),), marks=(Mark(1, 1, advice=102),)),
        Mapping(Kind.MEMFD, 5, 2, Prot.R, lock=Lock.LOCKED),
        Mapping(Kind.ANON, 7, 1, touches=(Touch(0, 1, False),)),
    ),
    (c.Madvise(A + 2 * PAGE, 4 * PAGE, RANDOM), c.Fork()),
    (FileSlot(Backing.MEMFD, 2),),
)


def predicted(program: Program) -> Prediction:
    return predict(program, FACTS, observe=int(Observe.EACH_STEP))


def observed(prediction: Prediction) -> Outcome:
    """An outcome that is exactly as predicted."""
    return Outcome(
        Status.DONE,
        tuple(prediction.results),
        snapshots=tuple(
            Snapshot(s.step, s.child, tuple(s.vmas), tuple(s.pages)) for s in prediction.snapshots
        ),
    )


def test_a_program_alone() -> None:
    assert (
        draw(GAPPED, width=80).plain
        == """\
layout
    file 0: memfd, 2 pages
     page   0       4
           ┌A──────┐ ┌B──┬C┐
   before  │w G w .│ │L L│r│
           └───────┘ └───┴─┘
    A  0..3  anon rw-, GUARD_INSTALL 1
    B  5..6  memfd 0 r-- locked
    C  7     anon rw-

step 1  madvise(arena+2p, 4p, RANDOM)
     page   0       4
    range      ╰───────╯

step 2  fork()

. not present   w written   r read   L locked in memory   G guard
"""
    )


def test_without_unicode() -> None:
    text = draw(GAPPED, predicted(GAPPED), width=80, ascii_only=True).plain
    assert text.isascii()
    assert "           +A------+ +B--+C+\n   before  |w G w .| |L L|r|\n" in text
    assert "    range      \\_______/\n" in text
    assert "->  -ENOMEM" in text


def test_what_agrees_is_drawn_once() -> None:
    prediction = predicted(GAPPED)
    text = draw(GAPPED, prediction, observed(prediction), width=80).plain
    assert text == draw(GAPPED, prediction, width=80).plain
    assert "model" not in text
    assert "different" not in text
    after = text[text.index("step 1") :]
    assert after.startswith("""\
step 1  madvise(arena+2p, 4p, RANDOM)  →  -ENOMEM
     page   0       4
    range      ╰───────╯
           ┌A──┬B──┐ ┌C┬D┬E┐
    after  │w G│w .│ │z│z│z│
           └───┴───┘ └─┴─┴─┘
    A  0..1  rd wr mr mw me ac gu
    B  2..3  rd wr mr mw me rr ac gu
    C  5     file page 0, rd mr mw me lo rr
    D  6     file page 1, rd mr mw me lo
    E  7     rd wr mr mw me ac
""")
    assert "    the child:\n" in after


def test_what_differs_is_drawn_twice_and_marked() -> None:
    prediction = predicted(GAPPED)
    outcome = observed(prediction)
    first = outcome.snapshots[0]
    pages = list(first.pages)
    pages[2] = PAGE_PRESENT | PAGE_READ
    worse = replace(first, pages=tuple(pages), vmas=first.vmas[:4] + first.vmas[8:])
    results = (*outcome.results[:-2], 0, 0)
    outcome = replace(outcome, results=results, snapshots=(worse, *outcome.snapshots[1:]))
    drawing = draw(GAPPED, prediction, outcome, width=80)
    text = drawing.plain
    assert "step 1  madvise(arena+2p, 4p, RANDOM)  →  model -ENOMEM, kernel 0\n" in text
    assert (
        """\
           ┌A──┬B──┐ ┌C┬D┬E┐
    model  │w G│w .│ │z│z│z│
           └───┴───┘ └─┴─┴─┘
           ┌A──┐     ┌B┬C┬D┐
   kernel  │w G│     │z│z│z│
           └───┘     └─┴─┴─┘
different       ^
"""
        in text
    )
    assert "    model only   B  2..3  rd wr mr mw me rr ac gu\n" in text
    loud = [
        drawing.plain[span.start : span.end] for span in drawing.spans if "red" in str(span.style)
    ]
    assert any("kernel 0" in piece for piece in loud)
    assert any("model only" in piece for piece in loud)


def test_a_result_that_is_one_of_several_is_no_difference() -> None:
    prediction = predicted(GAPPED)
    outcome = observed(prediction)
    prediction.unspecified[len(prediction.results) - 1] = Unspecified("nobody knows")
    text = draw(GAPPED, prediction, outcome, width=80).plain
    assert "fork()  →  model unspecified, kernel 0" in text


def test_a_program_that_cannot_run_is_drawn_without_its_steps_outcome() -> None:
    huge = Program((Mapping(Kind.HUGETLB, 0, 512),), (c.Madvise(A, 512 * PAGE, DONTNEED),))
    text = draw(huge, predicted(huge), width=80).plain
    assert "cannot run: it needs free huge pages" in text
    assert "→" not in text


def test_long_rows_are_cut_and_repetition_is_left_out() -> None:
    mapping = Mapping(Kind.ANON, 0, 2048, touches=(Touch(1000),))
    program = Program((mapping,), (c.Madvise(A + 40 * PAGE, 1900 * PAGE, DONTNEED),))
    for width in (80, 100, 120):
        text = draw(program, predicted(program), width=width).plain
        assert len(text.splitlines()) < 60
        assert max(map(len, text.splitlines())) <= width
        assert "⋮ the same to page" in text
        row = pages_in_row(width)
        assert f"     page   {1000 // row * row} " in text


def test_empty_rows_are_left_out() -> None:
    program = Program((Mapping(Kind.ANON, 700, 2),), (c.Madvise(A + 700 * PAGE, PAGE, RANDOM),))
    text = draw(program, width=80).plain
    assert text.count(" page   ") == 2
    assert " page   672 " in text


@pytest.mark.parametrize(
    ("step", "brackets"),
    [
        (c.Madvise(A + 8, PAGE, RANDOM), []),
        (c.Madvise(p.UNMAPPED, PAGE, RANDOM), []),
        (c.Madvise(A + PAGE, 1, RANDOM), ["    range    ╰─╯"]),
        (c.ProcessMadvise(0, (c.IoRange(A, PAGE), c.IoRange(A + PAGE, 2 * PAGE))),
         ["  range 1  ╰─╯", "  range 2    ╰───╯"]),
        (c.MadviseRanges(cs.ControlFields(cs.Multi((cs.Range(A, PAGE, DONTNEED),)))),
         ["  range 1  ╰─╯ DONTNEED"]),
        (c.Mremap(A, PAGE, 2 * PAGE, A + 4 * PAGE),
         ["     from  ╰─╯", "       to          ╰───╯"]),
        (c.TouchPages(2, 1, False), ["     read      ╰─╯"]),
        (c.Mmap(Mapping(Kind.ANON, 3, 1)), ["      new        ╰─╯"]),
    ],
)  # fmt: skip
def test_a_call_brackets_the_pages_it_names(step: c.Step, brackets: list[str]) -> None:
    text = draw(Program((Mapping(Kind.ANON, 0, 4),), (step,)), width=80).plain
    found = [line for line in text.splitlines() if "╰" in line]
    assert found == brackets


def test_a_note_finds_its_place_beside_the_bracket() -> None:
    program = Program(
        (Mapping(Kind.ANON, 0, 32),),
        tuple(
            c.MadviseRanges(cs.ControlFields(cs.Single(cs.Range(A + at * PAGE, n * PAGE, 24))))
            for at, n in ((0, 1), (31, 1), (1, 31))
        ),
    )  # DONTNEED_LOCKED
    found = [line for line in draw(program, width=80).plain.splitlines() if "╰" in line]
    assert found[0] == "  range 1  ╰─╯ DONTNEED_LOCKED"
    assert found[1].endswith(" DONTNEED_LOCKED ╰─╯")
    assert found[2].endswith("──╯")
    assert [line.index("╰") - MARGIN for line in found] == [0, 62, 2]


def test_spans_are_cut_to_the_arena() -> None:
    assert arena_span(0, p.ZONE_BASE, "x") == (0, p.ARENA_PAGES_MAX, "x", "")
    assert arena_span(A - PAGE, 2 * PAGE, "x") == (0, 1, "x", "")
    assert arena_span(p.ARENA_END_MAX, PAGE, "x") is None
    assert arena_span(A, 0, "x") is None


@pytest.mark.parametrize(
    ("word", "cell"),
    [
        (0, "."),
        (PAGE_PRESENT, "p"),
        (PAGE_PRESENT | PAGE_READ, "z"),
        (PAGE_PRESENT | PAGE_READ | 0x0001_0001, "w"),
        (PAGE_PRESENT | PAGE_READ | 0x8000_0001, "f"),
        (PAGE_PRESENT | PAGE_READ | 0xFFFF_FFFF, "#"),
        (PAGE_GUARD | PAGE_SWAP, "G"),
        (PAGE_SWAP, "s"),
        (PAGE_UNREADABLE, "!"),
    ],
)
def test_every_state_of_a_page_has_its_character(word: int, cell: str) -> None:
    assert page_cell(word) == cell
    assert cell in MEANINGS


def test_what_the_kernel_may_choose_is_a_question_mark() -> None:
    free = Program(
        (Mapping(Kind.ANON, 0, 2, touches=(Touch(0, 2),)),), (c.Madvise(A, PAGE, 8),)
    )  # FREE of the first page: as before, or zero
    snapshot = predicted(free).snapshots[0]
    assert snapshot_picture(snapshot, 2).cells == "?w"


@settings(deadline=None, max_examples=150)
@given(PROGRAMS, st.sampled_from((80, 100, 120)), st.booleans())
def test_any_program_can_be_drawn(program: Program, width: int, ascii_only: bool) -> None:
    prediction = predicted(program)
    outcome = None if prediction.skip else observed(prediction)
    text = draw(program, prediction, outcome, width=width, ascii_only=ascii_only).plain
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert not ascii_only or text.isascii()
    for number in range(len(program.steps)):
        assert sum(line.startswith(f"step {number + 1}  ") for line in lines) == 1


@settings(deadline=None, max_examples=150)
@given(PROGRAMS)
def test_a_cell_stands_exactly_where_the_layout_maps_a_page(program: Program) -> None:
    pages = program.arena_pages()
    cells = layout_picture(program, pages).cells
    mapped = {page for m in program.layout for page in range(m.at, m.at + m.pages)}
    assert {page for page in range(pages) if cells[page] != " "} == mapped
    assert set(cells) <= {*MEANINGS, " "}


def test_both_sets_of_lines_take_one_column_each() -> None:
    for lines in (UNICODE, ASCII):
        for piece in (*lines.corners, *lines.tees, lines.flat, lines.wall, *lines.bracket):
            assert len(piece) == 1
    assert MARGIN + 2 * pages_in_row(80) + 1 <= 80
