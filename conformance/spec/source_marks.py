"""What sources say of requirements: cite() and met() calls, marks of cases, reasons for a choice.

Sources are read, not run. An argument that is no constant is followed: through names, tables,
loops and functions of the same module, to the strings that it can be.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

CITES: Final = frozenset({"cite", "met"})
CHOICES: Final = frozenset({"why", "reasons", "free_peeks"})  # tables of reasons, by page or peek
MARK: Final = "requirement"

_Found = dict[str, tuple[str, ...]]


def cited(paths: Iterable[Path]) -> _Found:
    """Ids in cite() and met() calls, with the lines."""
    return _gather((p, _Module(p).cites()) for p in paths)


def chosen(paths: Iterable[Path]) -> _Found:
    """Reasons that the model gives where a kernel may choose, with the lines."""
    return _gather((p, _Module(p).choices()) for p in paths)


def marked(paths: Iterable[Path]) -> _Found:
    """Ids that cases are marked with, with the cases."""
    out: dict[str, list[str]] = {}
    for path in paths:
        for function in _functions(ast.parse(path.read_text(encoding="utf-8"))):
            for ident in _marks(function):
                out.setdefault(ident, []).append(f"{path.name}::{function.name}")
    return {ident: tuple(cases) for ident, cases in out.items()}


def _marks(function: ast.FunctionDef) -> Iterator[str]:
    """Of its decorators, and of single sets of parameters in them; each once."""
    seen: set[str] = set()
    for decorator in function.decorator_list:
        for node in ast.walk(decorator):
            if isinstance(node, ast.Call) and _called(node) == MARK:
                yield from (ident for ident in _constants(node) if ident not in seen)
                seen.update(_constants(node))


def _gather(found: Iterable[tuple[Path, Iterator[tuple[str, int]]]]) -> _Found:
    out: dict[str, list[str]] = {}
    for path, pairs in found:
        for ident, line in pairs:
            out.setdefault(ident, []).append(f"{path.name}:{line}")
    return {ident: tuple(places) for ident, places in out.items()}


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _called(call: ast.Call) -> str:
    """The last word of what is called."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _constants(call: ast.Call) -> Iterator[str]:
    for argument in call.args:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value


class _Module:
    """One module, and what each of its names may stand for."""

    def __init__(self, path: Path) -> None:
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.meaning: dict[str, list[ast.expr]] = {}
        for node in ast.walk(self.tree):
            for name, value in _bound(node):
                self.meaning.setdefault(name, []).append(value)

    def cites(self) -> Iterator[tuple[str, int]]:
        """Id and line of each cite() and met()."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and _called(node) in CITES and node.args:
                for ident in self.strings(node.args[0]):
                    yield ident, node.lineno

    def choices(self) -> Iterator[tuple[str, int]]:
        """Reason and line of each assignment to a table of reasons."""
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Assign):
                continue
            for target in node.targets:
                table = target.value if isinstance(target, ast.Subscript) else None
                if isinstance(table, ast.Attribute) and table.attr in CHOICES:
                    for reason in self.strings(node.value):
                        yield reason, node.lineno

    def strings(self, value: ast.expr) -> set[str]:
        """Every string that an expression may be."""
        return set(self._strings(value, set()))

    def _strings(self, value: ast.expr, seen: set[str]) -> Iterator[str]:
        if isinstance(value, ast.Constant):
            if isinstance(value.value, str) and value.value:
                yield value.value
        elif isinstance(value, ast.IfExp):
            yield from self._strings(value.body, seen)
            yield from self._strings(value.orelse, seen)
        elif isinstance(value, ast.BoolOp | ast.Tuple | ast.List | ast.Set):
            for part in value.values if isinstance(value, ast.BoolOp) else value.elts:
                yield from self._strings(part, seen)
        elif isinstance(value, ast.Dict):
            for part in value.values:
                yield from self._strings(part, seen)
        elif isinstance(value, ast.Subscript):
            yield from self._strings(value.value, seen)
        elif isinstance(value, ast.Call):
            yield from self._strings(value.func, seen)
        elif isinstance(value, ast.Name) and value.id not in seen:
            seen.add(value.id)
            for meant in self.meaning.get(value.id, ()):
                yield from self._strings(meant, seen)


def _bound(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names that a statement gives a meaning, and what they then may be: of a function, what it
    returns; of the variable of a loop, what it loops over."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        if isinstance(node.target, ast.Name):
            yield node.target.id, node.value
    elif isinstance(node, ast.For) and isinstance(node.target, ast.Name):
        yield node.target.id, node.iter
    elif isinstance(node, ast.FunctionDef):
        for part in ast.walk(node):
            if isinstance(part, ast.Return) and part.value is not None:
                yield node.name, part.value
