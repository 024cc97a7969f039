"""A program that failed, drawn for a page: its layout, and what is mapped after each call as the
model has it and as the kernel did it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
from markupsafe import Markup

from ci.report.draw import call_spans, draw, pages_drawn
from ci.report.pictures import (
    Area,
    Picture,
    area_name,
    differing_pages,
    layout_picture,
    snapshot_picture,
)
from ci.report.result_tree import Shown
from ci.report.svg_strip import legend, svg_strip
from conformance.model.predict import predict
from conformance.model.prediction import ExpectedSnapshot, Prediction
from conformance.oracle.compare_effects import same_vmas
from conformance.oracle.explain import result_words
from conformance.program import call as c
from conformance.program.kernel_facts import KernelFacts
from conformance.program.outcome import Outcome, Snapshot
from conformance.program.program import Program
from conformance.program.step_words import step_words
from conformance.program.text import loads
from conformance.program.text_places import run_text
from conformance.program.text_table import ProgramTextError

STEPS_MAX: Final = 8  # drawn; the text has all
OLD: Final = "it was recorded by another version of madvet, which this one cannot draw"


class Part(NamedTuple):
    """One drawing under its heading. areas: letter, pages, properties, "" or who has it so."""

    heading: str
    result: str
    result_agrees: bool
    memory_agrees: bool
    drawing: Markup
    areas: list[tuple[str, str, str, str]]


class Drawing(NamedTuple):
    """A program. toml: its file. text: the drawing in characters. reason: why there is none."""

    toml: str
    parts: list[Part]
    legend: list[tuple[str, str, str]]
    text: str
    left_out: int = 0
    reason: str = ""


def drawing(shown: Shown, facts: dict[str, Any]) -> Drawing:
    """The drawing. What cannot be read any more is shown as its file alone."""
    try:
        program = loads(shown.program.encode(), "the program", guest=True).program
        outcome = msgspec.msgpack.decode(shown.outcome, type=Outcome) if shown.outcome else None
        known = msgspec.convert(facts, KernelFacts) if facts else None
    except (ProgramTextError, msgspec.MsgspecError):
        return Drawing(shown.program, [], [], "", reason=OLD)
    prediction = None
    if outcome is not None and known is not None:
        prediction = predict(program, known, outside=outcome.outside, observe=shown.observe)
    sheet = _Sheet(program, prediction, outcome)
    parts = list(sheet.parts())
    return Drawing(
        shown.program, parts, legend(sheet.cells),
        draw(program, prediction, outcome).plain, max(0, len(program.steps) - STEPS_MAX),
    )  # fmt: skip


class _Sheet:
    def __init__(
        self, program: Program, prediction: Prediction | None, outcome: Outcome | None
    ) -> None:
        self.program = program
        self.prediction = prediction
        self.outcome = outcome
        self.pages = pages_drawn(program)
        self.cells: set[str] = set()

    def parts(self) -> Iterator[Part]:
        """Before, then after each call."""
        before = layout_picture(self.program, self.pages)
        self.cells.update(before.cells)
        strip = svg_strip([("before", before)], [], frozenset(), self.pages)
        yield Part("Layout", "", True, True, strip, _areas([("", before)]))
        setup = len(self.program.setup())
        for number, step in enumerate(self.program.steps[:STEPS_MAX]):
            yield self._step(number, setup + number, step)

    def _step(self, number: int, index: int, step: c.Step) -> Part:
        result, agrees = self._result(index, step)
        pictures, different, same = self._pictures(index)
        for _, picture in pictures:
            self.cells.update(picture.cells)
        spans = call_spans(step)
        strip = svg_strip(pictures, spans, different, self.pages) if pictures or spans else Markup()
        heading = f"Step {number + 1}: {step_words(step)}"
        return Part(heading, result, agrees, same, strip, _areas(pictures))

    def _pictures(self, index: int) -> tuple[list[tuple[str, Picture]], frozenset[int], bool]:
        """The pictures after a step, the pages that differ, and whether all is as expected."""
        expected = self._expected(index)
        seen = self._seen(index)
        if expected is None or seen is None:
            one = expected if seen is None else seen
            return ([] if one is None else [("after", snapshot_picture(one, self.pages))],
                    frozenset(), True)  # fmt: skip
        kernel = snapshot_picture(seen, self.pages)
        different = differing_pages(expected, seen)
        if not different and same_vmas(expected.vmas, seen.vmas):
            return [("after", kernel)], frozenset(), True
        model = snapshot_picture(expected, self.pages)
        return [("model", model), ("kernel", kernel)], different, False

    def _expected(self, index: int) -> ExpectedSnapshot | None:
        snapshots = self.prediction.snapshots if self.prediction is not None else []
        return next((s for s in snapshots if s.step == index and not s.child), None)

    def _seen(self, index: int) -> Snapshot | None:
        snapshots = self.outcome.snapshots if self.outcome is not None else ()
        return next((s for s in snapshots if s.step == index and not s.child), None)

    def _result(self, index: int, step: c.Step) -> tuple[str, bool]:
        allowed: list[str] = []
        if self.prediction is not None and index < len(self.prediction.results):
            values = [self.prediction.results[index]]
            values += [other.value for other in self.prediction.alternatives.get(index, ())]
            allowed = [result_words(step, value) for value in values]
            if index in self.prediction.unspecified:
                allowed = ["unspecified"]
        if self.outcome is None or index >= len(self.outcome.results):
            return " or ".join(allowed), True
        seen = result_words(step, self.outcome.results[index])
        if not allowed or seen in allowed:
            return seen, True
        return f"model {' or '.join(allowed)}, kernel {seen}", allowed == ["unspecified"]


def _areas(pictures: list[tuple[str, Picture]]) -> list[tuple[str, str, str, str]]:
    """The VMAs of one picture; of two, those that both have once and the others by whose."""
    if len(pictures) < 2:
        return [_area(i, a, "") for _, p in pictures for i, a in enumerate(p.areas)]
    (_, model), (_, kernel) = pictures
    both = set(model.areas) & set(kernel.areas)
    out = [_area(i, a, "") for i, a in enumerate(kernel.areas) if a in both]
    for who, picture in pictures:
        out += [_area(i, a, who) for i, a in enumerate(picture.areas) if a not in both]
    return out


def _area(index: int, area: Area, who: str) -> tuple[str, str, str, str]:
    return area_name(index), run_text(area.start, area.end - area.start), area.words, who
