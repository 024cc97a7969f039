"""Looks at every file of the tree and prints what breaks a rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from ci.tidy.ratchet import over_and_stale
from ci.tidy.rules import RULES, Problem

FOLDERS: Final = (".ci", "ci", "conformance", "corpus", "docs", "fuzz", "kernel")
SKIPPED: Final = frozenset({"__pycache__", "build"})


def check_text(path: PurePosixPath, text: str) -> Iterator[tuple[str, Problem]]:
    """Every problem of one file, each with the name of its rule."""
    for rule in RULES:
        if not rule.suffixes or path.name.endswith(rule.suffixes):
            for problem in rule.check(path, text):
                yield rule.name, problem


def tidy(root: Path) -> list[str]:
    """One line for each problem of the tree below `root`, as file:line: rule: text."""
    lines: list[tuple[tuple[str, str], str]] = []
    for path in _files(root):
        name = path.relative_to(root)
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            lines.append((("encoding", str(name)), f"{name}: encoding: not UTF-8"))
            continue
        for rule, problem in check_text(PurePosixPath(name), text):
            where = f"{name}:{problem.line}" if problem.line else str(name)
            lines.append(((rule, str(name)), f"{where}: {rule}: {problem.text}"))
    over, stale = over_and_stale(Counter(pair for pair, _ in lines))
    return [line for pair, line in lines if pair in over] + stale


def _files(root: Path) -> Iterator[Path]:
    """Files at the top of the checkout and in its folders; caches and links are not ours."""
    yield from sorted(path for path in root.iterdir() if path.is_file())
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            inside = path.relative_to(root).parts[1:-1]
            skipped = any(part in SKIPPED or part.startswith(".") for part in inside)
            if path.is_file() and not path.is_symlink() and not skipped:
                yield path
