"""The survival curve of planted faults: how many live after how many seconds, by engine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 60, 150, 30, 50  # around the curves, in pixels
SECONDS_MIN: Final = 0.1  # everything that is quicker is drawn here
COLOURS: Final = ("#1d4fbf", "#b3261e", "#1a7f4b", "#8a2fb0")
_STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:#1b1f27}line,path{fill:none}"
    "@media(prefers-color-scheme:dark){text{fill:#e6e9ef}}"
)


def survival_svg(kills: Mapping[str, Sequence[float]], mutants: int, seconds: float) -> str:
    """A picture. kills: by engine, after how many seconds each mutant died that did; mutants: all
    of them; seconds: how long each was hunted. Time is drawn by its logarithm."""
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    decades = math.log10(max(seconds, 10 * SECONDS_MIN) / SECONDS_MIN)

    def x(second: float) -> float:
        return LEFT + width * min(1.0, math.log10(max(second, SECONDS_MIN) / SECONDS_MIN) / decades)

    def y(alive: float) -> float:
        return TOP + height * (1 - alive / max(mutants, 1))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Planted faults that live on, by time"><style>{_STYLE}</style>'
    ]
    for decade in range(math.ceil(decades) + 1):
        second = SECONDS_MIN * 10**decade
        if second <= seconds * 1.001:
            parts.append(_line(x(second), TOP, x(second), TOP + height))
            parts.append(_text(x(second), TOP + height + 18, f"{second:g} s", "middle"))
    for alive in sorted({0, mutants // 4, mutants // 2, 3 * mutants // 4, mutants}):
        parts.append(_line(LEFT, y(alive), LEFT + width, y(alive)))
        parts.append(_text(LEFT - 8, y(alive) + 4, str(alive), "end"))
    parts.append(_text(LEFT, TOP - 12, "planted faults that live", "start"))
    for number, (engine, times) in enumerate(kills.items()):
        colour = COLOURS[number % len(COLOURS)]
        path, alive = f"M{x(0):.1f} {y(mutants):.1f}", mutants
        for second in sorted(times):
            path += f"H{x(second):.1f}"
            alive -= 1
            path += f"V{y(alive):.1f}"
        path += f"H{LEFT + width}"
        parts.append(f'<path d="{path}" stroke="{colour}" stroke-width="2"/>')
        at = TOP + 16 + 20 * number
        parts.append(_line(LEFT + width + 12, at - 4, LEFT + width + 30, at - 4, colour, 2))
        parts.append(_text(LEFT + width + 36, at, f"{engine}: {alive} left", "start"))
    return "".join(parts) + "</svg>\n"


def _line(
    x1: float, y1: float, x2: float, y2: float, colour: str = "#8886", width: float = 1
) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width:g}"/>'
    )


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
