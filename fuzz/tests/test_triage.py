"""Triage: which findings are one bug, which come first, and what to know of a report's title."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.oracle.crash_titles import alternatives, cut_short, same_bug, suppressed
from conformance.oracle.identity import Identity
from conformance.oracle.verdict import Difference, Verdict, VerdictKind
from conformance.program.call import Madvise
from conformance.program.mapping import Kind, Mapping
from conformance.program.outcome import CUT_SHORT
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from conformance.program.text import loads
from conformance.target.kernel_log import find_reports
from fuzz.findings.finding import Finding
from fuzz.findings.mail import Kernel, mail_text
from fuzz.findings.merge import bugs, load_folders, merge_into
from fuzz.findings.reproducer import reproducer
from fuzz.findings.severity import Severity, severity
from fuzz.findings.store import FindingsError, Store, Stored

ROOT = Path(__file__).resolve().parents[2]
CONSOLE = ROOT / "corpus" / "console"
CALL = Madvise(page_address(0), PAGE, 4)
SMALL = Program((Mapping(Kind.ANON, 0, 1),), (CALL,))
LARGE = Program((Mapping(Kind.ANON, 0, 1),), (CALL, CALL, CALL))


def of_kernel(title: str, log: str = "", program: Program = SMALL, target: str = "uml") -> Finding:
    difference = Difference(1, f"kernel.{title}", title, "says nothing", title, "kernel-quiet")
    verdict = Verdict(VerdictKind.CRASH, (difference,), 0, title, log or f"{title}\nmore")
    identity = str(Identity("kernel", "any", "any", "kernel-quiet", title))
    return Finding(identity, verdict, program, 2, 2, target, "7.3.4")


def diverging(
    field: str,
    kind: VerdictKind = VerdictKind.DIVERGENCE,
    target: str = "uml",
    advice: str = "COLD",
) -> Finding:
    difference = Difference(1, field, "1", "0", f"step 1: {field}", "madvise-effect")
    identity = str(Identity("madvise", advice, "anon", "madvise-effect", field))
    return Finding(identity, Verdict(kind, (difference,)), SMALL, 5, 5, target, "7.3.4")


def titles() -> set[str]:
    found = set()
    for path in CONSOLE.glob("*.txt"):
        found |= {report.title for report in find_reports(path.read_text().partition("\n\n")[2])}
    return found


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("KASAN: slab-use-after-free Read in f", "general protection fault in f", True),
        ("KASAN: slab-use-after-free Read in f", "KASAN: double-free in f", True),
        ("KASAN: slab-use-after-free Read in f", "KASAN: slab-use-after-free Read in g", False),
        ("INFO: task hung in f", "BUG: soft lockup in f", True),
        ("INFO: task hung in f", "general protection fault in f", False),
        ("WARNING in f", "WARNING in f", True),
        ("WARNING in f", "WARNING in g", False),
        ("leak: mm_struct", "leak: vm_area_struct", False),
    ],
)
def test_titles_of_one_bug(one: str, other: str, same: bool) -> None:
    assert same_bug(one, other) == same_bug(other, one) == same
    first, second = of_kernel(one), of_kernel(other)
    assert len(bugs_of(first, second)) == (1 if same else 2)
    identities = [Identity("kernel", "any", "any", "kernel-quiet", t) for t in (one, other)]
    assert identities[0].alike(identities[1]) == same


def bugs_of(*findings: Finding) -> list[tuple[str, ...]]:
    stored = [Stored(finding, 1, Path(finding.slug)) for finding in findings]
    return [tuple(one.finding.identity for one in bug.findings) for bug in bugs(stored)]


def test_every_title_that_was_seen_has_a_severity_and_few_are_suppressed() -> None:
    seen = titles()
    assert len(seen) > 50
    silent = {title for title in seen if suppressed(title)}
    assert silent == {
        "BUG: MAX_LOCKDEP_CHAINS too low", "kernel panic: System is deadlocked on memory",
    }  # fmt: skip
    for title in seen:
        worst = of_kernel(title).severity
        assert (worst is Severity.SUPPRESSED) == (title in silent)
        if alternatives(title) and title.startswith(("KASAN: slab", "KFENCE")):
            assert worst is Severity.MEMORY_CORRUPTION


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (of_kernel("KASAN: slab-out-of-bounds Write in f"), Severity.MEMORY_CORRUPTION),
        (of_kernel("BUG: corrupted list in f"), Severity.MEMORY_CORRUPTION),
        (of_kernel("BUG: Poison overwritten in kmalloc-64"), Severity.MEMORY_CORRUPTION),
        (of_kernel("kernel panic: stack is corrupted in f"), Severity.MEMORY_CORRUPTION),
        (of_kernel("BUG: unable to handle kernel NULL pointer dereference in f"), Severity.CRASH),
        (of_kernel("KASAN: null-ptr-deref Read in f"), Severity.CRASH),
        (of_kernel("kernel BUG in f"), Severity.CRASH),
        (of_kernel("INFO: task hung in f"), Severity.HANG),
        (of_kernel("leak: mm_struct"), Severity.RESOURCE_LEAK),
        (of_kernel("WARNING in f"), Severity.KERNEL_CHECK),
        (of_kernel("possible deadlock in f"), Severity.KERNEL_CHECK),
        (of_kernel("BUG: MAX_LOCKDEP_CHAINS too low"), Severity.SUPPRESSED),
        (diverging("stats.leak", VerdictKind.LEAK), Severity.KERNEL_BYTES),
        (diverging("hang", VerdictKind.HANG), Severity.HANG),
        (diverging("crash.SIGSEGV", VerdictKind.CRASH), Severity.PROCESS_DIES),
        (diverging("stats.padding", VerdictKind.ABI_MISHANDLING), Severity.ABI),
        (diverging("page.content.written-not-zero"), Severity.WRONG_CONTENT),
        (diverging("result.EINVAL-not-0"), Severity.DIVERGENCE),
    ],
)
def test_what_is_at_stake(finding: Finding, expected: Severity) -> None:
    assert finding.severity is expected


def test_the_order_is_the_one_that_is_documented_with_its_reasons() -> None:
    text = (ROOT / "docs" / "triage.md").read_text(encoding="utf-8")
    places = [text.index(f"| {one.label} | {one.why} |") for one in Severity]
    assert places == sorted(places)
    assert [*Severity][:4] == [
        Severity.MEMORY_CORRUPTION, Severity.KERNEL_BYTES, Severity.CRASH, Severity.HANG,
    ]  # fmt: skip
    assert severity("not/an/identity", "divergence") is Severity.DIVERGENCE


def test_a_report_that_was_cut_short_is_marked_wherever_it_is_told() -> None:
    text = (CONSOLE / "cut-short-kasan.txt").read_text().partition("\n\n")[2]
    (report,) = find_reports(text)
    assert cut_short(report.log)
    finding = of_kernel(report.title, report.log)
    assert finding.marks == "its report was cut short"
    assert "Mind: its report was cut short." in reproducer(finding)
    whole = of_kernel(report.title)
    assert not whole.marks
    assert "Mind:" not in reproducer(whole)
    assert CUT_SHORT not in whole.verdict.log


def test_the_file_and_the_mail_tell_the_severity() -> None:
    finding = of_kernel("KASAN: slab-use-after-free Read in f", f"KASAN: x\n{CUT_SHORT}\nlines")
    document = loads(reproducer(finding).encode(), "finding.toml")
    table = document.finding
    assert table is not None
    assert table.severity == "memory corruption"
    kernels = [
        Kernel("uml", "7.3.4", "shows it, 2 of 2 runs"),
        Kernel("debian:6.12", "6.12.9", "as expected"),
        Kernel("debian:6.1", "", "not run: not here"),
    ]
    text = mail_text(document.program, table, kernels, "int main(void);")
    assert "Severity: memory corruption: the kernel's own memory" in text
    assert "Mind:     its report was cut short" in text
    assert "Affected: 7.3.4. Not: 6.12.9." in text
    assert "Affected" not in mail_text(document.program, table, kernels[:1], "x")


def keep(folder: Path, *findings: Finding) -> None:
    with Store(folder) as store:
        for finding in findings:
            store.keep(finding)


def test_what_was_met_elsewhere_is_added_up(tmp_path: Path) -> None:
    one, into = tmp_path / "one", tmp_path / "into"
    keep(one, *[diverging("result.EINVAL-not-0")] * 5)
    keep(into, diverging("result.EINVAL-not-0"))
    assert merge_into(into, load_folders([one])) == 0
    (stored,) = load_folders([into])
    assert stored.seen == 6


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FindingsError, match="no such folder"):
        load_folders([tmp_path / "none"])
