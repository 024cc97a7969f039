"""Each check of traceability has the violation that trips it, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.spec.requirement import Requirement, Surface
from conformance.spec.source_marks import chosen, cited, marked
from conformance.spec.traceability import Trace, problems, rule_of, unmet

ONE = Requirement("gap-one", "T.", "S", (Surface.MADVISE,))
HELD = Requirement("gap-held", "T.", "S", (Surface.MADVISE,), held_by="a test")
ROWS = {row.id: row for row in (ONE, HELD)}
WHOLE = Trace(
    cited={"gap-one": ("walk.py:1",)},
    marked={"gap-one": ("test_a.py::test_b",), "gap-held": ("test_a.py::test_c",)},
    exercised={},
    reasons={"readahead": "gap-one"},
    unnamed={},
    ledger={"known": ("gap-*",)},
)


def test_a_whole_tree_has_no_problems() -> None:
    assert list(problems(ROWS, WHOLE)) == []


@pytest.mark.parametrize(
    ("change", "rule", "words"),
    [
        (
            {"cited": {"gap-one": ("walk.py:1",), "gap-two": ("walk.py:2",)}},
            "unknown-id",
            "walk.py:2: 'gap-two' is cited",
        ),
        (
            {"marked": {**WHOLE.marked, "gap-two": ("test_a.py::test_d",)}},
            "unknown-id",
            "test_a.py::test_d: 'gap-two' marks a case",
        ),
        ({"cited": {}}, "never-cited", "gap-one: no branch"),
        (
            {"cited": {**WHOLE.cited, "gap-held": ("walk.py:9",)}},
            "cited-and-held",
            "gap-held: held_by says",
        ),
        ({"reasons": {"readahead": ""}}, "alternative-without-id", "readahead: no requirement"),
        ({"reasons": {"readahead": "gap-two"}}, "alternative-without-id", "readahead: 'gap-two'"),
        (
            {"unnamed": {"because": ("snapshot.py:3",)}},
            "alternative-without-id",
            "snapshot.py:3: the kernel may choose because of 'because'",
        ),
        ({"ledger": {"known": ("gap-x*",)}}, "ledger-unknown-id", "known: 'gap-x*' names no"),
        ({"ledger": {"known": ("gap-two",)}}, "ledger-unknown-id", "known: 'gap-two' names no"),
    ],
)
def test_a_planted_violation_is_told(change: dict[str, object], rule: str, words: str) -> None:
    (found,) = problems(ROWS, WHOLE._replace(**change))  # type: ignore[arg-type] # one field each
    assert found.rule == rule
    assert str(found).startswith(words)


def test_what_nothing_exercises_is_told() -> None:
    bare = WHOLE._replace(marked={"gap-held": ("test_a.py::test_c",)})
    assert [p.rule for p in problems(ROWS, bare)] == ["never-exercised", "no-case"]
    swept = bare._replace(exercised={"gap-one": 3})
    assert [p.rule for p in problems(ROWS, swept)] == ["no-case"]


def test_a_case_that_proves_something_else_is_told() -> None:
    marks = ("gap-one", "gap-held")
    assert unmet(ROWS, marks, {"gap-one"}) == []
    assert unmet(ROWS, marks, {"gap-two"}) == ["gap-one"]


def test_the_rule_of_a_pattern_of_identities() -> None:
    assert rule_of("process_madvise/*/*/gap-one/result.*") == "gap-one"


MODEL = """
RULES = {1: "by-table", 2: "by-other-row"}
EVERY = ("in-a-loop",)
def decide(space, x):
    cite("plain")
    met("beside" if x else "otherwise")
    cite(RULES[x])
    met(_chosen(x))
    for rule in EVERY:
        met(rule)
    late = last_cited() if x else "by-name"
    cite(late)
    late.other("no-rule")
    space.why[x] = "a-reason"
    space.other[x] = "no-reason"
    out.reasons[x] = space.why.get(x, "")
def _chosen(x):
    if x == "no-rule-either":
        return "returned"
    return "returned-last"
"""


def test_citations_are_followed_to_the_strings_they_can_be(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    found = cited([path])
    assert sorted(found) == [
        "beside", "by-name", "by-other-row", "by-table", "in-a-loop", "otherwise", "plain",
        "returned", "returned-last",
    ]  # fmt: skip
    assert found["plain"] == ("model.py:5",)
    assert chosen([path]) == {"a-reason": ("model.py:14",)}


CASES = """
@pytest.mark.requirement("one", "two")
def test_of_two(kernel):
    pass
@pytest.mark.parametrize("x", [pytest.param(1, marks=requirement("three")), 2])
def test_of_parameters(kernel, x):
    requirement("four")
"""


def test_marks_of_cases_and_of_their_parameters(tmp_path: Path) -> None:
    path = tmp_path / "test_x.py"
    path.write_text(CASES)
    assert marked([path]) == {
        "one": ("test_x.py::test_of_two",),
        "two": ("test_x.py::test_of_two",),
        "three": ("test_x.py::test_of_parameters",),
    }
