"""A pytest plugin that writes a run of the cases into its journal: -p ci.report.case_recorder
--madvet-journal FILE. The journal is written by the process that was started; with xdist, the
workers hand it what they saw with each of their reports.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from ci.report.case_ids import case_id
from ci.report.journal import FORMAT, Begin, Done, End, Facts, Journal, Note, Plan
from ci.report.observed import observed
from ci.report.result_tree import CaseResult, Cell, Shown, State
from conformance.cases.evidence import EVIDENCE, Evidence, Run, Swept
from conformance.oracle.verdict import VerdictKind
from conformance.program.text import dumps

OPTION: Final = "--madvet-journal"
VERSION_OPTION: Final = "--madvet-version"
PROPERTY: Final = "madvet"  # of a report: what the worker saw, as JSON
OUTPUT_MAX: Final = 20_000  # characters of one case
MESSAGE_MAX: Final = 300
SHOWN_MAX: Final = 3  # programs of one case, the last ones
LOST: Final = "the process that ran it died"
_UNENDED: Final = {
    2: "interrupted, or some cases could not be read",
    3: "pytest, a plugin of it, or a target failed",
    4: "pytest was called wrongly",
}


class Told(msgspec.Struct, omit_defaults=True):
    """What a worker tells of a case beside pytest's own report."""

    requirements: tuple[str, ...] = ()
    raised: str = ""  # the type of exception that ended it
    target: str = ""
    facts: dict[str, Any] = {}  # with the first case of a target only
    unspecified: int = 0
    known: tuple[str, ...] = ()
    cells: tuple[Cell, ...] = ()
    shown: tuple[Shown, ...] = ()


_TOLD: Final = pytest.StashKey[Told]()
_TOLD_FACTS: Final = pytest.StashKey[set[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the journal lies, and whose it is."""
    parser.addoption(OPTION, default="", help="write what comes of each case to this file")
    parser.addoption(VERSION_OPTION, default="", help="the version of madvet, for the journal")


def pytest_configure(config: pytest.Config) -> None:
    """Begin the journal, in the process that was started and in no worker of its."""
    path = str(config.getoption(OPTION))
    listing = bool(config.getoption("collectonly"))
    if path and not listing and not hasattr(config, "workerinput"):
        targets = tuple(str(config.getoption("--target")).split(","))
        version = str(config.getoption(VERSION_OPTION))
        config.pluginmanager.register(_Recorder(Path(path), targets, version), "madvet-recorder")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where the case runs: add to its last report what only this process knows."""
    report = yield
    told = item.stash.setdefault(_TOLD, Told())
    if call.excinfo is not None and report.failed and not told.raised:
        told.raised = call.excinfo.typename
    if report.when == "teardown":
        _tell(item, told)
        text = msgspec.json.encode(told).decode()
        report.user_properties = [*report.user_properties, (PROPERTY, text)]
    return report


def _tell(item: pytest.Item, told: Told) -> None:
    mark = item.get_closest_marker("requirement")
    told.requirements = tuple(map(str, mark.args)) if mark is not None else ()
    evidence = item.stash.get(EVIDENCE, None)
    if evidence is None:
        return
    told.target, told.unspecified = evidence.target, evidence.unspecified
    told.known = evidence.known
    told.cells = tuple(map(_cell, evidence.swept))
    if told.raised:
        told.shown = tuple(map(_shown, evidence.runs[-SHOWN_MAX:]))
    known = item.config.stash.setdefault(_TOLD_FACTS, set())
    if evidence.target not in known:
        known.add(evidence.target)
        told.facts = _facts(evidence)


def _facts(evidence: Evidence) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(evidence.facts)
    return facts


def _cell(swept: Swept) -> Cell:
    """One program of a sweep; of what was not judged, nothing was observed."""
    if swept.word == VerdictKind.SKIPPED.value:
        return Cell(swept.id, swept.word)
    return Cell(swept.id, swept.word, observed(swept.run.program, swept.run.outcome))


def _shown(run: Run) -> Shown:
    return Shown(dumps(run.program), msgspec.msgpack.encode(run.outcome), int(run.observe))


class _Recorder:
    """Hears of every case and writes the journal."""

    def __init__(self, path: Path, targets: tuple[str, ...], version: str) -> None:
        self.targets = targets
        self._began = time.monotonic()
        self._open: dict[str, list[pytest.TestReport]] = {}
        self._planned: set[tuple[str, str]] = set()
        self._nodeids: set[str] = set()
        self._why = ""  # it did not come to its end
        self._journal = Journal(path)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        self._journal.write(Begin(FORMAT, "conform", started, version, targets))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Without xdist: these cases will run."""
        self._plan([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        """With xdist: every worker says the same."""
        self._plan(ids)

    def _plan(self, nodeids: list[str]) -> None:
        cases: list[tuple[str, str]] = []
        for nodeid in nodeids:
            ident, target = self._named(nodeid)
            if nodeid in self._nodeids:
                continue
            if (ident, target) in self._planned:
                raise pytest.UsageError(f"two cases are called {ident} on {target}: rename one")
            cases.append((ident, target))
            self._nodeids.add(nodeid)
            self._planned.add((ident, target))
        if cases:
            self._journal.write(Plan(tuple(cases)))

    def _named(self, nodeid: str) -> tuple[str, str]:
        try:
            ident, target = case_id(nodeid, self.targets)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None
        return ident, target or "any"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A part of a case is over; with its last part, the case."""
        reports = self._open.setdefault(report.nodeid, [])
        reports.append(report)
        if report.when in ("setup", "call"):
            return
        del self._open[report.nodeid]
        ident, target = self._named(report.nodeid)
        told = _told_of(report)
        if told.facts:
            self._journal.write(Facts(told.target, told.facts))
        self._journal.write(Done(_result(ident, target, told, reports)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file of cases that could not be read."""
        if report.failed:
            text = _cut(report.longreprtext.strip(), OUTPUT_MAX)
            self._journal.write(Note(f"{report.nodeid} could not be collected: {text}"))

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Ctrl-C, cases that cannot be read, or pytest.exit(), by which a target that does not
        run ends the run."""
        self._why = str(getattr(excinfo.value, "msg", excinfo.value)) or "interrupted"

    def pytest_internalerror(self, excrepr: object) -> None:
        """A plugin, a fixture's code outside its case, or pytest itself."""
        self._why = "internal error: " + _cut(str(excrepr).strip().splitlines()[-1], MESSAGE_MAX)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """The end, whatever kind of end it is."""
        seconds = round(time.monotonic() - self._began, 3)
        self._journal.write(End(seconds, self._why or _UNENDED.get(int(exitstatus), "")))
        self._journal.close()


def _told_of(report: pytest.TestReport) -> Told:
    for name, value in report.user_properties:
        if name == PROPERTY:
            return msgspec.json.decode(str(value), type=Told)
    return Told(raised="WorkerLost")


def _result(ident: str, target: str, told: Told, reports: list[pytest.TestReport]) -> CaseResult:
    """One result of the reports of a case's parts."""
    failed = [report for report in reports if report.failed]
    skipped = [report for report in reports if report.skipped]
    state, message, output = State.PASS, "", ""
    if failed:
        # A case that could not be set up, or that proved something else than it says, or that
        # raised what no kernel causes, judges nothing.
        wrong = failed[0].when == "call" and told.raised in ("AssertionError", "Failed")
        state = State.FAIL if wrong else State.ERROR
        output = "\n\n".join(report.longreprtext for report in failed)
        message = LOST if failed[0].when not in ("setup", "call", "teardown") else _crash(failed[0])
    elif skipped:
        state, message = State.SKIP, _why_skipped(skipped[0])
    elif not any(report.when == "call" for report in reports):
        state, message = State.ERROR, "it was set up and taken down, and not run"
    return CaseResult(
        ident, target, state, told.requirements,
        round(sum(report.duration for report in reports), 6),
        _cut(message, MESSAGE_MAX), _cut(output, OUTPUT_MAX), told.unspecified, told.known,
        told.cells, told.shown,
    )  # fmt: skip


def _crash(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message) if crash is not None else report.longreprtext.strip()
    return " ".join(text.split()) or "failed without a word"


def _why_skipped(report: pytest.TestReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return str(reason).removeprefix("Skipped: ")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 4] + " ..."
