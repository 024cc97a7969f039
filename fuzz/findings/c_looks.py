"""What a snapshot must show, as C: a function that looks and compares."""

from __future__ import annotations

from collections.abc import Iterator
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


class _Page(NamedTuple):
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
    expected = look.expected
    rule = w.quoted(vma_rule(look.step, expected.child, look.decided))
    yield f"static void {look.name}(void)"
    yield "{"
    rows = list(_rows(look))
    if expected.vmas:
        yield "\tstatic const struct vma vmas[] = {"
        yield from _vma_lines(expected.vmas)
        yield "\t};"
    if rows:
        yield "\tstatic const struct row pages[] = {"
        yield from rows
        yield "\t};"
    yield ""
    arguments = "vmas, sizeof(vmas) / sizeof(vmas[0])" if expected.vmas else "NULL, 0"
    yield f"\texpect_vmas({arguments}, {rule});"
    if rows:
        yield f"\texpect_pages(pages, sizeof(pages) / sizeof(pages[0]), {int(look.read_all)});"
    yield "}"


def _vma_lines(vmas: list[int]) -> Iterator[str]:
    for at in range(0, len(vmas), 4):
        start, end, flags, pgoff = vmas[at : at + 4]
        file_page = pgoff & ~FILE_BIT if pgoff & FILE_BIT else -1
        words = w.quoted(vm_flags.names(flags & COMPARED_FLAGS))
        yield f"\t\t{{ {w.address(start)}, {w.address(end)}, {file_page}, {words} }},"


def _rows(look: Look) -> Iterator[str]:
    """Pages that are alike in one row."""
    first = 0
    pages = [_page(look, index) for index in range(len(look.expected.pages))]
    for index in range(1, len(pages) + 1):
        if index < len(pages) and pages[index] == _following(pages[first], index - first):
            continue
        yield from _row(first, index - first, pages[first])
        first = index


def _page(look: Look, index: int) -> _Page:
    expected = look.expected
    mask = expected.page_masks.get(index, COMPARED_PAGE_BITS)
    rule = page_rule(look.step, expected.child, page_address(index), look.decided)
    word = expected.pages[index] & COMPARED_PAGE_BITS
    if not word & PAGE_READ:
        word &= ~CONTENT_MASK
    alternatives = expected.page_alternatives.get(index, ())
    return _Page(word, rule, COMPARED_PAGE_BITS & ~mask, alternatives)


def _following(page: _Page, distance: int) -> _Page:
    """What a row that begins with this page says of a later one."""
    tag = page.word & CONTENT_MASK
    return page._replace(word=page.word + (distance if 0 < tag < TORN else 0))


def _row(first: int, pages: int, page: _Page) -> Iterator[str]:
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
