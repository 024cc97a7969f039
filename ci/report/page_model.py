"""What the page says, worked out from a run: the template only lays it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from ci.report.page_drawings import Drawing, drawing
from ci.report.page_matrix import Matrices
from ci.report.result_tree import NOT_RUN, CaseResult, RunResult, State, summed
from conformance.oracle.ledger import Entry, LedgerError, load_ledger
from conformance.spec.registry import FOLDER, read_chapter, text_of

FINDINGS_MAX: Final = 60  # shown with all that is known; more are listed
SLOWEST: Final = 20
WORDS: Final = {
    State.PASS: "passed",
    State.FAIL: "failed",
    State.ERROR: "not judged",
    State.SKIP: "skipped",
}
CAMPAIGN_STATES: Final = (State.FAIL, State.ERROR)


class FindingView(NamedTuple):
    """One case that failed or was not judged."""

    case: CaseResult
    anchor: str
    rules: list[tuple[str, str]]  # id and text
    drawings: list[Drawing]


class RuleView(NamedTuple):
    """One requirement, and how many cases proved it."""

    id: str
    text: str
    source: str
    states: dict[State, int]
    state: State | None  # None: no case at all


class ChapterView(NamedTuple):
    """A chapter of the specification."""

    name: str
    rules: list[RuleView]

    @property
    def proved(self) -> int:
        """How many of its rules a case passed."""
        return sum(rule.state is State.PASS for rule in self.rules)


class Headline(NamedTuple):
    """The result in words. look: good, bad or broken."""

    look: str
    mark: str
    title: str
    words: str


class Page:
    """Everything, by section."""

    def __init__(self, run: RunResult) -> None:
        self.run = run
        self.counts = run.counts()
        self.headline = headline(run)
        self.targets = [_target(run, name) for name in run.target_names]
        self.findings = list(_findings(run))
        self.more_findings = _bad(run)[FINDINGS_MAX:]
        self.not_run = [case for case in run.cases if case.message == NOT_RUN]
        self.known = _known(run)
        self.skips = _skips(run)
        self.chapters = list(_chapters(run))
        self.matrices = Matrices(run)
        self.slowest = sorted(run.cases, key=lambda case: -case.seconds)[:SLOWEST]
        self.suites = _suites(run)
        self.programs = sum(len(case.cells) for case in run.cases)
        self.is_campaign = run.what == "fuzz"
        # Of a campaign, findings are counted and not cases.
        self.columns = CAMPAIGN_STATES if self.is_campaign else tuple(WORDS)

    @property
    def rules_proved(self) -> tuple[int, int]:
        """Requirements that some case passed and none failed, of all."""
        proved = sum(chapter.proved for chapter in self.chapters)
        return proved, sum(len(chapter.rules) for chapter in self.chapters)


def anchor(case: CaseResult) -> str:
    """The place of a case in the page."""
    return f"{case.target}/{case.id}"


def headline(run: RunResult) -> Headline:
    """The result of a run; what did not end is never good."""
    counts = run.counts()
    failed, broken = counts[State.FAIL], counts[State.ERROR]
    if failed:
        title = f"{failed:,} finding{'s' * (failed != 1)}"
        more = " The run is not complete, too." if run.unended else ""
        return Headline("bad", "\N{BALLOT X}", title, f"A kernel does what it must not.{more}")
    if run.unended:
        return Headline("broken", "!", "Not complete", f"This is no pass: {run.unended}.")
    if broken:
        words = "The harness or its environment failed; this is no pass."
        return Headline("broken", "!", f"{broken:,} not judged", words)
    if not counts[State.PASS]:
        return Headline("broken", "!", "Nothing was run", "Everything was skipped; no pass.")
    words = f"{counts[State.PASS]:,} cases passed, {counts[State.SKIP]:,} were skipped."
    if run.what == "fuzz":
        words = "Whatever the programs showed is allowed, or known by the ledger."
    return Headline("good", "\N{CHECK MARK}", "All conformant", words)


def _target(run: RunResult, name: str) -> dict[str, Any]:
    cases = [case for case in run.cases if case.target == name]
    counts = run.counts(name)
    return {
        "name": name,
        "release": run.release(name),
        "facts": sorted(run.targets.get(name, {}).items()),
        "counts": counts,
        "unspecified": sum(case.unspecified for case in cases),
        "seconds": sum(case.seconds for case in cases),
        "state": summed([case.state for case in cases]),
    }


def _bad(run: RunResult) -> list[CaseResult]:
    wrong = [case for case in run.cases if case.state in (State.FAIL, State.ERROR)]
    return sorted(
        (case for case in wrong if case.message != NOT_RUN),
        key=lambda case: (case.state is not State.FAIL, case.target, case.id),
    )


def _findings(run: RunResult) -> Iterator[FindingView]:
    for case in _bad(run)[:FINDINGS_MAX]:
        facts = run.targets.get(case.target, {})
        rules = [(ident, text_of(ident)) for ident in case.requirements]
        if len(rules) > 8:  # of a sweep: what it met, not what it broke
            rules = []
        drawings = [drawing(shown, shown.facts or facts) for shown in case.shown]
        yield FindingView(case, anchor(case), rules, drawings)


def _known(run: RunResult) -> list[tuple[Entry | None, str, int]]:
    """Entries of the ledger that explained something: how many cases each."""
    counts = Counter(ident for case in run.cases for ident in case.known)
    try:
        entries = {entry.id: entry for entry in load_ledger().entries}
    except LedgerError:
        entries = {}
    return [(entries.get(ident), ident, count) for ident, count in sorted(counts.items())]


def _skips(run: RunResult) -> list[tuple[str, int]]:
    counts = Counter(case.message for case in run.cases if case.state is State.SKIP)
    return counts.most_common()


def _chapters(run: RunResult) -> Iterator[ChapterView]:
    by_rule: dict[str, Counter[State]] = {}
    for case in run.cases:
        for ident in case.requirements:
            by_rule.setdefault(ident, Counter())[case.state] += 1
    for path in sorted(FOLDER.glob("*.toml")):
        rules = []
        for row in read_chapter(path):
            found = by_rule.get(row.id, Counter())
            states = {state: found[state] for state in State}
            state = summed([state for state in State if found[state]]) if found else None
            rules.append(RuleView(row.id, row.text, row.source, states, state))
        yield ChapterView(path.stem.replace("_", " "), rules)


def _suites(run: RunResult) -> list[dict[str, Any]]:
    """Every suite on every target, the one that took longest first."""
    groups: dict[tuple[str, str], list[CaseResult]] = {}
    for case in run.cases:
        groups.setdefault((case.target, case.suite), []).append(case)
    out = [
        {
            "target": target,
            "suite": suite,
            "cases": cases,
            "state": summed([case.state for case in cases]),
            "seconds": sum(case.seconds for case in cases),
        }
        for (target, suite), cases in groups.items()
    ]
    return sorted(out, key=lambda group: (group["target"], group["suite"]))
