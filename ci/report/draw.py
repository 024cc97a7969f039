"""A program as a picture for a terminal: the layout, then each call with the pages it names,
and what is mapped after it, as the model has it and as a target saw it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Final

from rich.text import Text

from ci.report.pictures import (
    MEANINGS,
    Picture,
    area_lines,
    differing_pages,
    layout_picture,
    snapshot_picture,
)
from ci.report.strip import ASCII, UNICODE, Lines, Span, strip_rows
from conformance.model.prediction import ExpectedSnapshot, Prediction
from conformance.oracle.compare_effects import same_vmas
from conformance.oracle.explain import result_words
from conformance.program import call as c
from conformance.program import control_struct as cs
from conformance.program.outcome import Outcome, Snapshot
from conformance.program.places import ARENA_BASE, ARENA_PAGES_MAX, PAGE, page_address
from conformance.program.program import Program, Rights
from conformance.program.reach import spanned
from conformance.program.step_words import step_words
from conformance.program.text_places import advice_word

WIDTH_USUAL: Final = 100  # columns
SPANS_MAX: Final = 8  # brackets of one call
PAGES_BEYOND: Final = 4  # unmapped pages drawn behind the last mapping, for calls that name them
INDENT: Final = "    "

Snapshots = dict[tuple[int, bool], Snapshot | ExpectedSnapshot]


def draw(
    program: Program,
    prediction: Prediction | None = None,
    outcome: Outcome | None = None,
    *,
    width: int = WIDTH_USUAL,
    ascii_only: bool = False,
) -> Text:
    """The picture of a program; `.plain` of it is without colours.

    prediction, outcome: what is drawn after the calls, as far as they hold snapshots (of every
    step, if made with Observe.EACH_STEP). Where both are there and agree, one row is drawn.
    """
    sheet = _Sheet(program, prediction, outcome, width, ASCII if ascii_only else UNICODE)
    out = Text("\n").join(sheet.lines())
    out.append("\n")
    return out


class _Sheet:
    """One drawing under way: what was drawn last is not drawn again."""

    def __init__(
        self,
        program: Program,
        prediction: Prediction | None,
        outcome: Outcome | None,
        width: int,
        lines: Lines,
    ) -> None:
        self.program = program
        self.prediction = prediction
        self.outcome = outcome
        self.width = width
        self.line_set = lines
        self.setup = len(program.setup())
        self.pages = pages_drawn(program)
        self.areas: list[str] = []  # as they were listed last
        self.cells: set[str] = set()  # used so far: the legend explains these

    def lines(self) -> Iterator[Text]:
        """Everything, top to bottom."""
        yield from self._layout()
        expected = _by_step(self.prediction.snapshots if self.prediction is not None else ())
        seen = _by_step(self.outcome.snapshots if self.outcome is not None else ())
        for number, step in enumerate(self.program.steps):
            index = self.setup + number
            yield Text("")
            yield from self._call(number, step)
            spans = call_spans(step)
            key = (index, False)
            if key in expected or key in seen:
                yield from self._state("after", expected.get(key), seen.get(key), spans)
            elif spans:
                yield from self._strip([], spans, frozenset())
            key = (index, True)
            if key in expected or key in seen:
                who = "the child:" if isinstance(step, c.Fork) else "the other process:"
                yield Text(f"{INDENT}{who}")
                yield from self._state("", expected.get(key), seen.get(key), [])
        yield Text("")
        yield from self._legend()

    def _layout(self) -> Iterator[Text]:
        picture = layout_picture(self.program, self.pages)
        files = [
            f"file {i}: {slot.backing.value}, {slot.pages} pages"
            + (", sealed against new writers" if slot.sealed_write else "")
            for i, slot in enumerate(self.program.files)
        ]
        program = self.program
        where = ", in a process of its own" if program.whole else ""
        if program.rights is not Rights.ALL:
            where += f", rights of the calls: {program.rights.value}"
        yield Text("layout" + where, "bold")
        for file in files:
            yield Text(INDENT + file)
        yield from self._strip([("before", picture)], [], frozenset())
        yield from self._areas(area_lines(picture.areas))
        if self.prediction is not None and self.prediction.skip:
            yield from self._folded(f"cannot run: it needs {self.prediction.skip}", "bold")
            self.prediction = self.outcome = None  # neither says anything of the steps
        if self.outcome is not None and self.outcome.reason:
            yield from self._folded(f"was not run: {self.outcome.reason}", "bold")

    def _call(self, number: int, step: c.Step) -> Iterator[Text]:
        head = f"step {number + 1}"
        *above, last = self._folded(f"{head}  {step_words(step)}")
        result = self._result(self.setup + number, step)
        lines = [*above, last]
        if len(last) + len(result) > self.width:
            lines.append(Text(INDENT))
        lines[0].stylize("bold", 0, len(head))
        lines[-1].append_text(result)
        yield from lines

    def _folded(self, text: str, style: str = "") -> list[Text]:
        """A text in lines that fit."""
        folded = wrap(text, self.width, subsequent_indent=2 * INDENT, break_on_hyphens=False)
        return [Text(line, style) for line in folded]

    def _result(self, index: int, step: c.Step) -> Text:
        arrow = "  ->  " if self.line_set is ASCII else "  →  "
        words = []
        if self.prediction is not None and index < len(self.prediction.results):
            allowed = [self.prediction.results[index]]
            allowed += [other.value for other in self.prediction.alternatives.get(index, ())]
            words.append(" or ".join(result_words(step, value) for value in allowed))
            if index in self.prediction.unspecified:
                words[0] = "unspecified"
        if self.outcome is not None and index < len(self.outcome.results):
            result = self.outcome.results[index]
            words.append(result_words(step, result))
            if len(words) == 2 and words[1] in words[0].split(" or "):
                del words[0]
        if not words:
            return Text("")
        if len(words) == 1:
            return Text(arrow + words[0], "green")
        differs = words[0] != "unspecified"
        return Text(f"{arrow}model {words[0]}, kernel {words[1]}", "bold red" if differs else "")

    def _state(
        self,
        label: str,
        expected: Snapshot | ExpectedSnapshot | None,
        seen: Snapshot | ExpectedSnapshot | None,
        spans: list[Span],
    ) -> Iterator[Text]:
        """One row for both sides where they agree, else one each and what differs."""
        if not isinstance(expected, ExpectedSnapshot) or not isinstance(seen, Snapshot):
            one = seen if expected is None else expected
            assert one is not None
            picture = snapshot_picture(one, self.pages)
            yield from self._strip([(label, picture)], spans, frozenset())
            yield from self._areas(area_lines(picture.areas))
            return
        model = snapshot_picture(expected, self.pages)
        kernel = snapshot_picture(seen, self.pages)
        pages = differing_pages(expected, seen)
        if not pages and same_vmas(expected.vmas, seen.vmas):
            yield from self._strip([(label, kernel)], spans, frozenset())
            yield from self._areas(area_lines(kernel.areas))
            return
        yield from self._strip([("model", model), ("kernel", kernel)], spans, pages)
        yield from self._both_areas(area_lines(model.areas), area_lines(kernel.areas))

    def _strip(
        self, pictures: Sequence[tuple[str, Picture]], spans: list[Span], pages: frozenset[int]
    ) -> Iterator[Text]:
        for _, picture in pictures:
            self.cells.update(picture.cells)
        yield from strip_rows(pictures, spans, pages, self.pages, self.width, self.line_set)

    def _areas(self, lines: list[str]) -> Iterator[Text]:
        if lines != self.areas:
            for line in lines:
                yield from self._folded(INDENT + line)
        self.areas = lines

    def _both_areas(self, model: list[str], kernel: list[str]) -> Iterator[Text]:
        self.areas = kernel
        for line in kernel:
            if line in model:
                yield from self._folded(INDENT + line)
        for who, lines, others in (("model", model, kernel), ("kernel", kernel, model)):
            for line in lines:
                if line not in others:
                    yield from self._folded(f"{INDENT}{who + ' only':<13}{line}", "bold red")

    def _legend(self) -> Iterator[Text]:
        """What the characters mean that were used, in lines that fit."""
        line = Text("")
        for cell, (meaning, style) in MEANINGS.items():
            if cell not in self.cells:
                continue
            if line and len(line) + len(meaning) + 5 > self.width:
                yield line
                line = Text("")
            line.append("   " if line else "")
            line.append(cell, style)
            line.append(f" {meaning}")
        yield line


def _by_step(snapshots: Sequence[Snapshot] | Sequence[ExpectedSnapshot]) -> Snapshots:
    return {(snapshot.step, snapshot.child): snapshot for snapshot in snapshots}


def pages_drawn(program: Program) -> int:
    """All that is ever mapped, and a little more where calls name pages behind it."""
    mapped = program.arena_pages()
    named = max((span.end for step in program.steps for span in call_spans(step)), default=0)
    return min(max(mapped, min(named, mapped + PAGES_BEYOND)), ARENA_PAGES_MAX)


def call_spans(step: c.Step) -> list[Span]:
    """The arena pages that a call names, each run with a label; at most SPANS_MAX."""
    out = []
    for start, length, label, note in _named(step)[:SPANS_MAX]:
        span = arena_span(start, length, label, note)
        if span is not None:
            out.append(span)
    return out


def _named(step: c.Step) -> list[tuple[int, int, str, str]]:
    """Every range that a step names: start, length, label, and what stands behind its bracket."""
    if isinstance(step, c.Madvise | c.Munmap | c.Mprotect):
        return [(step.start, step.length, "range", "")]
    if isinstance(step, c.ProcessMadvise):
        return [(r.start, r.length, f"range {i}", "") for i, r in enumerate(step.vec, 1)]
    if isinstance(step, c.MadviseRanges):
        return [
            (r.start, r.length, f"range {i}", str(advice_word(r.advice)))
            for i, r in enumerate(_ranges(step.control), 1)
        ]
    if isinstance(step, c.Mmap):
        return [(page_address(step.mapping.at), step.mapping.pages * PAGE, "new", "")]
    if isinstance(step, c.Mremap):
        to = step.start if step.target is None else step.target
        return [(step.start, step.old_length, "from", ""), (to, step.new_length, "to", "")]
    if isinstance(step, c.TouchPages):
        how = "write" if step.write else "read"
        return [(page_address(step.page), step.pages * PAGE, how, "")]
    return []


def _ranges(control: cs.Control) -> tuple[cs.Range, ...]:
    if isinstance(control, cs.ControlBytes):
        return control.ranges
    if isinstance(control.arm, cs.Single):
        return (control.arm.range,)
    return control.arm.ranges if isinstance(control.arm, cs.Multi) else ()


def arena_span(start: int, length: int, label: str, note: str = "") -> Span | None:
    """The arena pages of a range, or None if it has none or the kernel refuses it."""
    covered = spanned(start, length)
    if covered is None:
        return None
    first = max((covered[0] - ARENA_BASE) // PAGE, 0)
    after = min((covered[1] - ARENA_BASE) // PAGE, ARENA_PAGES_MAX)
    return Span(first, after, label, note) if first < after else None
