"""docs/findings: a page for each finding, and one that lists them, made from the corpus."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ci.gate.compare import FULL_LOOK
from ci.gate.findings import Kind, Known
from ci.gate.index import program_at
from ci.gate.programs import CORPUS
from ci.report.draw import draw
from conformance.abi.advice import ADVICES
from conformance.model.predict import predict
from conformance.oracle.expected_change import with_facts
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.program.program import Program
from conformance.program.step_words import step_words
from conformance.spec.registry import text_of

COLUMNS: Final = 100
DRAWN_COLUMNS: Final = 90
LIST_PAGE: Final = "README.md"
ROWS_DRAWN_MAX: Final = 60  # lines of a picture; a vector of hundreds of elements needs no more
# What the pictures are drawn for: no machine in particular, but Linux 7.3, so that
# they are the same everywhere.
DRAWN_FOR: Final = KernelFacts(
    release="7.3",
    advices=tuple(advice.value for advice in ADVICES),
    ranges_call=RangesCall.ABSENT,
    hugetlb_pages_free=16,
    vvar_pages=4,
    vvar_flags=58753041,  # rd mr de dd mm, as 7.3 has it
    secretmem_flags=25166011,  # rd wr sh mr mw ms dd
    disk_fs="ext4",
    dofork_refuses_special=True,
    collapse_below_pmd_ok=True,
    mremap_joins_source=False,
    mremap_splits_locked=True,
    mremap_merges_uffd=False,
    anon_pgoff_apart=True,
)
KINDS: Final = {Kind.BUG: "Mistakes", Kind.UNDOCUMENTED: "Not in the manual pages"}


def pages(findings: tuple[Known, ...]) -> dict[str, str]:
    """The text of each file, by its name. Raises IndexFileError."""
    out = {f"{finding.id}.md": "\n".join(_page(finding)) for finding in findings}
    out[LIST_PAGE] = "\n".join(_list(findings))
    return out


def _list(findings: tuple[Known, ...]) -> Iterator[str]:
    yield "# Findings"
    yield ""
    yield from _wrapped(
        "What released kernels do that is a mistake, or that no manual page says. Each was seen on "
        "Debian's kernels, and can be seen again: `madvet findings --target debian:7.3`. These "
        "pages are made from [corpus/findings](../../corpus/findings/index.toml) by "
        "`madvet findings --write docs/findings`."
    )
    for kind, title in KINDS.items():
        yield ""
        yield f"## {title}"
        yield ""
        yield "| finding | releases |"
        yield "|---|---|"
        for finding in findings:
            if finding.kind is kind:
                yield f"| [{finding.title}]({finding.id}.md) | {bounds(finding)} |"
    yield ""


def bounds(finding: Known) -> str:
    """The releases that have it, in words."""
    if finding.since and finding.until:
        return f"{finding.since} to {finding.until}"
    if finding.since:
        return f"since {finding.since}"
    return f"until {finding.until}" if finding.until else "all"


def _page(finding: Known) -> Iterator[str]:
    program = program_at(finding.program)
    yield f"# {finding.title}"
    yield ""
    yield from _wrapped(finding.what)
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| releases | {bounds(finding)} |"
    yield f"| seen on Debian's | {', '.join(finding.shows)} |"
    if finding.shows_not:
        yield f"| and not on | {', '.join(finding.shows_not)} |"
    yield f"| manual page | {_line(finding.manual)} |"
    yield f"| cause | {_line(finding.cause)} |"
    yield f"| source | {_line(finding.reference)} |"
    for name in finding.requirements:
        yield f"| requirement | `{name}`: {_line(text_of(name))} |"
    yield ""
    yield "## What is done, and what happens"
    yield ""
    yield "```text"
    yield from _picture(finding, program)
    yield "```"
    yield ""
    yield "| call | result |"
    yield "|---|---|"
    for step, result in zip(program.steps, finding.results, strict=True):
        yield f"| `{_short(step_words(step))}` | {result} |"
    yield ""
    yield from _reproducer(finding)


def _picture(finding: Known, program: Program) -> Iterator[str]:
    """The layout and the calls; with what is mapped after each, where the model knows it."""
    prediction = None
    if not finding.ledger:
        facts = with_facts(DRAWN_FOR, finding.facts)
        prediction = predict(program, facts, observe=int(FULL_LOOK))
    drawn = draw(program, prediction, width=DRAWN_COLUMNS).plain.rstrip("\n").splitlines()
    yield from (line.rstrip() for line in drawn[:ROWS_DRAWN_MAX])
    if len(drawn) > ROWS_DRAWN_MAX:
        yield "..."


def _reproducer(finding: Known) -> Iterator[str]:
    path = CORPUS / finding.program
    text = path.read_text(encoding="utf-8").rstrip("\n").splitlines()
    body = [line for line in text if not line.startswith("#")]
    yield "## Reproducer"
    yield ""
    yield f"[corpus/{finding.program}](../../corpus/{finding.program}):"
    yield ""
    yield "```toml"
    yield from body[:ROWS_DRAWN_MAX]
    if len(body) > ROWS_DRAWN_MAX:
        yield "# ... and so on: the file has all of it"
    yield "```"
    yield ""
    yield f"    madvet show corpus/{finding.program} --target host  # drawn, as this kernel does it"
    yield f"    madvet reproducer corpus/{finding.program}  # the same in C"
    yield ""


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _short(text: str) -> str:
    return text if len(text) <= COLUMNS else f"{text[:COLUMNS]}..."


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), COLUMNS, break_on_hyphens=False)


def differing(folder: Path, wanted: dict[str, str]) -> list[str]:
    """Files of a folder that are not as they must be: missing, of another text, or left over."""
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    names = sorted(there.keys() | wanted.keys())
    return [name for name in names if there.get(name) != wanted.get(name)]
