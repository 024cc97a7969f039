"""The folder of a campaign as the tree that every report is rendered from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from ci.report.result_tree import CaseResult, RunResult, Shown, State, closed
from conformance.oracle.verdict import VerdictKind
from conformance.program.text import dumps
from fuzz.findings.finding import Finding
from fuzz.findings.reproducer import reproducer
from fuzz.findings.store import DATABASE, Campaign, FindingsError, Store

NOT_ENDED: Final = "a campaign of this folder has begun and not ended: it still runs, or it died"
NO_CAMPAIGN: Final = (
    "this folder tells of no campaign: what was run, and whether it ended, is not known"
)
PROGRAMS: Final = "fuzz.programs"  # the case that stands for all programs of a target
HARNESS: Final = VerdictKind.HARNESS_ERROR.value
SKIPPED: Final = VerdictKind.SKIPPED.value


def is_campaign(path: Path) -> bool:
    """Is it a folder in which a campaign kept its findings?"""
    return (path / DATABASE).is_file()


def campaign_tree(folder: Path, madvet_version: str) -> RunResult:
    """What all campaigns of a folder found, and what each came to. Raises FindingsError."""
    with Store(folder) as store:
        campaigns = store.campaigns()
        stored = list(store.findings())
        dropped = store.dropped()
    summaries = [_summary(folder, campaign) for campaign in campaigns]
    cases = [_case(one.finding, one.seen) for one in stored]
    targets: dict[str, dict[str, Any]] = {}
    for finding in (one.finding for one in stored):
        targets[finding.target] = {"release": finding.release}
    for summary in summaries:
        for name, told in summary.get("targets", {}).items():
            targets[name] = told["facts"] or targets.get(name, {})
    cases += _programs(summaries)
    notes = [_words(summary) for summary in summaries if "ending" in summary]
    if dropped:
        notes.append(f"{dropped} more findings were not kept for want of room")
    unended = NO_CAMPAIGN if not campaigns else ""
    if any(campaign.ended is None for campaign in campaigns):
        unended = NOT_ENDED
    failures = [str(s["failure"]) for s in summaries if s.get("failure")]
    unended = unended or "; ".join(failures)
    began = campaigns[0].began if campaigns else 0.0
    started = datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds")
    seconds = sum(float(summary.get("seconds", 0.0)) for summary in summaries)
    return closed(
        RunResult(
            "fuzz", started, seconds, madvet_version, targets, tuple(cases), unended, tuple(notes)
        ),
        [],
    )


def _summary(folder: Path, campaign: Campaign) -> dict[str, Any]:
    try:
        return msgspec.json.decode(campaign.summary, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise FindingsError(f"{folder / DATABASE}: a campaign's summary: {error}") from error


def _case(finding: Finding, seen: int) -> CaseResult:
    words = re.sub(r"[^A-Za-z0-9_-]+", "_", finding.identity).strip("_")
    evidence = finding.evidence
    facts = msgspec.to_builtins(evidence.facts) if evidence is not None else {}
    shown = Shown(
        dumps(finding.program),
        msgspec.msgpack.encode(evidence.outcome) if evidence is not None else b"",
        evidence.observe if evidence is not None else 0,
        facts,
    )
    text = reproducer(finding).partition("\nformat = ")[0]
    output = "\n".join(line.removeprefix("#").strip() for line in text.splitlines())
    times = f"\nKept {seen} time{'s' * (seen != 1)}."
    log = f"\n\n{finding.verdict.log}" if finding.verdict.log else ""
    return CaseResult(
        f"finding.{words}.{finding.slug.rpartition('-')[2]}", finding.target, State.FAIL,
        finding.verdict.requirements, 0.0,
        f"[{finding.severity.label}] {finding.verdict.kind.value}: {finding.title} "
        f"({finding.stability})",
        output + times + log, shown=(shown,), identity=finding.identity,
    )  # fmt: skip


def _programs(summaries: list[dict[str, Any]]) -> Iterator[CaseResult]:
    """A case for each target: its programs came to a judgement, or they did not."""
    together: dict[str, dict[str, int]] = {}
    known: dict[str, set[str]] = {}
    for summary in summaries:
        for name, told in summary.get("targets", {}).items():
            sums = together.setdefault(
                name, {"programs": 0, "unspecified": 0, SKIPPED: 0, HARNESS: 0}
            )
            sums["programs"] += told["programs"]
            sums["unspecified"] += told["unspecified"]
            sums[SKIPPED] += told["verdicts"].get(SKIPPED, 0)
            sums[HARNESS] += told["verdicts"].get(HARNESS, 0)
            known.setdefault(name, set()).update(told["known"])
    for name, sums in together.items():
        state, message = State.PASS, f"{sums['programs']:,} programs were judged"
        if sums[HARNESS]:
            state, message = State.ERROR, f"{sums[HARNESS]:,} programs were not judged"
        elif sums["programs"] == sums[SKIPPED]:
            state, message = State.SKIP, "no program could run"
        yield CaseResult(
            PROGRAMS, name, state, message=message, unspecified=sums["unspecified"],
            known=tuple(sorted(known[name])),
        )  # fmt: skip


def _words(summary: dict[str, Any]) -> str:
    """A campaign in a line."""
    options, total = summary["options"], summary["total"]
    verdicts = ", ".join(f"{count:,} {word}" for word, count in sorted(total["verdicts"].items()))
    targets = ", ".join(summary["targets"])
    return (
        f"seed {options['seed']} on {targets}: {total['programs']:,} programs "
        f"in {summary['seconds']:.0f} s, ended by {summary['ending']}: {verdicts or 'none judged'}"
    )
