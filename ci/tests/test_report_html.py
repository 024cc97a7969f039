"""The page: whole, safe against what it quotes, the same in words as the other reports."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from urllib.parse import unquote

import msgspec
import pytest

from ci.report.html import html
from ci.report.page_matrix import Matrices
from ci.report.page_model import Page
from ci.report.result_tree import CaseResult, Cell, State, closed
from ci.tests.sample_run import sample_run, shown

VOID = {"meta", "link", "br", "input", "rect", "path"}


class Reader(HTMLParser):
    """Tags with their attributes, text, and whether every tag that opens is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def page() -> Reader:
    return Reader(html(sample_run()))


def test_it_is_well_formed(page: Reader) -> None:
    assert page.open == []
    ids = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert [ident for ident, count in ids.items() if count > 1] == []


def test_it_fetches_nothing() -> None:
    text = html(sample_run())
    assert re.findall(r"(?:src|href)=\"(?!#|data:,)[^\"]*", text) == []
    assert re.findall(r"url\(|@import|fetch\(|XMLHttp", text) == []
    assert "default-src 'none'" in text


def test_links_lead_somewhere(page: Reader) -> None:
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = {unquote(attributes["href"][1:]) for attributes in page.all("a")}
    assert links - ids == set()
    assert "rule/madvise-dontneed-content" in links


def test_what_is_quoted_stays_text(page: Reader) -> None:
    assert page.words.count("<script>alert(1)</script>") >= 2
    assert len(page.all("script")) == 2


def test_cells_cannot_end_their_script() -> None:
    hostile = Cell("DONTNEED/anon/whole", "conformant", "</script><script>alert(1)//")
    case = CaseResult("sweep.x", "host", State.PASS, cells=(hostile,))
    read = Reader(html(msgspec.structs.replace(sample_run(), cases=(case,))))
    assert len(read.all("script")) == 2


def test_it_says_what_the_run_came_to(page: Reader) -> None:
    assert "1 finding A kernel does what it must not" in page.words
    tiles = re.search(r"passed 3 .* failed 1 .* not judged 1 .* skipped 2 steps unspecified 2",
                      page.words)  # fmt: skip
    assert tiles is not None
    for case in sample_run().cases:
        assert case.id in page.words
    assert "host has no such call" in page.words


def test_a_finding_is_drawn_before_and_after(page: Reader) -> None:
    labels = [svg["aria-label"] for svg in page.all("svg") if svg.get("role") == "img"]
    assert labels[0] == "before: A pages 0 to 2: w w w"
    assert "model: A pages 0 to 2: w . w; kernel: A pages 0 to 2: w w w" in labels[1]
    assert "memory differs" in page.words
    assert 'call = "madvise"' in page.words


def test_tables_say_what_heads_what(page: Reader) -> None:
    heads = page.all("th")
    assert len(heads) > 100
    assert {head.get("scope") for head in heads} == {"row", "col"}
    assert all("aria-label" in each for _, each in page.tags if each.get("role") == "region")


def test_no_meaning_is_in_colour_alone(page: Reader) -> None:
    assert "✓ passed" in page.words
    assert "✗ failed" in page.words
    assert "different" not in page.words or "not as the model has it" in page.words


@pytest.mark.parametrize(
    ("cases", "unended", "title", "look"),
    [
        ([State.PASS], "", "All conformant", "good"),
        ([State.PASS], "it died", "Not complete", "broken"),
        ([State.PASS, State.ERROR], "", "1 not judged", "broken"),
        ([State.SKIP], "", "Nothing was run", "broken"),
        ([State.FAIL, State.ERROR], "it died", "1 finding", "bad"),
    ],
)
def test_only_a_whole_run_without_fault_is_green(
    cases: list[State], unended: str, title: str, look: str
) -> None:
    results = tuple(CaseResult(f"a.b{i}", "host", state) for i, state in enumerate(cases))
    run = msgspec.structs.replace(
        sample_run(), cases=results, unended=unended, targets={"host": {}}
    )
    head = Page(closed(run, [])).headline if not unended else Page(run).headline
    assert (head.title, head.look) == (title, look)


def test_what_was_not_run_is_listed() -> None:
    run = closed(msgspec.structs.replace(sample_run(), unended="it died"), [("walk.x", "host")])
    words = Reader(html(run)).words
    assert "1 cases were not run it died" in words
    assert "host walk.x" in words


def test_a_program_of_another_version_is_shown_as_its_file() -> None:
    old = msgspec.structs.replace(shown(), outcome=b"\xc1")
    case = CaseResult("a.b", "host", State.FAIL, message="x", shown=(old,))
    words = Reader(html(msgspec.structs.replace(sample_run(), cases=(case,)))).words
    assert "another version of madvet" in words
    assert 'call = "madvise"' in words


def test_squares_tell_the_whole_and_whether_places_differ() -> None:
    cells = (
        Cell("DONTNEED/anon/whole", "conformant", "0 [....]"),
        Cell("DONTNEED/anon/across-gap", "conformant", "ENOMEM [....]"),
        Cell("DONTNEED/locked/whole", "conformant", "EINVAL [LLLL]"),
        Cell("DONTNEED/locked/head", "conformant", "EPERM [LLLL]"),
        Cell("COLD/anon/whole", "known", "0 [ww]"),
        Cell("COLD/locked/whole", "skipped", ""),
        Cell("process_madvise/FREE/anon/whole", "divergence", "bytes [ww]"),
    )
    case = CaseResult("sweep.x", "host", State.FAIL, cells=cells)
    matrices = Matrices(msgspec.structs.replace(sample_run(), cases=(case,)))
    first, second = matrices.tables
    assert (first.surface, first.kinds) == ("madvise", ["anon", "locked"])
    rows = dict(first.rows)
    assert [(s.word, s.look, s.varies) for s in rows["DONTNEED"]] == [
        ("0", "done", False), ("EINVAL", "refused", True),
    ]  # fmt: skip
    assert [(s.word, s.look) for s in rows["COLD"]] == [("0", "known"), ("skipped", "none")]
    assert second.rows[0][1][0].word == "divergence"
    assert second.rows[0][1][0].look == "bad"
