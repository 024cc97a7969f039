"""A finding as the text of a mail: what, where, expected by which requirement, on which kernels,
and a reproducer. Plain ASCII, prose in 72 columns; code and logs stand as they are."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from conformance.program.call import Mmap
from conformance.program.program import Program
from conformance.program.step_words import step_words
from conformance.program.text import FindingTable
from conformance.spec.registry import load, text_of
from fuzz.findings.severity import marks_of, severity

COLUMNS: Final = 72
IDENTITY_PARTS: Final = 5  # see oracle.identity
SUBJECT_MAX: Final = 72  # with "Subject: "
LOG_LINES_MAX: Final = 60
SHOWS: Final = "shows it"  # how Kernel.words begin of one that is affected


class Kernel(NamedTuple):
    """What one kernel did with the program. words: "shows it, 5 of 5 runs"."""

    target: str
    release: str
    words: str


def mail_text(
    program: Program, finding: FindingTable, kernels: Sequence[Kernel], code: str, why_not: str = ""
) -> str:
    """The whole text. code: the C reproducer, "" with why there is none."""
    lines = [_subject(finding), ""]
    lines += _prose(f"{finding.verdict}: {finding.title}")
    lines += ["", *_named("Expected", finding.expected), *_named("Seen", finding.observed)]
    lines += [*_named("Found on", f"Linux {finding.found_on}, {finding.stability}")]
    worst = severity(finding.identity, finding.verdict)
    lines += [*_named("Severity", f"{worst.label}: {worst.why}")]
    marks = marks_of(finding.identity, finding.log)
    lines += [*_named("Mind", marks)] if marks else []
    lines += [""]
    lines += [line for ident in finding.requirement.split(", ") for line in _requirement(ident)]
    lines += ["What is done:", "", *_steps(program), ""]
    if kernels:
        lines += ["Kernels:", "", *_kernels(kernels), "", *_affected(kernels)]
    if finding.log:
        log = finding.log.splitlines()
        lines += ["The kernel's log:", "", *log[:LOG_LINES_MAX], ""]
        if len(log) > LOG_LINES_MAX:
            lines += [f"({len(log) - LOG_LINES_MAX} more lines)", ""]
    if code:
        lines += _prose(
            "Reproducer: cc -Wall -o reproducer reproducer.c && ./reproducer; it says what it "
            "expected and saw, and exits 1 when the fault shows, 0 when not."
        )
        lines += ["", code.rstrip("\n")]
    else:
        lines += _prose(f"There is no reproducer in C: {why_not}.")
    return _ascii("\n".join(lines) + "\n")


def _subject(finding: FindingTable) -> str:
    """Call, class of difference and rule, by which findings are told apart: no places, no
    numbers. The title where a file has no identity, as far as it fits."""
    parts = finding.identity.split("/")
    words = finding.title
    if len(parts) == IDENTITY_PARTS:
        surface, advice, _, rule, difference = parts
        words = f"{surface} {advice}: {difference} ({rule})"
        if surface == "kernel":
            words = difference
    title = f"Subject: [madvet] {finding.verdict}: {words}"
    return textwrap.shorten(title, SUBJECT_MAX, placeholder=" ...", break_on_hyphens=False)


def _prose(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, COLUMNS, initial_indent=indent, subsequent_indent=indent,
        break_on_hyphens=False,
    )  # fmt: skip


def _named(name: str, text: str) -> list[str]:
    wrapped = textwrap.wrap(text, COLUMNS - 10, break_on_hyphens=False)
    head, *rest = wrapped or ["-"]
    return [f"{name + ':':<10}{head}", *(f"{'':<10}{line}" for line in rest)]


def _requirement(ident: str) -> Iterator[str]:
    """A rule with its source."""
    text = text_of(ident)
    if not text:
        return
    yield from _prose(f"Requirement {ident}:")
    yield from _prose(text, "  ")
    source = load()[ident].source
    if source:
        yield from _prose(f"({source})", "  ")
    yield ""


def _steps(program: Program) -> Iterator[str]:
    """The layout and the calls, a line each. Pages of 4096 bytes are counted from the arena's
    first: arena+1p."""
    for step in program.setup():
        name = "mapped" if isinstance(step, Mmap) else "then"
        yield from _step(name, step_words(step))
    for number, call in enumerate(program.steps, 1):
        yield from _step(f"step {number}", step_words(call))


def _step(name: str, words: str) -> Iterator[str]:
    head, *rest = textwrap.wrap(words, COLUMNS - 10, break_on_hyphens=False)
    yield f"  {name:<8}{head}"
    for line in rest:
        yield f"{'':<12}{line}"


def _kernels(kernels: Sequence[Kernel]) -> Iterator[str]:
    width = max(len(kernel.target) for kernel in kernels)
    for kernel in kernels:
        release = f"Linux {kernel.release}" if kernel.release else ""
        line = f"  {kernel.target:<{width}}  {release}  {kernel.words}".rstrip()
        if len(line) <= COLUMNS:
            yield line
            continue
        yield f"  {kernel.target:<{width}}  {release}".rstrip()
        yield from _prose(kernel.words, " " * 6)


def _affected(kernels: Sequence[Kernel]) -> Iterator[str]:
    """Which releases show it and which do not, in one sentence; nothing of a single kernel."""
    tried = [kernel for kernel in kernels if kernel.release]
    if len(tried) < 2:
        return
    shows = [kernel.release for kernel in tried if kernel.words.startswith(SHOWS)]
    others = [kernel.release for kernel in tried if kernel.release not in shows]
    words = f"Affected: {', '.join(dict.fromkeys(shows)) or 'none of those tried'}."
    if others:
        words += f" Not: {', '.join(dict.fromkeys(others))}."
    yield from _prose(words)
    yield ""


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()
