"""What a snapshot must show, as C: a function that looks and compares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from conformance.abi import vm_flags
from conformance.model.prediction import ExpectedSnapshot
from conformance.oracle.compare_effects import COMPARED_FLAGS, COMPARED_PAGE_BITS
from conformance.oracle.rules import page_rule, vma_rule
from conformance.program.content import TORN
from conformance.program.outcome import CONTENT_MASK, PAGE_READ
from conformance.program.places import page_address
from fuzz.findings import c_words as w

FILE_BIT: Final = 1 << 63


class Page(NamedTuple):
    """What one page must show. free: bits that are not compared; alternatives: as good as word."""

    word: int
    rule: str
    free: int
    alternatives: tuple[int, ...]


class Look(NamedTuple):
    """A snapshot. name: of the function. decided: the rule of the step's result. read_all: are
    pages read that are not present?"""

    name: str
    expected: ExpectedSnapshot
    step: object
    decided: str
    read_all: bool


def look_lines(look: Look) -> Iterator[str]:
    """The function. It tells what differs, and returns."""
    rows = list(rows_of(look))
    yield f"static void {look.name}(void)"
    yield "{"
    yield from vma_lines(look, row_array("pages", rows) if rows else ())
    if rows:
        yield f"\texpect_pages(pages, sizeof(pages) / sizeof(pages[0]), {int(look.read_all)});"
    yield "}"


def vma_lines(look: Look, declared: Iterable[str] = ()) -> Iterator[str]:
    """The look at VMAs. declared: what else is declared before it."""
    vmas = look.expected.vmas
    rule = w.quoted(vma_rule(look.step, look.expected.child, look.decided))
    if vmas:
        yield from vma_array("vmas", vmas)
    yield from declared
    if vmas or declared:
        yield ""
    arguments = "vmas, sizeof(vmas) / sizeof(vmas[0])" if vmas else "NULL, 0"
    yield f"\texpect_vmas({arguments}, {rule});"


def vma_array(name: str, vmas: Sequence[int]) -> Iterator[str]:
    """A list of VMAs."""
    yield f"\tstatic const struct vma {name}[] = {{"
    yield from _vma_lines(vmas)
    yield "\t};"


def row_array(name: str, rows: Iterable[str]) -> Iterator[str]:
    """Rows of pages."""
    yield f"\tstatic const struct row {name}[] = {{"
    yield from rows
    yield "\t};"


def _vma_lines(vmas: Sequence[int]) -> Iterator[str]:
    for at in range(0, len(vmas), 4):
        start, end, flags, pgoff = vmas[at : at + 4]
        file_page = pgoff & ~FILE_BIT if pgoff & FILE_BIT else -1
        words = w.quoted(vm_flags.names(flags & COMPARED_FLAGS))
        yield f"\t\t{{ {w.address(start)}, {w.address(end)}, {file_page}, {words} }},"


def rows_of(look: Look) -> Iterator[str]:
    """Pages that are alike in one row."""
    first = 0
    pages = [page_of(look, index) for index in range(len(look.expected.pages))]
    for index in range(1, len(pages) + 1):
        if index < len(pages) and pages[index] == _following(pages[first], index - first):
            continue
        yield from row_lines(first, index - first, pages[first])
        first = index


def page_of(look: Look, index: int) -> Page:
    """What a page of a look must show."""
    expected = look.expected
    mask = expected.page_masks.get(index, COMPARED_PAGE_BITS)
    rule = page_rule(look.step, expected.child, page_address(index), look.decided)
    word = expected.pages[index] & COMPARED_PAGE_BITS
    if not word & PAGE_READ:
        word &= ~CONTENT_MASK
    alternatives = expected.page_alternatives.get(index, ())
    return Page(word, rule, COMPARED_PAGE_BITS & ~mask, alternatives)


def _following(page: Page, distance: int) -> Page:
    """What a row that begins with this page says of a later one."""
    tag = page.word & CONTENT_MASK
    return page._replace(word=page.word + (distance if 0 < tag < TORN else 0))


def row_lines(first: int, pages: int, page: Page) -> Iterator[str]:
    """One row."""
    words = [
        f".first = {first}",
        f".pages = {pages}",
        f".word = {w.page_word(page.word)}",
        f".rule = {w.quoted(page.rule)}",
    ]
    if page.free:
        words.append(f".not_compared = {w.mask_word(page.free)}")
    if page.alternatives:
        spelled = ", ".join(w.page_word(word) for word in page.alternatives)
        words += [f".or = {{ {spelled} }}", f".ors = {len(page.alternatives)}"]
    yield from w.call_lines("{ ", words, " },", "\t\t")
