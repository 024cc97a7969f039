"""The library: it builds, its example says what the README says, and programs can link it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conformance.target.executor_build import SOURCES

FOLDER = SOURCES / "libmadvise_ranges"

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None or shutil.which("make") is None,
    reason="no C compiler or no make on this machine",
)

PROGRAM = """
#include <errno.h>
#include <stdio.h>
#include <libmadvise_ranges.h>

int main(void)
{
	struct madvise_range range = { (void *)1, 4096, MADV_NORMAL };
	struct madvise_ranges_stats stats = { 0 };
	struct madvise_ranges_control control = {
		.version = MADVISE_RANGES_VERSION,
		.type = MADVISE_RANGE_SINGLE,
		.range = range,
		.stats = &stats,
	};

	long result;

	errno = 77;
	result = madvise_ranges(&control);
	printf("%ld %d %d ", result, errno, stats.err);
	control.range.addr = 0;
	errno = 77;
	result = madvise_ranges(&control);
	printf("%ld %d %lu ", result, errno, stats.nr_gaps);
	result = madvise_ranges((void *)8);
	printf("%ld %d\\n", result, errno);
	return 0;
}
"""


def make(*arguments: str) -> None:
    """Build, with every warning an error."""
    done = subprocess.run(
        ["make", "-C", str(FOLDER), *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, "MAKEFLAGS": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def output_of(program: Path) -> str:
    """What a program prints."""
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    make(f"O={folder}", f"DESTDIR={folder}/root", "PREFIX=/usr", "install")
    return folder


def test_example_prints_what_the_readme_shows(built: Path) -> None:
    printed = output_of(built / "example")
    assert printed.startswith("3 mappings with 10 pages advised, 1 with 4 skipped, gaps: 1\n")
    shown = "".join(f"    {line}\n" for line in printed.splitlines())
    assert shown in (FOLDER / "README.md").read_text(encoding="ascii")


def test_the_library_exports_one_name(built: Path) -> None:
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", built / "libmadvise_ranges.so"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert [line.split()[2] for line in listed.stdout.splitlines()] == ["madvise_ranges"]


@pytest.mark.parametrize("shared", [False, True])
def test_a_program_links_what_was_installed(built: Path, tmp_path: Path, shared: bool) -> None:
    usr = built / "root/usr"
    source = tmp_path / "program.c"
    source.write_text(PROGRAM, encoding="ascii")
    name = "-lmadvise_ranges" if shared else "-l:libmadvise_ranges.a"
    subprocess.run(
        ["cc", "-Wall", "-Werror", f"-I{usr}/include", str(source), "-o", str(tmp_path / "program"),
         f"-L{usr}/lib", name, f"-Wl,-rpath,{usr}/lib"],
        check=True,
    )  # fmt: skip
    # An unaligned address is EINVAL; the zero page is a gap and leaves errno alone; no control
    # struct is EFAULT.
    assert output_of(tmp_path / "program") == "-1 22 22 0 77 1 -1 14\n"
