"""The benchmark's figures, as a table for people and as JSON for machines."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from typing import Final

from rich.table import Table

from ci.report.figure import Figure

MARKS: Final = {True: "[green]met[/]", False: "[bold red]MISSED[/]", None: ""}


def table(figures: Sequence[Figure], title: str) -> Table:
    """One line for each figure, with a mark where something is required of it."""
    out = Table(title=title, title_justify="left")
    out.add_column("figure")
    out.add_column("measured", justify="right")
    out.add_column("required", justify="right")
    out.add_column("")
    out.add_column("how")
    for figure in figures:
        measured = "not here" if figure.value is None else f"{_number(figure.value)} {figure.unit}"
        required = f"{figure.bound} {_number(figure.required)}" if figure.bound else ""
        out.add_row(figure.name, measured, required, MARKS[figure.meets], figure.note)
    return out


def as_json(figures: Sequence[Figure], code: str) -> str:
    """The figures and what they were measured on. code: native code or plain Python."""
    rows = [
        {
            "name": figure.name,
            "value": figure.value,
            "unit": figure.unit,
            "bound": figure.bound,
            "required": figure.required if figure.bound else None,
            "meets": figure.meets,
            "note": figure.note,
        }
        for figure in figures
    ]
    machine = {
        "release": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "code": code,
    }
    return json.dumps({"format": 1, "machine": machine, "figures": rows}, indent=1) + "\n"


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
