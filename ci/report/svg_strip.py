"""A strip as a drawing for a page: the pages of an address space as squares in rows, VMAs as
frames around them, brackets for what a call names. The terminal's is in strip.py.

Colours come from the page's style sheet, by class; every square also holds its character.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from markupsafe import Markup, escape

from ci.report.pictures import MEANINGS, UNMAPPED, Picture, area_name
from ci.report.strip import Span

PAGES_IN_ROW: Final = 32
ROWS_MAX: Final = 6  # of pages; what is left out is said, and the text drawing has it all
CELL: Final = 22  # pixels: a square and its share of the gap
MARGIN: Final = 64
LINE: Final = 15
FRAME: Final = 40  # the height of a picture's row, with the letters above it
CLASSES: Final = {
    ".": "absent", "w": "written", "z": "zeros", "r": "read", "f": "file", "p": "present",
    "L": "locked", "G": "guard", "s": "swapped", "#": "mixed", "!": "unreadable", "?": "free",
}  # fmt: skip


def svg_strip(
    pictures: Sequence[tuple[str, Picture]],
    spans: Sequence[Span],
    different: Collection[int],
    pages: int,
) -> Markup:
    """Drawings of the same pages, one under the other, as inline SVG elements."""
    rows = [
        (first, min(first + PAGES_IN_ROW, pages))
        for first in range(0, pages, PAGES_IN_ROW)
        if _is_seen(pictures, spans, first, min(first + PAGES_IN_ROW, pages))
    ]
    out = [_row(pictures, spans, different, first, after) for first, after in rows[:ROWS_MAX]]
    if len(rows) > ROWS_MAX:
        left = Markup('<p class="more">{} more rows of pages are in the text below.</p>')
        out.append(left.format(len(rows) - ROWS_MAX))
    return Markup("\n").join(out)


def _is_seen(
    pictures: Sequence[tuple[str, Picture]], spans: Sequence[Span], first: int, after: int
) -> bool:
    mapped = any(set(picture.cells[first:after]) - {UNMAPPED} for _, picture in pictures)
    return mapped or any(span.start < after and span.end > first for span in spans)


def _row(
    pictures: Sequence[tuple[str, Picture]],
    spans: Sequence[Span],
    different: Collection[int],
    first: int,
    after: int,
) -> Markup:
    inside = [span for span in spans if span.start < after and span.end > first]
    parts = [*_ruler(first, after)]
    top = LINE
    for span in inside:
        parts.append(_bracket(span, first, after, top))
        top += LINE
    for label, picture in pictures:
        parts += _picture(label, picture, first, after, different, top)
        top += FRAME
    width, height = MARGIN + (after - first) * CELL + 8, top + 8
    words = "; ".join(_words(label, picture, first, after) for label, picture in pictures)
    return Markup(
        '<svg class="strip" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" '
        'height="{}" xmlns="http://www.w3.org/2000/svg">{}</svg>'
    ).format(words, width, height, width, height, Markup("").join(parts))


def _words(label: str, picture: Picture, first: int, after: int) -> str:
    """What a drawing shows, for those who do not see it."""
    areas = [
        f"{area_name(i)} pages {max(area.start, first)} to {min(area.end, after) - 1}: "
        f"{' '.join(picture.cells[max(area.start, first) : min(area.end, after)])}"
        for i, area in enumerate(picture.areas)
        if area.start < after and area.end > first
    ]
    return f"{label}: {', '.join(areas) or 'nothing is mapped'}"


def _x(page: int, first: int) -> int:
    return MARGIN + (page - first) * CELL


def _ruler(first: int, after: int) -> Iterator[Markup]:
    yield _text(MARGIN - 10, LINE - 4, "page", "ruler end")
    for page in range(first, after, 4):
        yield _text(_x(page, first) + CELL // 2, LINE - 4, str(page), "ruler")


def _bracket(span: Span, first: int, after: int, top: int) -> Markup:
    left, right = _x(max(span.start, first), first) + 2, _x(min(span.end, after), first) - 2
    y = top + LINE - 5
    down = 5
    path = f"M{left} {y - down}V{y}H{right}V{y - down}"
    line = Markup('<path class="bracket" d="{}"/>').format(path)
    note = f" {span.note}" if span.note else ""
    label = _text(MARGIN - 10, y + 2, span.label, "label end")
    fits = right + 7 * len(note) < MARGIN + (after - first) * CELL
    return line + label + (_text(right + 6, y + 2, note.strip(), "label") if note and fits else "")


def _picture(
    label: str, picture: Picture, first: int, after: int, different: Collection[int], top: int
) -> Iterator[Markup]:
    yield _text(MARGIN - 10, top + 29, label, "label end")
    for index, area in enumerate(picture.areas):
        if area.start >= after or area.end <= first:
            continue
        start, end = max(area.start, first), min(area.end, after)
        yield Markup('<rect class="vma" x="{}" y="{}" width="{}" height="{}" rx="5"/>').format(
            _x(start, first) + 1, top + 13, (end - start) * CELL - 2, CELL + 2
        )
        if area.start >= first:
            yield _text(_x(start, first) + CELL // 2, top + 10, area_name(index), "name")
    for page in range(first, after):
        cell = picture.cells[page] if page < len(picture.cells) else UNMAPPED
        if cell != UNMAPPED:
            yield _cell(cell, page, _x(page, first), top + 16, page in different)


def _cell(cell: str, page: int, x: int, y: int, different: bool) -> Markup:
    kind = CLASSES.get(cell, "present") + (" different" if different else "")
    size = CELL - 6
    return Markup(
        '<g class="cell {}"><title>page {}: {}{}</title>'
        '<rect x="{}" y="{}" width="{}" height="{}" rx="3"/>'
        '<text x="{}" y="{}">{}</text></g>'
    ).format(
        kind, page, MEANINGS.get(cell, ("", ""))[0], ", not as the model has it" * different,
        x + 3, y, size, size, x + CELL // 2, y + 12, cell,
    )  # fmt: skip


def _text(x: int, y: int, words: str, kind: str) -> Markup:
    return Markup('<text class="{}" x="{}" y="{}">{}</text>').format(kind, x, y, escape(words))


def legend(cells: Collection[str]) -> list[tuple[str, str, str]]:
    """Character, class and meaning of every kind of square that was used."""
    return [
        (cell, CLASSES[cell], meaning) for cell, (meaning, _) in MEANINGS.items() if cell in cells
    ]
