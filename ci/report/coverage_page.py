"""Coverage as one page for a browser: every line of the files that matter, and what was missed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ci.report.coverage_lines import FileCoverage, Line, State, share_of

FOLDER: Final = Path(__file__).parent / "coverage"
INSERTED: Final = ".madvet-inserted/kernel_digest"
OURS: Final = Path(__file__).resolve().parents[2]  # where kernel/ lies


class Heading(NamedTuple):
    """What was run. seeds, edges: of a guided campaign."""

    target: str
    release: str
    engine: str
    seed: int
    programs: int
    seconds: float
    seeds: int
    edges: int


class _Row(NamedTuple):
    number: int
    text: str
    state: State
    times: str
    title: str


class _Shown(NamedTuple):
    file: FileCoverage
    rows: list[_Row]
    missed: list[tuple[str, list[Line]]]  # by function
    unreachable: list[tuple[str, str, int]]  # function, why, lines
    text_is_there: bool


def coverage_page(heading: Heading, files: Sequence[FileCoverage], digest: str = "") -> str:
    """The page. Source text is read now, from where the kernel was built, unless another call than
    the one with this digest was put in there since; "": whichever it is."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    reached, reachable = share_of(files)
    return environment.get_template("coverage.html.j2").render(
        heading=heading, shown=[_shown(file, digest) for file in files], State=State,
        reached=reached, reachable=reachable,
        style=Markup((FOLDER / "coverage.css").read_text(encoding="utf-8")),
    )  # fmt: skip


def _shown(file: FileCoverage, digest: str) -> _Shown:
    text = _text(file, digest)
    last = max([len(text), *file.lines])
    rows = []
    for number in range(1, last + 1):
        line = file.lines.get(number)
        words = text[number - 1] if number <= len(text) else ""
        if line is None:
            if words or text:
                rows.append(_Row(number, words, State.NONE, "", ""))
            continue
        count = short(line.count) if line.count else ""
        rows.append(_Row(number, words, line.state, count, line.why or line.function))
    missed: dict[str, list[Line]] = {}
    unreachable: dict[tuple[str, str], int] = {}
    for line in sorted(file.lines.values(), key=lambda line: line.number):
        if line.state is State.MISSED:
            missed.setdefault(line.function, []).append(line)
        elif line.state is State.UNREACHABLE:
            key = (line.function, line.why)
            unreachable[key] = unreachable.get(key, 0) + 1
    why = [(function, reason, lines) for (function, reason), lines in unreachable.items()]
    return _Shown(file, rows, list(missed.items()), why, bool(text))


def _text(file: FileCoverage, digest: str) -> list[str]:
    """The file's lines; none where the tree is gone or is another one by now."""
    ours = OURS / file.name  # the call itself lies in this tree, and the image was made from it
    path = ours if ours.is_file() else Path(file.path)
    try:
        if path is not ours and digest and digest != _inserted(path.parents[1]):
            return []
        text = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, IndexError):
        return []
    return text if len(text) >= max(file.lines) else []


def _inserted(tree: Path) -> str:
    """Which call is in a tree now; see ci/kernels/trees.py."""
    return (tree / INSERTED).read_text(encoding="utf-8").strip()


def short(count: int) -> str:
    """1234567 -> "1.2M": a column of counts that all have the same width."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.1f}{unit}" if count < 10 * size else f"{count // size}{unit}"
    return str(count)
