"""Reproducer: a finding as a program file, with what was expected and what was observed."""

from __future__ import annotations

import textwrap
from typing import Final

from conformance.program.text import FindingTable, dumps
from conformance.spec.registry import text_of
from fuzz.findings.finding import Finding

COLUMNS: Final = 98  # of the comment, behind "# "
DIFFERENCES_MAX: Final = 20  # told in words; more of the same step add nothing


def reproducer(finding: Finding) -> str:
    """The text of the file. Reading it back gives the same program."""
    verdict = finding.verdict
    expected = "; ".join(d.model for d in verdict.differences[:1]) or "no crash, no hang"
    observed = "; ".join(d.kernel for d in verdict.differences[:1]) or verdict.reason
    table = FindingTable(
        title=finding.title,
        identity=finding.identity,
        verdict=verdict.kind.value,
        requirement=", ".join(verdict.requirements),
        expected=expected,
        observed=observed,
        stability=finding.stability,
        found_on=f"{finding.release}, target {finding.target}",
        log=verdict.log,
        severity=finding.severity.label,
    )
    return dumps(finding.program, _comment(finding), table)


def _comment(finding: Finding) -> str:
    """What a reader wants first: what differs, which rule says so, how to see it again."""
    verdict = finding.verdict
    lines = [f"{verdict.kind.value}: {finding.title}", f"Severity: {finding.severity.label}."]
    if finding.marks:
        lines.append(f"Mind: {finding.marks}.")
    more = verdict.differences[1:DIFFERENCES_MAX]
    lines += [f"also: {difference.words}" for difference in more]
    left = len(verdict.differences) - DIFFERENCES_MAX
    if left > 0:
        lines.append(f"and {left} more differences of the same step")
    for ident in verdict.requirements:
        text = text_of(ident)
        if text:
            lines.append(f"{ident}: {text}")
    lines.append(
        f"Linux {finding.release}, target {finding.target}: shown by {finding.stability} alone."
    )
    if finding.index >= 0:
        lines.append(f"Generated: seed {finding.seed}, program {finding.index}; then shrunk.")
    lines.append(f"See it again: madvet replay --target {finding.target} THIS_FILE")
    wrapped = [
        part
        for line in lines
        for part in textwrap.wrap(line, COLUMNS, break_on_hyphens=False, break_long_words=False)
    ]
    return "\n".join(wrapped)
