"""Each rule has a sample that trips it and one that it lets pass."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from ci.tidy.functions import c_functions
from ci.tidy.ratchet import over_and_stale
from ci.tidy.rules import RULES
from ci.tidy.tidy import check_text, tidy

ROOT = Path(__file__).resolve().parents[2]
SPDX = "// SPDX-License-Identifier: GPL-2.0-only\n"
LONG_C = SPDX + "int long_one(int a)\n{\n" + "\ta++;\n" * 70 + "\treturn a;\n}\n"
SHORT_C = SPDX + "struct pair { int a; };\n\nint one(int a)\n{\n\treturn a;\n}\n"

# rule, file, text that breaks it, text that does not
SAMPLES = [
    ("file-length", "fuzz/a.py", "x = 1\n" * 401, "x = 1\n" * 400),
    (
        "function-length",
        "fuzz/a.py",
        "def f():\n" + "    g()\n" * 70,
        "def f():\n" + "    g()\n" * 69,
    ),
    ("function-length", "kernel/a.c", LONG_C, SHORT_C),
    ("c-include", "kernel/a.c", SPDX + '#include "../mm/b.h"\n', SPDX + '#include "b.h"\n'),
    (
        "c-include",
        "conformance/target/executor/a.c",
        SPDX + '#include "../../oracle/b.h"\n',
        SPDX + '#include <sys/mman.h>\n#include "generated/madvise_abi.h"\n',
    ),
    ("c-licence", "kernel/a.h", "#pragma once\n", SPDX + "#pragma once\n"),
    ("machine-path", "docs/a.md", "cd /" + "home/anna/madvet\n", "cd /home\n/proc/self/maps\n"),
    ("machine-path", "Makefile", "x:\n\tls /" + "root/x\n", "x:\n\tls /sys/kernel\n"),
    ("unfinished", "fuzz/a.py", "x = 1  # TO" + "DO later\n", "todo_list = []\n"),
    (
        "suppression",
        "fuzz/a.py",
        "x = f()  # type: " + "ignore[misc]\n",
        "x = f()  # type: " + "ignore[misc]  # f is untyped until 2.0\n",
    ),
    ("suppression", "fuzz/a.py", "import a  # no" + "qa: F401\n", "import a  # about noise\n"),
    (
        "driver-import",
        "fuzz/engine/a.py",
        "from hypothesis import given\n",
        "from fuzz.generate import chooser\n",
    ),
    ("whitespace", "docs/a.md", "# Title \n", "# Title\n"),
    ("whitespace", "docs/a.md", "# Title", "# Title\n"),
]
NAMES = [("fuzz/utils.py", True), ("fuzz/common/walk.py", True), ("fuzz/walk.py", False)]


def broken_rules(path: str, text: str) -> set[str]:
    return {rule for rule, _ in check_text(PurePosixPath(path), text)}


@pytest.mark.parametrize(("rule", "path", "bad", "good"), SAMPLES)
def test_a_rule_finds_its_sample_and_lets_the_other_pass(
    rule: str, path: str, bad: str, good: str
) -> None:
    assert rule in broken_rules(path, bad)
    assert rule not in broken_rules(path, good)


@pytest.mark.parametrize(("path", "vague"), NAMES)
def test_vague_names_are_found_in_files_and_folders(path: str, vague: bool) -> None:
    assert ("vague-name" in broken_rules(path, "")) is vague


def test_every_rule_has_a_sample() -> None:
    assert {rule.name for rule in RULES} == {sample[0] for sample in SAMPLES} | {"vague-name"}


def test_drivers_are_allowed_at_their_edge_and_in_tests() -> None:
    text = "import hypothesis\n"
    assert "driver-import" not in broken_rules("fuzz/generate/hypothesis_chooser.py", text)
    assert "driver-import" not in broken_rules("fuzz/tests/test_a.py", text)


def test_c_functions_are_found_with_their_length() -> None:
    assert [(f.name, f.first, f.lines) for f in c_functions(LONG_C)] == [("long_one", 2, 74)]
    assert [f.name for f in c_functions(SHORT_C)] == ["one"]


def test_an_exception_covers_exactly_what_it_says() -> None:
    pair = ("file-length", "a.py")
    assert over_and_stale({pair: 1}, {}) == ({pair}, [])
    assert over_and_stale({pair: 1}, {pair: 1}) == (set(), [])
    assert over_and_stale({pair: 2}, {pair: 1}) == ({pair}, [])
    over, stale = over_and_stale({}, {pair: 1})
    assert not over
    assert len(stale) == 1


def test_a_broken_file_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\nFIX" + "ME\n")
    (tmp_path / "docs" / "b.md").write_bytes(b"\xff\n")
    lines = tidy(tmp_path)
    assert [line.split(": ")[0] for line in lines] == ["docs/a.md:2", "docs/b.md"]


def test_the_tree_is_tidy() -> None:
    assert tidy(ROOT) == []
