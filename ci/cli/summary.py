"""The summary of a campaign: in words, as JSON, and as an exit code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import click
import msgspec

from ci.cli import exit_codes
from ci.cli.output import FindingFolder
from conformance.oracle.verdict import INVARIANTS, ORDER, VerdictKind
from conformance.program.call import SURFACES
from fuzz.engine.budget import CampaignOptions
from fuzz.engine.fail_nth import CALLS, QUIET
from fuzz.engine.loop import CampaignResult, Ending
from fuzz.engine.progress import clock
from fuzz.engine.statistics import NOT_REPRODUCED, Tally
from fuzz.findings.finding import Finding

JSON_FORMAT: Final = 1
REASONS_SHOWN: Final = 5  # of each list; the JSON has all
FINDINGS_SHOWN: Final = 20  # the folder and the JSON have all
ENDINGS: Final = {
    Ending.BUDGET: "all programs were run",
    Ending.TIME: "the time was up",
    Ending.INTERRUPTED: "it was interrupted",
    Ending.FAILED: "it FAILED",
}


def exit_code(result: CampaignResult, fail_on: Sequence[str]) -> int:
    """See exit_codes. What was found outweighs what failed, as neither is a pass."""
    total = result.total
    kinds = {finding.verdict.kind.value for finding in result.findings.values()}
    if kinds & set(fail_on):
        return exit_codes.FOUND
    if NOT_REPRODUCED in fail_on and total.judged(NOT_REPRODUCED):
        return exit_codes.FOUND
    harness_errors = total.judged(VerdictKind.HARNESS_ERROR.value)
    if result.failure or harness_errors or result.account.given_up:
        return exit_codes.HARNESS_FAILED
    if total.programs == total.judged(VerdictKind.SKIPPED.value):
        return exit_codes.NOTHING_RAN
    return exit_codes.CONFORMANT


def print_summary(
    options: CampaignOptions, result: CampaignResult, folder: FindingFolder, code: int
) -> None:
    """To standard output; a failure to standard error as well."""
    for line in summary_lines(options, result, folder, code):
        click.echo(line)
    if result.failure:
        click.echo(f"madvet fuzz: {result.failure}", err=True)


def summary_lines(
    options: CampaignOptions, result: CampaignResult, folder: FindingFolder, code: int
) -> Iterator[str]:
    """The summary in words."""
    total = result.total
    rate = total.programs / result.seconds if result.seconds else 0.0
    targets = ", ".join(_target_words(result))
    yield (
        f"{total.programs:,} programs, {total.steps:,} steps on {targets} "
        f"in {clock(result.seconds)} ({rate:,.0f}/s, {options.workers} workers, "
        f"seed {options.seed}): {ENDINGS[result.ending]}"
    )
    yield "  " + _verdict_words(total)
    yield "  steps: " + ", ".join(
        f"{total.surfaces.get(name, 0):,} {name}" for name in SURFACES if name in total.surfaces
    )
    if total.races:
        yield (
            f"  races: {total.races.get(ORDER, 0):,} explained by an order of their steps, "
            f"{total.races.get(INVARIANTS, 0):,} judged by invariants alone"
        )
    yield (
        f"  unspecified: {total.unspecified:,} steps ({total.unspecified_share:.2%})"
        + _reasons(total.unspecified_reasons)
    )
    yield from _reached_lines(result)
    if total.signals:
        runs = ", ".join(f"{n:,} {word}" for word, n in sorted(total.signals.items()))
        yield f"  signals during a call: {runs}, of {result.account.done:,} programs"
    if total.faults:
        yield _fault_words(total, result)
    if total.skipped:
        yield f"  skipped: {sum(total.skipped.values()):,} programs" + _reasons(total.skipped)
    for ident, count in sorted(total.known.items()):
        yield f"  known by the ledger: {ident}, {count:,} times"
    yield from _account_lines(options, result)
    yield from _finding_lines(result, folder)
    yield f"exit {code}: {_code_words(code)}"


def _reached_lines(result: CampaignResult) -> Iterator[str]:
    for target, reached in sorted(result.reached.items()):
        what = f"{len(reached.marks):,} marks of the model"
        if reached.kcov:
            what = f"{len(reached.edges):,} edges of the kernel and {what}"
        yield f"  reached on {target}: {what}, by {reached.seeds:,} programs that earned them"
        if reached.kcov is False:
            yield (
                f"  {target} has no KCOV, so that only the model guided: a kernel that has it is "
                "built by `madvet kernels build uml`, then --target uml"
            )


def _target_words(result: CampaignResult) -> Iterator[str]:
    for name in result.tallies:
        facts = result.facts.get(name)
        yield f"{name} (Linux {facts.release})" if facts else name


def _verdict_words(total: Tally) -> str:
    words = [f"{total.judged(VerdictKind.CONFORMANT.value):,} conformant"]
    words += [
        f"{count:,} {kind}"
        for kind, count in sorted(total.verdicts.items())
        if kind not in (VerdictKind.CONFORMANT.value, VerdictKind.SKIPPED.value) and count
    ]
    return ", ".join(words)


def _fault_words(total: Tally, result: CampaignResult) -> str:
    given = {key: n for key, n in total.faults.items() if key not in (CALLS, QUIET)}
    ranked = sorted(given.items(), key=lambda item: -item[1])
    words = ", ".join(f"{n:,} {word}" for word, n in ranked) or "none"
    calls, quiet = total.faults.get(CALLS, 0), total.faults.get(QUIET, 0)
    return (
        f"  allocations that failed: {sum(given.values()):,}, in {calls:,} calls "
        f"({quiet:,} make none) of {result.account.done:,} programs: {words}"
    )


def _reasons(counts: dict[str, int]) -> str:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = [f"{reason} ({count:,})" for reason, count in ranked[:REASONS_SHOWN]]
    if len(ranked) > REASONS_SHOWN:
        words.append(f"{len(ranked) - REASONS_SHOWN} more reasons")
    return f": {'; '.join(words)}" if words else ""


def _account_lines(options: CampaignOptions, result: CampaignResult) -> Iterator[str]:
    account = result.account
    if options.programs is not None and account.left:
        yield f"  not run: {account.left:,} of {options.programs:,} programs"
    for lease in account.given_up:
        yield (
            f"  GIVEN UP: programs {lease.first}..{lease.first + lease.count - 1} ended every "
            "worker that ran them"
        )
    if result.deaths:
        yield f"  workers that died and were replaced: {result.deaths}; nothing of theirs is lost"
    for words in result.total.not_reproduced[:REASONS_SHOWN]:
        yield f"  not reproduced alone: {words}"
    for error in result.total.harness_errors:
        yield f"  HARNESS ERROR: {error}"


def _finding_lines(result: CampaignResult, folder: FindingFolder) -> Iterator[str]:
    if not result.findings:
        return
    plural = "" if len(result.findings) == 1 else "s"
    yield f"{len(result.findings)} finding{plural}" + (
        f" in {folder.folder}" if folder.folder else ""
    )
    ranked = sorted(result.findings.values(), key=lambda f: (f.severity, f.slug))
    for finding in ranked[:FINDINGS_SHOWN]:
        yield f"  [{finding.severity.label}] {finding.verdict.kind.value}: {finding.title}"
        seen = result.tallies[finding.target].findings.get(finding.identity, 0)
        path = folder.paths.get(finding.slug)
        yield (
            f"    {finding.identity}, met {seen:,} times, shown by {finding.stability}"
            + (f"; {finding.marks}" if finding.marks else "")
            + (f"; {path}" if path else "")
        )
    if len(ranked) > FINDINGS_SHOWN:
        yield f"  and {len(ranked) - FINDINGS_SHOWN} more"


def _code_words(code: int) -> str:
    return {
        exit_codes.CONFORMANT: "all conformant, or known",
        exit_codes.FOUND: "the kernel does what it must not",
        exit_codes.HARNESS_FAILED: "the harness or the environment failed: this is no pass",
        exit_codes.NOTHING_RAN: "nothing could run: this is no pass",
    }[code]


def summary_json(
    options: CampaignOptions, result: CampaignResult, folder: FindingFolder, code: int
) -> dict[str, Any]:
    """The summary as docs/json.md describes it."""
    total = result.total
    return {
        "format": JSON_FORMAT,
        "exit_code": code,
        "ending": result.ending.value,
        "failure": result.failure,
        "seconds": round(result.seconds, 3),
        "programs_per_second": round(total.programs / result.seconds, 1) if result.seconds else 0,
        "options": msgspec.to_builtins(options),
        "account": {
            "asked": options.programs,
            "done": result.account.done,
            "left": result.account.left,
            "given_up": msgspec.to_builtins(result.account.given_up),
            "worker_deaths": result.deaths,
        },
        "total": _tally_json(total),
        "targets": {
            name: {
                "facts": msgspec.to_builtins(result.facts[name]) if name in result.facts else None,
                **_tally_json(tally),
            }
            for name, tally in result.tallies.items()
        },
        "reached": {
            target: {
                "kcov": reached.kcov,
                "seeds": reached.seeds,
                "edges": len(reached.edges),
                "marks": len(reached.marks),
            }
            for target, reached in sorted(result.reached.items())
        },
        "findings": [
            _finding_json(finding, result, folder)
            for finding in sorted(result.findings.values(), key=lambda f: (f.severity, f.slug))
        ],
    }


def _tally_json(tally: Tally) -> dict[str, Any]:
    value: dict[str, Any] = msgspec.to_builtins(tally)
    value["unspecified_share"] = round(tally.unspecified_share, 6)
    return value


def _finding_json(
    finding: Finding, result: CampaignResult, folder: FindingFolder
) -> dict[str, Any]:
    path = folder.paths.get(finding.slug)
    return {
        "identity": finding.identity,
        "verdict": finding.verdict.kind.value,
        "title": finding.title,
        "severity": finding.severity.label,
        "marks": finding.marks,
        "requirements": list(finding.verdict.requirements),
        "target": finding.target,
        "release": finding.release,
        "shown": finding.shown,
        "runs": finding.runs,
        "seed": finding.seed,
        "index": finding.index,
        "times": result.tallies[finding.target].findings.get(finding.identity, 0),
        "file": str(path) if path else None,
    }
