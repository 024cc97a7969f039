"""Findings: identity to slug, the reproducer, and what the store does in bad weather."""

import errno
import multiprocessing
import os
import re
import sqlite3
import tempfile
from pathlib import Path

import pytest

from conformance.oracle.verdict import Difference, Verdict, VerdictKind
from conformance.program.call import Madvise
from conformance.program.mapping import Kind, Mapping
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from conformance.program.text import dumps, loads
from fuzz.findings import atomic_file, store
from fuzz.findings.finding import Finding
from fuzz.findings.reproducer import reproducer
from fuzz.findings.store import FindingsError, Kept, Store

NOBODY = 65534
IDENTITY = "madvise/DONTNEED/anon/madvise-dontneed-content/page.content.written-not-zero"


def program(pages: int = 1) -> Program:
    return Program((Mapping(Kind.ANON, 0, pages),), (Madvise(page_address(0), pages * PAGE, 4),))


def finding(identity: str = IDENTITY, pages: int = 1, shown: int = 5) -> Finding:
    difference = Difference(
        1, "page.content.written-not-zero", "kept", "zeros", "step 1 madvise: page 0: kernel kept",
        "madvise-dontneed-content", 0,
    )  # fmt: skip
    verdict = Verdict(VerdictKind.DIVERGENCE, (difference,))
    return Finding(identity, verdict, program(pages), shown, 5, "host", "6.18.44", 7, 12)


def test_a_reproducer_reads_back_as_the_same_program_and_tells_what_differs() -> None:
    text = reproducer(finding(pages=3, shown=4))
    document = loads(text.encode(), "reproducer")
    assert document.program == program(3)
    assert document.finding is not None
    assert document.finding.identity == IDENTITY
    assert document.finding.stability == "4 of 5 runs"
    assert (document.finding.expected, document.finding.observed) == ("zeros", "kept")
    assert "divergence: step 1 madvise: page 0: kernel kept" in document.comment
    assert "seed 7, program 12" in document.comment


LOG = 'KASAN: x in f\n[   1.0] BUG: "x" in f\\n\n\tindented\n'


def crash(log: str = LOG, pages: int = 1) -> Finding:
    title = log.partition("\n")[0]
    said = Difference(0, f"kernel.{title}", title, "says nothing", title, "kernel-quiet")
    verdict = Verdict(VerdictKind.CRASH, (said,), 0, title, log)
    identity = f"kernel/any/any/kernel-quiet/{title}"
    return Finding(identity, verdict, program(pages), 2, 2, "uml", "7.3.4", 7, 12)


def test_the_reproducer_of_a_crash_holds_the_log_and_is_stable() -> None:
    text = reproducer(crash())
    document = loads(text.encode(), "reproducer")
    assert document.finding is not None
    assert document.finding.log == LOG
    assert dumps(document.program, document.comment, document.finding) == text
    assert "crash: KASAN: x in f" in document.comment
    assert "log" not in reproducer(finding()).partition("[finding]")[2]


def test_a_longer_log_does_not_make_a_smaller_program_larger(tmp_path: Path) -> None:
    with Store(tmp_path) as findings:
        assert findings.keep(crash(pages=30)) is Kept.NEW
        assert findings.keep(crash(LOG + "more\n" * 100, pages=2)) is Kept.SMALLER
        assert findings.keep(crash(pages=30)) is Kept.AGAIN
        (stored,) = findings.findings()
    assert stored.finding.program == program(2)


def test_the_name_of_a_file_holds_nothing_that_a_shell_or_a_file_system_minds() -> None:
    slug = finding("BUG: KASAN/../../etc/passwd in `x` " + "y" * 400).slug
    assert "/" not in slug
    assert "`" not in slug
    assert " " not in slug
    assert not slug.startswith(".")
    assert len(slug) < 200


def test_two_identities_that_look_alike_as_names_have_two_names() -> None:
    assert finding("a b").slug != finding("a/b").slug


def test_the_same_finding_is_kept_once_and_counted(tmp_path: Path) -> None:
    with Store(tmp_path) as findings:
        assert findings.keep(finding()) is Kept.NEW
        assert findings.keep(finding()) is Kept.AGAIN
        assert findings.keep(finding("other/x/y/z/w")) is Kept.NEW
        stored = list(findings.findings())
    assert [entry.seen for entry in stored] == [2, 1]
    assert stored[0].finding == finding()
    assert stored[0].path.read_text() == reproducer(finding())
    assert len(list((tmp_path / store.FOLDER).iterdir())) == 2


def test_a_smaller_program_takes_the_place_of_a_larger_one_and_not_the_reverse(
    tmp_path: Path,
) -> None:
    large = finding(pages=1000)
    with Store(tmp_path) as findings:
        findings.keep(large)
        assert findings.keep(finding(pages=2)) is Kept.SMALLER
        assert findings.keep(large) is Kept.AGAIN
        (stored,) = findings.findings()
    assert stored.finding.program == program(2)
    assert stored.seen == 3
    assert loads(stored.path.read_bytes(), "kept").program == program(2)


def test_beyond_the_limit_findings_are_counted_and_not_kept(tmp_path: Path) -> None:
    with Store(tmp_path, findings_max=2) as findings:
        assert [findings.keep(finding(f"i{n}")) for n in range(4)] == [
            Kept.NEW, Kept.NEW, Kept.DROPPED, Kept.DROPPED,
        ]  # fmt: skip
        assert findings.keep(finding("i3")) is Kept.DROPPED
        assert findings.keep(finding("i0")) is Kept.AGAIN
        assert findings.dropped() == 2


def test_what_was_found_before_is_there_when_the_folder_is_opened_again(tmp_path: Path) -> None:
    with Store(tmp_path) as findings:
        findings.keep(finding())
    with Store(tmp_path) as findings:
        assert [entry.finding for entry in findings.findings()] == [finding()]
        assert findings.keep(finding()) is Kept.AGAIN


def test_a_reproducer_that_got_lost_is_written_again(tmp_path: Path) -> None:
    with Store(tmp_path) as findings:
        findings.keep(finding())
        path = findings.path_of(finding())
    path.unlink()
    Store(tmp_path).close()
    assert path.read_text() == reproducer(finding())


def test_a_full_disk_is_told_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    findings = Store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(store, "write_atomically", no_space)
        with pytest.raises(FindingsError, match=r"No space left on device.*make room there"):
            findings.keep(finding())
    assert [entry.seen for entry in findings.findings()] == [1]
    assert not findings.path_of(finding()).exists()
    findings.keep(finding("the next one"))
    assert findings.path_of(finding()).read_text() == reproducer(finding())
    findings.close()


def test_a_database_without_room_keeps_the_finding_in_memory_and_tries_again(
    tmp_path: Path,
) -> None:
    findings = Store(tmp_path)
    database = findings._database
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    big = finding("big/1/2/3/4", pages=7)
    many = [finding(f"n{n}/" + "x" * 900) for n in range(20)]
    room = len([None for entry in [big, *many] if _kept(findings, entry)])
    assert 0 < len(findings.unwritten) == 1 + len(many) - room
    with pytest.raises(FindingsError, match="disk is full"):
        findings.keep(big)
    database.execute("PRAGMA max_page_count = 100000")
    findings.keep(big)
    assert findings.unwritten == []
    assert {entry.finding.identity for entry in findings.findings()} == {
        entry.identity for entry in [big, *many]
    }
    findings.close()


def _kept(findings: Store, entry: Finding) -> bool:
    try:
        findings.keep(entry)
    except FindingsError:
        return False
    return True


def test_a_folder_that_cannot_be_made_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FindingsError, match=r"file.*choose another folder with --out"):
        Store(tmp_path / "file" / "out")


def _open_as_nobody(folder: str, answer: "multiprocessing.Queue[str]") -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresuid(NOBODY, NOBODY, NOBODY)
    try:
        Store(Path(folder)).close()
    except FindingsError as error:
        answer.put(str(error))
    else:
        answer.put("it was opened")


def test_an_unwritable_folder_is_told(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as top:  # where nobody may enter, unlike tmp_path
        os.chmod(top, 0o555)
        context = multiprocessing.get_context("fork")
        answer: multiprocessing.Queue[str] = context.Queue()
        process = context.Process(target=_open_as_nobody, args=(f"{top}/out", answer))
        process.start()
        said = answer.get(timeout=30)
        process.join(30)
    assert re.search(r"Permission denied; .*not writable for this user: choose another", said), said


def test_a_file_that_is_no_database_is_told_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / store.DATABASE).write_bytes(b"precious" * 1000)
    with pytest.raises(FindingsError, match="not a database"):
        Store(tmp_path)
    assert (tmp_path / store.DATABASE).read_bytes() == b"precious" * 1000


def test_a_database_of_another_version_is_told(tmp_path: Path) -> None:
    Store(tmp_path).close()
    database = sqlite3.connect(tmp_path / store.DATABASE)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(FindingsError, match="schema 99"):
        Store(tmp_path)


def _campaign(folder: Path, number: int) -> None:
    with Store(folder) as findings:
        for n in range(20):
            findings.keep(finding(f"shared{n}/a/b/c/d"))
            findings.keep(finding(f"own{number}.{n}/a/b/c/d"))


def test_campaigns_in_one_folder_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    campaigns = [context.Process(target=_campaign, args=(tmp_path, n)) for n in range(4)]
    for campaign in campaigns:
        campaign.start()
    for campaign in campaigns:
        campaign.join(60)
        assert campaign.exitcode == 0
    with Store(tmp_path) as findings:
        seen = {entry.finding.identity: entry.seen for entry in findings.findings()}
        assert all(entry.path.exists() for entry in findings.findings())
    assert {seen[f"shared{n}/a/b/c/d"] for n in range(20)} == {4}
    assert len(seen) == 20 + 4 * 20


def test_a_file_that_could_not_be_written_leaves_the_old_one_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept.toml"
    atomic_file.write_atomically(path, b"old")

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        atomic_file.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.toml"]
