"""A mail tells a finding in plain text, whatever stands in the finding."""

from __future__ import annotations

from conformance.program.call import Madvise
from conformance.program.mapping import Kind, Mapping
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from conformance.program.text import FindingTable
from fuzz.findings.mail import COLUMNS, LOG_LINES_MAX, Kernel, mail_text

PROGRAM = Program((Mapping(Kind.ANON, 0, 4),), (Madvise(page_address(1), 2 * PAGE, 4),))
FINDING = FindingTable(
    title="step 1 madvise(arena+1p, 2p, DONTNEED): page 1: kernel kept; model zeros",
    identity="madvise/DONTNEED/anon/madvise-dontneed-content/page.content.written-not-zero",
    verdict="divergence",
    requirement="madvise-dontneed-content, madvise-flags, no-such-rule",
    expected="zeros",
    observed="page 1 of file 0 \u2013 as made " * 9,
    stability="5 of 5 runs",
    found_on="7.3.4, target uml",
)
KERNELS = (
    Kernel("uml", "7.3.4", "shows it, 5 of 5 runs"),
    Kernel("debian:6.12", "", "not run: " + "its image is not here, " * 9),
)


def test_prose_is_ascii_of_72_columns_and_names_the_rules_with_their_source() -> None:
    text = mail_text(PROGRAM, FINDING, KERNELS, "int main(void);\n")
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= COLUMNS
    assert text.count("Requirement ") == 2
    assert text.endswith("\nint main(void);\n")
    assert "  uml          Linux 7.3.4  shows it, 5 of 5 runs\n" in text


def test_the_subject_is_one_line_without_places() -> None:
    subject = mail_text(PROGRAM, FINDING, (), "x").splitlines()[0]
    assert subject.startswith("Subject: [madvet] divergence: madvise DONTNEED:")
    assert "arena" not in subject
    assert len(subject) <= COLUMNS


def test_a_crash_has_the_log_as_it_stood_and_no_more_of_it_than_helps() -> None:
    log = "KASAN: use-after-free in f\n" + "".join(f"[ {n}.0] {'x' * 90}\n" for n in range(99))
    crash = FindingTable(
        title="KASAN: use-after-free in f", identity="kernel/any/any/kernel-quiet/KASAN: x in f",
        verdict="crash", requirement="kernel-quiet", log=log,
    )  # fmt: skip
    text = mail_text(PROGRAM, crash, (), "", "it poisons memory")
    assert text.startswith("Subject: [madvet] crash: KASAN: x in f\n")
    assert f"[ {LOG_LINES_MAX - 2}.0] {'x' * 90}\n" in text
    assert f"({100 - LOG_LINES_MAX} more lines)" in text
    assert "There is no reproducer in C: it poisons memory.\n" in text
