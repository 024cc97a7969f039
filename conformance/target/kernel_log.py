"""The console of a guest, read: which reports a kernel printed, each with a title.

The console is text from a kernel that may be dying: cut short, interleaved, without line ends.
Whatever it holds, reading it raises nothing, and what looks like a report gets a title.

The plan of the tree had this among the triage of findings; it is here because a target must know
whether its kernel still can be trusted before it runs the next program.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from conformance.program.outcome import CUT_SHORT
from conformance.target.kernel_log_formats import CONSEQUENCE, FORMATS, PANIC, Format
from conformance.target.kernel_stack import has_trace, interesting

# A KASAN report with its stacks and memory dump takes 90 lines, lockdep's longest some 150.
REPORT_LINES_MAX: Final = 200
HEAD_LINES: Final = 8  # in which a report says what it is
EXCERPT_LINES_MAX: Final = 120
LINE_CHARACTERS_MAX: Final = 300  # of a line in an excerpt
TITLE_CHARACTERS_MAX: Final = 120
REPORTS_MAX: Final = 100  # of one log; a kernel that prints more has no more to say

# What a target itself reports of a guest; see made_report().
SILENT: Final = "no output from guest"  # it lives, and answered nothing before its deadline
LOST: Final = "lost connection to guest"  # it ended, and its log does not say why

# "[    1.234567] ", with CONFIG_PRINTK_CALLER "[    1.234567][   T42] "; a log level before it
# when the console shows it.
_PREFIX: Final = re.compile(r"^(?:<[0-7]>)?\[ *[0-9]+\.[0-9]+\](?:\[ *[TC][0-9]+\])? ?")
_UNPRINTABLE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[^\t\x20-\x7e]")
_CUT_HERE: Final = re.compile(r"^-+\[ cut here \]-+$")
_END_TRACE: Final = re.compile(r"^---\[ end (?:trace|Kernel panic)")
_RULE: Final = re.compile(r"^={30,}$")  # above and below a report of KASAN
_NUMBER: Final = re.compile(r"\b0x[0-9a-f]+\b|\b[0-9a-f]{8,}\b|\b[0-9]+\b")


class Report(NamedTuple):
    """One report.

    title: in syzkaller's style; no address, number or offset in it. excerpt: the lines it was
    made from, at most EXCERPT_LINES_MAX; the first line is CUT_SHORT if some are missing.
    fatal: the kernel said that it stops here, or the guest is gone. format: the name of the
    row in kernel_log_formats, "" for one that a target made.
    """

    title: str
    excerpt: str
    fatal: bool
    format: str = ""

    @property
    def log(self) -> str:
        """As Outcome.log has it: the title, then the excerpt."""
        return f"{self.title}\n{self.excerpt}" if self.excerpt else self.title


def find_reports(text: str) -> tuple[Report, ...]:
    """Every report in a console's text, in the order in which they begin.

    A panic that follows from a report belongs to it, and makes it fatal. What a kernel prints
    when all is well gives none.
    """
    lines = [_clean(line) for line in text.split("\n")]
    out: list[Report] = []
    for part in _parts(lines):
        report = _report(part)
        if report is not None:
            out.append(report)
        if len(out) >= REPORTS_MAX:
            break
    return tuple(out)


def made_report(title: str, console: str) -> Report:
    """A report of what a guest did not say (SILENT, LOST), with the end of its console."""
    lines = [_clean(line) for line in console.rstrip().split("\n")]
    return Report(title, _excerpt(lines[-EXCERPT_LINES_MAX:], False), True)


def _clean(line: str) -> str:
    """A line without time stamp and without what a terminal would not print."""
    return _UNPRINTABLE.sub("", _PREFIX.sub("", line.rstrip("\r")))


def _matches(line: str) -> Format | None:
    """The first format that begins with such a line."""
    if not line or line[0] == " ":
        return None
    return next((row for row in FORMATS if row.line.search(line)), None)


def _parts(lines: Sequence[str]) -> Iterator[list[str]]:
    """The log cut into pieces that hold one report each: from its first line on to where the
    next begins, to its end mark, or to REPORT_LINES_MAX."""
    part: list[str] = []
    traced = False  # the part's own call trace has begun: another first line is another report
    ended = False  # its end mark was seen: only a panic that follows from it still belongs to it
    for line in lines:
        if part and CONSEQUENCE.match(line):
            part.append(line)
            ended = traced  # the panic's own stack says nothing new, but where there is no other
            continue
        begins = _CUT_HERE.match(line) is not None or _matches(line) is not None
        # A second line about the same ("refcount_t: ..." and "WARNING: ...") begins nothing.
        if begins and (not part or traced or ended):
            if part:
                yield part
            part, traced, ended = [line], False, False
        elif part and not ended and len(part) < REPORT_LINES_MAX:
            part.append(line)
            ended = _END_TRACE.match(line) is not None or (traced and _RULE.match(line) is not None)
            traced = traced or "Call Trace:" in line
    if part:
        yield part


def _report(lines: list[str]) -> Report | None:
    """The report in a part; None when it holds a mark and nothing else."""
    found = [(row, line) for line in lines[:HEAD_LINES] if (row := _matches(line)) is not None]
    if not found:
        return None
    row, line = min(found, key=lambda entry: FORMATS.index(entry[0]))
    values, whole = _values(row, line, lines)
    title = row.title if values.get("func", "") else row.title.replace(" in {func}", "")
    title = " ".join(title.format_map(values).split())
    fatal = any(PANIC.match(line) for line in lines)
    return Report(title[:TITLE_CHARACTERS_MAX], _excerpt(lines, not whole), fatal, row.name)


def _values(row: Format, line: str, lines: Sequence[str]) -> tuple[dict[str, str], bool]:
    """What goes into the title, and whether all of it was found."""
    match = row.line.search(line)
    assert match is not None, "the row was chosen because it matches"
    values = {name: value or "" for name, value in match.groupdict().items()}
    whole = True
    if row.detail is not None:
        found = next((m for text in lines if (m := row.detail.search(text))), None)
        for name in row.detail.groupindex:
            values[name] = found[name] if found else ""
        whole = found is not None
    if "text" in values:
        values["text"] = _NUMBER.sub("N", values["text"]).strip(" .!,:")
    if "{func}" in row.title:
        own = [values["func"]] if values.get("func") else []
        values["func"] = _function([own, *(find(lines) for find in row.where)])
        whole = whole and interesting(values["func"]) and has_trace(lines)
    return values, whole


def _function(sources: Iterable[Iterable[str]]) -> str:
    """The first function of interest; where none is, the first named at all; "" for none."""
    first = ""
    for source in sources:
        for function in source:
            if interesting(function):
                return function
            first = first or function
    return first


def _excerpt(lines: Sequence[str], corrupted: bool) -> str:
    kept = [line.rstrip()[:LINE_CHARACTERS_MAX] for line in lines[:EXCERPT_LINES_MAX]]
    while kept and not kept[-1]:
        kept.pop()
    return "\n".join([CUT_SHORT, *kept] if corrupted else kept)
