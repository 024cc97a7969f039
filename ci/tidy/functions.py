"""Where functions begin and end, in Python and in C."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple


class Function(NamedTuple):
    """A function. first: its first line, counted from 1; lines: how many it has."""

    name: str
    first: int
    lines: int


def python_functions(text: str) -> Iterator[Function]:
    """Functions and methods; a decorator does not count. Raises SyntaxError."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function(
                node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1
            )


def c_functions(text: str) -> Iterator[Function]:
    """Functions in kernel style: the body's braces stand alone, or at a line's end, in the first
    column's declaration; the closing one is the first column's `}`."""
    head, name = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line[:1].isalpha() and "(" in line and not line.rstrip().endswith(";"):
            found = re.search(r"(\w+)\s*\(", line)
            head, name = number, found[1] if found else ""
        elif line.startswith("}") and name:
            yield Function(name, head, number - head + 1)
            name = ""
