"""The page of what was reached: from an image and counts, by line, without a lie."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ci.report.coverage_lines import (
    SHOWN,
    Reason,
    State,
    by_line,
    read_reasons,
    share_of,
)
from ci.report.coverage_page import Heading, coverage_page, short
from ci.report.coverage_sites import CoverageError, Frame, Site, read_sites

PROGRAM = """
void __attribute__((no_sanitize_coverage)) __sanitizer_cov_trace_pc(void) {}
static inline __attribute__((always_inline)) int helper(int x)
{
	return x > 3 ? x * 7 : x + 1;
}
int main(int count, char **arguments)
{
	if (count > 2)
		return helper(count);
	return arguments[0][0];
}
"""
HEADING = Heading("uml", "7.3.4-x", "guided", 7, 1000, 60.0, 12, 345)
REASON = Reason("mm/madvise.c", "named", "only prctl() gets there", ("uml",))


def build(folder: Path, *flags: str) -> Path:
    if shutil.which("gcc") is None or shutil.which("addr2line") is None:
        pytest.skip("no gcc, or no addr2line, on this machine")
    source, image = folder / "madvise.c", folder / "image"
    source.write_text(PROGRAM, encoding="ascii")
    subprocess.run(["gcc", "-no-pie", "-o", str(image), str(source), *flags], check=True)
    return image


def test_sites_of_an_image_are_found_with_their_lines(tmp_path: Path) -> None:
    sites = read_sites(build(tmp_path, "-O1", "-g1", "-fsanitize-coverage=trace-pc"))
    listing = subprocess.run(
        ["objdump", "-d", str(tmp_path / "image")], capture_output=True, text=True, check=True
    ).stdout
    calls = [line for line in listing.splitlines() if "call" in line and "cov_trace_pc>" in line]
    assert len(sites) == len(calls) > 3
    assert {site.address - 5 for site in sites} == {int(c.split(":")[0], 16) for c in calls}
    assert any(len(site.frames) == 2 for site in sites)  # in line: both places are told
    assert {frame.line for site in sites for frame in site.frames} >= {5, 9}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("-g1",), "nothing in .* is traced"),
        (("-fsanitize-coverage=trace-pc",), "does not say which line"),
    ],
)
def test_an_image_without_it_is_told(tmp_path: Path, flags: tuple[str, ...], words: str) -> None:
    with pytest.raises(CoverageError, match=words):
        read_sites(build(tmp_path, *flags))


def test_a_compressed_image_is_told(tmp_path: Path) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(b"MZ and more")
    with pytest.raises(CoverageError, match=r"no ELF file.*madvet kernels build uml"):
        read_sites(image)


def site(address: int, line: int, function: str = "f", path: str = "/t/mm/madvise.c") -> Site:
    return Site(address, (Frame("inner", "/t/include/x.h", 3), Frame(function, path, line)))


SITES = (
    site(16, 10), site(32, 10), site(48, 11), site(64, 20, "named"), site(80, 24, "named"),
    site(96, 5, "g", "/t/mm/vma.c"), site(112, 1, "h", "/t/mm/slab.c"),
)  # fmt: skip


def test_a_line_counts_its_busiest_block_and_only_shown_files_count() -> None:
    madvise, vma = by_line(SITES, {16: 3, 32: 9, 64: 1})
    assert (madvise.name, vma.name) == ("mm/madvise.c", "mm/vma.c")
    assert madvise.lines[10].count == 9
    assert [madvise.lines[n].state for n in (10, 11, 20)] == [
        State.REACHED, State.MISSED, State.REACHED,
    ]  # fmt: skip
    assert vma.share == 0
    assert share_of([madvise, vma]) == (2, 4)


def test_what_is_out_of_reach_is_not_asked_for_but_reaching_it_counts() -> None:
    (madvise, _) = by_line(SITES, {16: 1}, [REASON])
    assert madvise.number(State.UNREACHABLE) == 2
    assert madvise.reachable == 2
    (madvise, _) = by_line(SITES, {16: 1, 80: 1}, [REASON])
    assert madvise.lines[24].state is State.REACHED
    part = Reason("mm/madvise.c", "named", "why", ("uml",), ((4, 9),))
    (madvise, _) = by_line(SITES, {}, [part])
    assert [madvise.lines[n].state for n in (20, 24)] == [State.MISSED, State.UNREACHABLE]


def test_the_list_of_what_is_out_of_reach_can_be_read(tmp_path: Path) -> None:
    names = {name for _, name in SHOWN}
    assert all(reason.file in names and reason.reason for reason in read_reasons("uml"))
    bad = tmp_path / "unreachable.toml"
    bad.write_text('format = 1\n[[unreachable]]\nfile = "mm/vma.c"\n', encoding="ascii")
    with pytest.raises(CoverageError, match=r"unreachable\.toml"):
        read_reasons("uml", bad)


def test_the_page_needs_nothing_and_shows_the_text_as_text(tmp_path: Path) -> None:
    source = tmp_path / "mm" / "madvise.c"
    source.parent.mkdir()
    source.write_text("".join(f"line {n} <b>&\n" for n in range(1, 30)), encoding="ascii")
    sites = [site(16, 10, path=str(source)), site(48, 11, path=str(source))]
    files = by_line(sites, {16: 12345})
    page = coverage_page(HEADING, files)
    assert "http" not in page
    assert "line 10 &lt;b&gt;&amp;" in page
    assert "<b>&" not in page
    assert 'class="reached"' in page
    assert "50.0%" in page
    assert ">12k<" in page


def test_a_tree_with_another_call_in_it_is_not_shown(tmp_path: Path) -> None:
    source = tmp_path / "mm" / "madvise.c"
    (tmp_path / ".madvet-inserted").mkdir()
    (tmp_path / ".madvet-inserted" / "kernel_digest").write_text("abc\n", encoding="ascii")
    source.parent.mkdir()
    source.write_text("secret\n" * 30, encoding="ascii")
    files = by_line([site(16, 10, path=str(source))], {})
    assert "secret" in coverage_page(HEADING, files, "abc")
    assert "secret" not in coverage_page(HEADING, files, "abd")


def test_counts_have_one_width() -> None:
    assert [short(n) for n in (7, 999, 1000, 12345, 1_200_000, 3 * 10**9)] == [
        "7", "999", "1.0k", "12k", "1.2M", "3.0G",
    ]  # fmt: skip
