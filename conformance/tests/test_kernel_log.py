"""Kernel logs: every sample of corpus/console gets its titles, and no log makes the reader fail.

A sample begins with "TITLE: ..." for each report in it, in order (or with "NO REPORT"), "FATAL:
yes" when the last of them ends the kernel, "CORRUPTED: yes" when it is cut short.
"""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.oracle.kernel_said import kind_of, title_of
from conformance.oracle.verdict import VerdictKind
from conformance.program.outcome import CUT_SHORT
from conformance.target import kernel_log
from conformance.target.kernel_log import (
    EXCERPT_LINES_MAX,
    LOST,
    REPORTS_MAX,
    SILENT,
    find_reports,
    made_report,
)
from conformance.target.kernel_log_formats import FORMATS

FOLDER = Path(__file__).parents[2] / "corpus" / "console"
SAMPLES = sorted(FOLDER.glob("*.txt"))
KEYS = {"TITLE", "FATAL", "CORRUPTED"}


class Sample(NamedTuple):
    titles: list[str]
    fatal: bool
    corrupted: bool
    log: str


def read(path: Path) -> Sample:
    head, _, log = path.read_text().partition("\n\n")
    if head == "NO REPORT":
        return Sample([], False, False, log)
    pairs = [line.partition(": ") for line in head.splitlines()]
    assert {key for key, _, _ in pairs} <= KEYS, path
    titles = [value for key, _, value in pairs if key == "TITLE"]
    assert titles, path
    return Sample(titles, ("FATAL", ": ", "yes") in pairs, ("CORRUPTED", ": ", "yes") in pairs, log)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_gets_its_titles(path: Path) -> None:
    sample = read(path)
    reports = find_reports(sample.log)
    assert [report.title for report in reports] == sample.titles
    if reports:
        *before, last = reports
        assert not any(report.fatal for report in before)
        assert last.fatal == sample.fatal
        assert (last.excerpt.splitlines()[0] == CUT_SHORT) == sample.corrupted
        assert last.log.splitlines()[0] == last.title


def test_every_format_has_a_sample_and_names_differ() -> None:
    seen = {report.format for path in SAMPLES for report in find_reports(read(path).log)}
    names = [row.name for row in FORMATS]
    assert len(set(names)) == len(names)
    assert set(names) - seen == set()


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_title_holds_nothing_that_differs_between_two_runs(path: Path) -> None:
    for report in find_reports(read(path).log):
        assert not re.search(r"0x|[0-9a-f]{8}|\+|\.(part|isra|constprop|cold)|/\d", report.title)
        assert "{" not in report.title


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_time_stamps_and_the_ends_of_lines_change_no_title(path: Path) -> None:
    sample = read(path)
    bare = re.sub(r"^\[ *[0-9.]+\] ?", "", sample.log, flags=re.MULTILINE)
    with_caller = re.sub(r"^(\[ *[0-9.]+\])", r"<4>\1[   T71]", sample.log, flags=re.MULTILINE)
    for text in (bare, with_caller, sample.log.replace("\n", "\r\n"), sample.log * 1 + "\n\n"):
        assert [report.title for report in find_reports(text)] == sample.titles


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_log_cut_anywhere_behind_its_first_line_still_gives_a_report(path: Path) -> None:
    sample = read(path)
    lines = sample.log.splitlines()
    first = next((i for i in range(len(lines)) if find_reports("\n".join(lines[: i + 1]))), None)
    if first is None:
        assert not sample.titles
        return
    (whole, *_) = find_reports(sample.log)
    for end in range(first + 1, len(lines)):
        (report, *_) = find_reports("\n".join(lines[:end]))
        short = report.excerpt.splitlines()[0] == CUT_SHORT
        assert report.title == whole.title or short, "another title, and not called cut short"


def test_a_panic_that_follows_belongs_to_its_report_and_one_that_does_not_is_its_own() -> None:
    first = "BUG: Bad rss-counter state mm:00000000a9c1f7b2 type:MM_ANONPAGES val:1\n"
    (report,) = find_reports(first + "Kernel panic - not syncing: kernel: panic_on_warn set ...\n")
    assert report.fatal
    assert "panic_on_warn" in report.excerpt
    (alone,) = find_reports("Kernel panic - not syncing: Fatal exception\n")
    assert (alone.title, alone.fatal) == ("kernel panic: Fatal exception", True)
    trace = "Call Trace:\n madvise_ranges_walk+0x1/0x2\n"
    both = find_reports(
        f"BUG: scheduling while atomic: a/1/0x2\n{trace}Kernel panic - not syncing: No memory\n"
    )
    assert [report.title for report in both] == [
        "BUG: scheduling while atomic in madvise_ranges_walk",
        "kernel panic: No memory",
    ]


def test_guesses_on_a_stack_count_only_where_nothing_is_sure() -> None:
    head = "BUG: scheduling while atomic: executor/71/0x00000002\nCall Trace:\n"
    guesses = (
        " [<600a3bb6>] ? never_called+0x0/0x100\n [<6031d2aa>] ? madvise_ranges_walk+0x2a/0x900\n"
    )
    (guessed,) = find_reports(head + guesses)
    assert guessed.title.endswith(" in madvise_ranges_walk")
    (known,) = find_reports(head + guesses + " [<6031e000>] sys_madvise_ranges+0x9/0x40\n")
    assert known.title.endswith(" in sys_madvise_ranges")


def test_where_every_function_is_machinery_the_first_is_named() -> None:
    (report,) = find_reports(
        "BUG: KASAN: slab-out-of-bounds in memcpy+0x1/0x2\n"
        "Read of size 8 at addr ffff88800a1b2c40 by task executor/71\n"
        "Call Trace:\n dump_stack_lvl+0x1/0x2\n memcpy+0x1/0x2\n"
    )
    assert report.title == "KASAN: slab-out-of-bounds Read in memcpy"


def test_what_a_guest_did_not_say_is_reported_with_the_end_of_its_console() -> None:
    console = "".join(f"[    1.{i:06d}] line {i}\n" for i in range(1000))
    for title in (SILENT, LOST):
        report = made_report(title, console)
        lines = report.log.splitlines()
        assert (lines[0], lines[-1], report.fatal) == (title, "line 999", True)
        assert len(lines) == EXCERPT_LINES_MAX + 1
    assert made_report(LOST, "").log == LOST


def test_a_log_that_never_ends_is_bounded() -> None:
    one = "WARNING: mm/madvise.c:1 at f+0x1/0x2, CPU#0: x/1\nCall Trace:\n f+0x1/0x2\n"
    reports = find_reports((one + "noise\n" * 1000) * (2 * REPORTS_MAX))
    assert len(reports) == REPORTS_MAX
    assert max(len(report.excerpt.splitlines()) for report in reports) <= EXCERPT_LINES_MAX + 1
    assert all(len(line) <= kernel_log.LINE_CHARACTERS_MAX for line in find_reports(
        "BUG: Bad rss-counter state mm:1 " + "x" * 100_000)[0].excerpt.splitlines())  # fmt: skip


FRAGMENTS = sorted({line for path in SAMPLES for line in read(path).log.splitlines()})


@given(st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=40)), max_size=30))
def test_any_text_is_read_and_gives_plain_titles(lines: list[str]) -> None:
    for report in find_reports("\n".join(lines)):
        assert report.title
        assert report.title.isprintable()
        assert len(report.title) <= kernel_log.TITLE_CHARACTERS_MAX
        assert len(report.excerpt.splitlines()) <= EXCERPT_LINES_MAX + 1


HANGS = {"hung-task", "rcu-stall", "soft-lockup", "hard-lockup", "workqueue"}
LEAKS = {"leak", "kmemleak", "kmemleak-object"}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_oracle_knows_the_titles_of_hangs_and_leaks(path: Path) -> None:
    for report in find_reports(read(path).log):
        kind = VerdictKind.HANG if report.format in HANGS else VerdictKind.CRASH
        kind = VerdictKind.LEAK if report.format in LEAKS else kind
        assert kind_of(report.title) is kind
        assert title_of(report.log) == report.title


def test_the_oracle_knows_what_a_target_says_of_a_silent_guest() -> None:
    for title in (SILENT, LOST):
        assert kind_of(title_of(made_report(title, "").log)) is VerdictKind.HANG
