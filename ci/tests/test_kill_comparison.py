"""Engines compared: medians over what both killed, and a picture that counts right."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from ci.cli.kill_comparison import compared, curve_of
from fuzz.mutants.kill_score import Score


def score(name: str, seconds: float, killer: int) -> Score:
    return Score(name, killer, seconds, 1000)


OURS = [score("a", 1.0, 9), score("b", 2.0, 19), score("c", 60.0, -1), score("d", 4.0, 49)]
THEIRS = [score("a", 2.0, 19), score("b", 1.0, 9), score("c", 5.0, 99), score("d", 16.0, 199)]


def test_medians_are_of_what_both_killed() -> None:
    lines = list(compared({"guided": OURS, "random": THEIRS}))
    assert len(lines) == 2
    assert "median of 3" in lines[0]
    assert "guided 2 : random 2 = 1 : 1.00; guided is ahead for 2" in lines[0]
    assert "guided 20 : random 20 = 1 : 1.00" in lines[1]


def test_one_engine_is_compared_with_nothing() -> None:
    assert not list(compared({"random": THEIRS}))
    dead = [score("a", 60.0, -1)]
    assert "no mutant in common" in next(compared({"guided": dead, "random": THEIRS}))


def test_the_curve_falls_by_one_for_each_kill() -> None:
    svg = curve_of({"guided": OURS, "ran<dom": THEIRS}, 4, 60.0)
    ElementTree.fromstring(svg)
    assert "guided: 1 left" in svg
    assert "ran&lt;dom: 0 left" in svg
    paths = re.findall(r'<path d="([^"]+)"', svg)
    assert [path.count("V") for path in paths] == [3, 4]
