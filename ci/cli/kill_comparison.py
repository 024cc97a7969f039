"""Engines compared by the planted faults that each finds, and how soon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from ci.report.survival import survival_svg
from fuzz.mutants.kill_score import Score


def compared(by_engine: Mapping[str, Sequence[Score]]) -> Iterator[str]:
    """A line for each engine behind the first: medians, over the mutants that both killed."""
    engines = list(by_engine)
    for other in engines[1:]:
        pairs = _pairs(by_engine[engines[0]], by_engine[other])
        if not pairs:
            yield f"{engines[0]} and {other} killed no mutant in common"
            continue
        for what, values in (
            ("seconds", [(a.seconds, b.seconds) for a, b in pairs]),
            ("programs", [(a.killer + 1.0, b.killer + 1.0) for a, b in pairs]),
        ):
            ours, theirs = median(a for a, _ in values), median(b for _, b in values)
            faster = sum(a < b for a, b in values)
            yield (
                f"{what} to kill, median of {len(pairs)}: {engines[0]} {ours:.3g} : {other} "
                f"{theirs:.3g} = 1 : {theirs / ours if ours else float('inf'):.2f}; "
                f"{engines[0]} is ahead for {faster}"
            )


def _pairs(ours: Sequence[Score], theirs: Sequence[Score]) -> list[tuple[Score, Score]]:
    other = {score.id: score for score in theirs}
    both = [(score, other[score.id]) for score in ours if score.id in other]
    return [(a, b) for a, b in both if a.killed and b.killed]


def curve_of(by_engine: Mapping[str, Sequence[Score]], mutants: int, seconds: float) -> str:
    """The survival curve as SVG."""
    kills = {
        engine: [score.seconds for score in scores if score.killed]
        for engine, scores in by_engine.items()
    }
    return survival_svg(kills, mutants, seconds)
