"""The rules: each looks at one file and says where it is broken, and why that matters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from ci.tidy.functions import c_functions, python_functions

FILE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 70
CODE: Final = (".py", ".c", ".h", ".sh")
PROSE: Final = (".md", ".toml", ".txt", ".yml", ".rst")

VAGUE_NAMES: Final = frozenset(
    "util utils helper helpers common misc junk stuff tools lib base manager general".split()
)
# Headers that other rooms may include: both are generated, so they cannot drift.
SHARED_HEADERS: Final = frozenset({"madvise_abi.h", "wire.h"})
# Which files may import a driver library; tests may import any.
DRIVERS: Final = {
    "hypothesis": (
        "fuzz/generate/hypothesis_chooser.py",
        "fuzz/generate/hypothesis_reducer.py",
        "fuzz/guidance/stateful.py",
    ),
    "redis": ("fuzz/guidance/stateful.py",),
    "atheris": ("fuzz/guidance/atheris_loop.py",),
}


class Problem(NamedTuple):
    """One place where a rule is broken. line: counted from 1; 0 for the file as a whole."""

    line: int
    text: str


class Rule(NamedTuple):
    """A rule. suffixes: the files it looks at, by the end of their names; all of them if empty."""

    name: str
    suffixes: tuple[str, ...]
    check: Callable[[PurePosixPath, str], Iterator[Problem]]


def _file_length(path: PurePosixPath, text: str) -> Iterator[Problem]:
    lines = text.count("\n")
    if lines > FILE_LINES_MAX:
        yield Problem(0, f"{lines} lines, at most {FILE_LINES_MAX}: one reason to change per file")


def _function_length(path: PurePosixPath, text: str) -> Iterator[Problem]:
    find = python_functions if path.suffix == ".py" else c_functions
    for function in find(text):
        if function.lines > FUNCTION_LINES_MAX:
            yield Problem(
                function.first,
                f"{function.name}() has {function.lines} lines, at most {FUNCTION_LINES_MAX}",
            )


def _vague_name(path: PurePosixPath, text: str) -> Iterator[Problem]:
    for part in (*path.parts[:-1], path.stem):
        if part.lower() in VAGUE_NAMES:
            yield Problem(
                0, f"a room called {part!r} collects what belongs elsewhere: name its job"
            )


def _c_include(path: PurePosixPath, text: str) -> Iterator[Problem]:
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*"([^"]*)"', line)
        if found is None:
            continue
        target = PurePosixPath(found[1])
        if len(target.parts) > 1 and target.name not in SHARED_HEADERS:
            yield Problem(
                number, f"{found[1]}: C includes its own folder and the generated headers only"
            )


def _c_licence(path: PurePosixPath, text: str) -> Iterator[Problem]:
    first = text.partition("\n")[0]
    if "SPDX-License-Identifier: GPL-2.0-only" not in first:
        yield Problem(1, "the first line of a C file is // SPDX-License-Identifier: GPL-2.0-only")


_MACHINE_PATH = re.compile(r"(?<![\w.<>*])/(?:work|root|home|Users)/[\w.]")


def _machine_path(path: PurePosixPath, text: str) -> Iterator[Problem]:
    for number, line in enumerate(text.splitlines(), 1):
        found = _MACHINE_PATH.search(line)
        if found is not None:
            yield Problem(number, f"{found[0]!r} is a path of one person's machine")


_UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")


def _unfinished(path: PurePosixPath, text: str) -> Iterator[Problem]:
    for number, line in enumerate(text.splitlines(), 1):
        found = _UNFINISHED.search(line)
        if found is not None:
            yield Problem(
                number, f"{found[0]}: finish it, or say in words what is left out and why"
            )


_SUPPRESSION = re.compile(r"#\s*(type: ignore(?:\[[^\]]*\])?|noqa(?::\s*[A-Z0-9, ]+)?)(.*)")


def _suppression(path: PurePosixPath, text: str) -> Iterator[Problem]:
    for number, line in enumerate(text.splitlines(), 1):
        found = _SUPPRESSION.search(line)
        if found is not None and not re.match(r"\s*(?:#|--?)\s*\S.{7}", found[2]):
            yield Problem(number, f"'{found[1].strip()}' needs its reason: ...  # why it is right")


def _driver_import(path: PurePosixPath, text: str) -> Iterator[Problem]:
    if "tests" in path.parts or "cases" in path.parts:
        return
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r"\s*(?:import|from)\s+(\w+)", line)
        if found is not None and str(path) not in DRIVERS.get(found[1], (str(path),)):
            places = ", ".join(DRIVERS[found[1]])
            yield Problem(number, f"{found[1]} is imported in {places} and tests only")


def _whitespace(path: PurePosixPath, text: str) -> Iterator[Problem]:
    if text and not text.endswith("\n"):
        yield Problem(text.count("\n") + 1, "no newline at the end of the file")
    for number, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip():
            yield Problem(number, "white space at the end of the line")


RULES: Final = (
    Rule("file-length", CODE, _file_length),
    Rule("function-length", (".py", ".c", ".h"), _function_length),
    Rule("vague-name", CODE, _vague_name),
    Rule("c-include", (".c", ".h"), _c_include),
    Rule("c-licence", (".c", ".h"), _c_licence),
    Rule("machine-path", (*CODE, *PROSE, "Makefile", "run"), _machine_path),
    Rule("unfinished", (*CODE, *PROSE, "Makefile", "run"), _unfinished),
    Rule("suppression", (".py",), _suppression),
    Rule("driver-import", (".py",), _driver_import),
    Rule("whitespace", (*CODE, *PROSE, "Makefile", "run"), _whitespace),
)
