"""A run as one page for a browser: everything is in it, nothing is fetched from anywhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ci.report.page_model import WORDS, Page
from ci.report.result_tree import RunResult, State

FOLDER: Final = Path(__file__).parent / "page"
_MARKS: Final = {
    State.PASS: "\N{CHECK MARK}",
    State.FAIL: "\N{BALLOT X}",
    State.SKIP: "\N{EN DASH}",
    State.ERROR: "!",
}


def html(run: RunResult) -> str:
    """The page."""
    page = Page(run)
    cells = {"strings": page.matrices.strings, "details": page.matrices.details}
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            run=run,
            State=State,
            words=WORDS,
            marks=_MARKS,
            style=Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
            script=Markup((FOLDER / "page.js").read_text(encoding="utf-8")),
            cells=_script_json(cells),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["time"] = _time
    environment.filters["number"] = _number
    return environment


def _script_json(value: Any) -> Markup:
    """JSON that no text in it can end the script element of."""
    text = msgspec.json.encode(value).decode()
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))


def _time(seconds: float) -> str:
    if seconds < 0.0995:
        return f"{seconds * 1000:.1f} ms" if seconds else "0"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _number(value: int) -> str:
    return f"{value:,}"
