"""madvet findings --from: what several campaigns found, told as bugs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.cli import exit_codes
from ci.cli.main import run
from conformance.oracle.identity import Identity
from conformance.oracle.verdict import Difference, Verdict, VerdictKind
from conformance.program.call import Madvise
from conformance.program.mapping import Kind, Mapping
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from fuzz.findings.finding import Finding
from fuzz.findings.merge import load_folders
from fuzz.findings.store import Store

CALL = Madvise(page_address(0), PAGE, 4)
SMALL = Program((Mapping(Kind.ANON, 0, 1),), (CALL,))
LARGE = Program((Mapping(Kind.ANON, 0, 1),), (CALL, CALL, CALL))


def of_kernel(title: str, program: Program = SMALL, target: str = "uml") -> Finding:
    difference = Difference(1, f"kernel.{title}", title, "says nothing", title, "kernel-quiet")
    verdict = Verdict(VerdictKind.CRASH, (difference,), 0, title, f"{title}\nmore")
    identity = str(Identity("kernel", "any", "any", "kernel-quiet", title))
    return Finding(identity, verdict, program, 2, 2, target, "7.3.4")


def diverging(field: str, target: str = "uml", advice: str = "COLD") -> Finding:
    difference = Difference(1, field, "1", "0", f"step 1: {field}", "madvise-effect")
    identity = str(Identity("madvise", advice, "anon", "madvise-effect", field))
    verdict = Verdict(VerdictKind.DIVERGENCE, (difference,))
    return Finding(identity, verdict, SMALL, 5, 5, target, "7.3.4")


def keep(folder: Path, *findings: Finding) -> None:
    with Store(folder) as store:
        for finding in findings:
            store.keep(finding)


def test_findings_of_several_campaigns_are_told_as_bugs_the_worst_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cold = diverging("result.EINVAL-not-0")
    one, two, into = tmp_path / "one", tmp_path / "two", tmp_path / "into"
    keep(one, cold, cold, of_kernel("KASAN: slab-use-after-free Read in f", program=LARGE))
    keep(
        two, diverging("result.EINVAL-not-0", target="qemu", advice="FREE"),
        of_kernel("general protection fault in f", target="qemu"),
    )  # fmt: skip
    arguments = ["findings", "--from", str(one), "--from", str(two), "--into", str(into)]
    assert run(arguments) == exit_codes.FOUND
    text = capsys.readouterr().out
    assert "2 bugs, 4 findings" in text
    assert f"{into}: 4 findings are new there" in text
    first, second = text.index("[memory corruption]"), text.index("[divergence]")
    assert first < second
    # Named by the smallest program.
    assert "[memory corruption] general protection fault in f" in text
    assert "on qemu (Linux 7.3.4), uml (Linux 7.3.4)" in text
    assert "met 3 times" in text[second:]
    assert run(arguments) == exit_codes.FOUND
    assert f"{into}: 0 findings are new there" in capsys.readouterr().out
    assert len(load_folders([into])) == 4


def test_a_folder_that_is_not_there_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["findings", "--from", str(tmp_path / "none")]) == exit_codes.BAD_INPUT
    assert "no such folder" in capsys.readouterr().err
    assert run(["findings", "--into", str(tmp_path)]) == exit_codes.BAD_INPUT


def test_no_findings_are_no_bugs(tmp_path: Path) -> None:
    keep(tmp_path)
    assert run(["findings", "--from", str(tmp_path)]) == exit_codes.CONFORMANT
