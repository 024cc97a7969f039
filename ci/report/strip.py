"""A strip: the pages of an address space in a row of cells, two columns a page, edges of VMAs
as walls between them; and the brackets that show which pages a call names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

from rich.text import Text

from ci.report.pictures import MEANINGS, UNMAPPED, Picture, area_name

MARGIN: Final = 11  # columns left of the first page
RULER_STEP: Final = 4  # pages between two numbers of the ruler
ROW_STEP: Final = 8  # pages in a row are a multiple of it
DIFFERENT: Final = "bold white on red"


class Lines(NamedTuple):
    """The characters that lines are drawn with."""

    corners: tuple[str, str, str, str]  # upper left, upper right, lower left, lower right
    tees: tuple[str, str]  # where two areas touch: upper, lower
    flat: str
    wall: str
    bracket: tuple[str, str, str, str]  # left end, line, right end, goes on beyond the row
    more: str


UNICODE: Final = Lines(("┌", "┐", "└", "┘"), ("┬", "┴"), "─", "│", ("╰", "─", "╯", "╌"), "⋮")
ASCII: Final = Lines(("+", "+", "+", "+"), ("+", "+"), "-", "|", ("\\", "_", "/", "_"), ":")


class Span(NamedTuple):
    """Arena pages [start, end) that a call names, and what stands before and behind the
    bracket."""

    start: int
    end: int
    label: str
    note: str = ""


def pages_in_row(width: int) -> int:
    """How many pages fit a terminal of `width` columns."""
    return max(ROW_STEP, (width - MARGIN - 1) // 2 // ROW_STEP * ROW_STEP)


def strip_rows(
    pictures: Sequence[tuple[str, Picture]],
    spans: Sequence[Span],
    different: Collection[int],
    pages: int,
    width: int,
    lines: Lines,
) -> Iterator[Text]:
    """The lines of any pictures of the same pages, row by row, one under the other.

    Each picture has a label for the margin. Rows with nothing mapped and no bracket are left
    out, and so are rows that repeat the row above; a line says so.
    """
    step = pages_in_row(width)
    before: tuple[object, ...] | None = None
    skipped = 0
    for first in range(0, pages, step):
        after = min(first + step, pages)
        look = _row_look(pictures, spans, different, first, after)
        if look is None or look == before:
            skipped += look is not None
            continue
        if skipped:
            yield _same(first - 1, lines)
        skipped, before = 0, look
        yield Text(_ruler(first, after), style="dim")
        for span in spans:
            yield from _bracket(span, first, after, width, lines)
        for label, picture in pictures:
            yield from _row(label, picture, first, after, different, lines)
        if different and any(first <= page < after for page in different):
            marks = "".join(
                " ^" if page in different else "  " for page in range(first, after)
            ).rstrip()
            yield Text(f"{'different':<{MARGIN - 1}} {marks}", style="bold red")
    if skipped:
        yield _same(pages - 1, lines)


def _same(last: int, lines: Lines) -> Text:
    return Text(f"{'':<{MARGIN}}{lines.more} the same to page {last}", style="dim")


def _row_look(
    pictures: Sequence[tuple[str, Picture]],
    spans: Sequence[Span],
    different: Collection[int],
    first: int,
    after: int,
) -> tuple[object, ...] | None:
    """What can be seen in a row, wherever it is; None for nothing at all."""
    cells = tuple(picture.cells[first:after] for _, picture in pictures)
    inside = tuple(span for span in spans if span.start < after and span.end > first)
    if not inside and all(set(row) <= {UNMAPPED} for row in cells):
        return None
    edges = tuple(
        edge - first
        for _, picture in pictures
        for area in picture.areas
        for edge in (area.start, area.end)
        if first <= edge <= after and not (edge == area.start == after)
    )
    ends = tuple((max(span.start - first, -1), min(span.end - first, after - first + 1))
                 for span in inside)  # fmt: skip
    return cells, edges, ends, tuple(page - first for page in different if first <= page < after)


def _ruler(first: int, after: int) -> str:
    numbers = "".join(
        f"{page:<{2 * RULER_STEP}}" for page in range(first, after, RULER_STEP)
    ).rstrip()
    return f"{'page':>{MARGIN - 2}}   {numbers}"


def _bracket(span: Span, first: int, after: int, width: int, lines: Lines) -> Iterator[Text]:
    """The bracket under the ruler for the part of a span that lies in this row; its note stands
    behind it, or before it at the right edge, or nowhere: the call itself says it, too."""
    if span.start >= after or span.end <= first:
        return
    left, line, right, beyond = lines.bracket
    start, end = max(span.start, first), min(span.end, after)
    text = line * (2 * (end - start) - 1)
    text = (left if start == span.start else beyond) + text
    text += right if end == span.end else beyond
    before = "  " * (start - first)
    if MARGIN + len(before) + len(text) + 1 + len(span.note) <= width:
        text = f"{text} {span.note}".rstrip()
    elif len(span.note) < len(before):
        before = f"{span.note:>{len(before) - 1}} "
    yield Text(f"{span.label:>{MARGIN - 2}}  {before}{text}", style="bold")


def _row(
    label: str,
    picture: Picture,
    first: int,
    after: int,
    different: Collection[int],
    lines: Lines,
) -> Iterator[Text]:
    """Upper edges with the letters of areas, cells between walls, lower edges."""
    if set(picture.cells[first:after]) <= {UNMAPPED}:
        yield Text(f"{label:>{MARGIN - 2}}  nothing is mapped here", style="dim")
        return
    upper, lower, walls = _edges(picture, first, after, lines)
    yield Text(f"{'':<{MARGIN}}{upper}".rstrip(), style="dim")
    row = Text(f"{label:>{MARGIN - 2}}  ")
    for page in range(first, after):
        cell = picture.cells[page] if page < len(picture.cells) else UNMAPPED
        row.append(walls[page - first], style="dim")
        style = DIFFERENT if page in different else MEANINGS.get(cell, ("", ""))[1]
        row.append(cell, style=style)
    row.append(walls[after - first], style="dim")
    row.rstrip()
    yield row
    yield Text(f"{'':<{MARGIN}}{lower}".rstrip(), style="dim")


def _edges(picture: Picture, first: int, after: int, lines: Lines) -> tuple[str, str, list[str]]:
    """The line above the cells, the line below, and what stands before and after each cell."""
    size = 2 * (after - first) + 1
    upper, lower = [" "] * size, [" "] * size
    walls = [" "] * (after - first + 1)
    starts = {area.start for area in picture.areas}
    ends = {area.end for area in picture.areas}
    for index, area in enumerate(picture.areas):
        if area.start >= after or area.end <= first:
            continue
        begin, stop = 2 * (max(area.start, first) - first), 2 * (min(area.end, after) - first)
        upper[begin : stop + 1] = lower[begin : stop + 1] = [lines.flat] * (stop - begin + 1)
        if area.start >= first:
            upper[begin + 1] = area_name(index)
    for page in range(first, after + 1):
        opens, closes = page in starts and page < after, page in ends and page > first
        if not opens and not closes:
            continue
        at = 2 * (page - first)
        walls[page - first] = lines.wall
        if opens and closes:
            upper[at], lower[at] = lines.tees
        else:
            upper[at] = lines.corners[1 if closes else 0]
            lower[at] = lines.corners[3 if closes else 2]
    return "".join(upper), "".join(lower), walls
