"""The executor as a process: arguments, bad input, users, small rings; and how it is built."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conformance.program import call as c
from conformance.program.mapping import Backing, FileSlot, Kind, Mapping
from conformance.program.outcome import Status
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from conformance.program.wire import Op
from conformance.target import executor_build
from conformance.target.executor_build import ExecutorUnavailable, build_executor
from conformance.tests.executor_driver import Executor, raw_program

PLAIN = Program((Mapping(Kind.ANON, 0, 1),), (c.TouchPages(0),))
HEAD = raw_program([])


def said_by(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [str(build_executor()), *arguments], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--frobnicate",), 2, "frobnicate"),
        (("--ring", "three"), 2, '--ring takes a number, not "three"'),
        (("--deadline-ms", "-1"), 2, "--deadline-ms takes a number"),
        (("left", "over"), 2, '"left"'),
        ((), 3, "--ring and --ring-bytes"),
        (("--ring", "77", "--ring-bytes", "65536"), 3, "no file of 65536 bytes"),
        (("--selftest", "--mutant", "1"), 3, "no mutants"),
    ],
)
def test_bad_arguments(arguments: tuple[str, ...], status: int, words: str) -> None:
    returned, said = said_by(*arguments)
    assert returned == status
    assert words in said
    assert len(said.splitlines()) == 1


def test_self_test() -> None:
    assert said_by("--selftest") == (0, "")
    assert said_by("--selftest", "--no-bpf") == (0, "")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (HEAD[:16], "does not start with the word of a program"),
        (b"\0" * 64, "does not start with the word of a program"),
        (HEAD[:24] + (5).to_bytes(8, "little"), "fewer ops than it says"),
        (raw_program([(99,)]), "unknown code"),
        (raw_program([(Op.SYSCALL, 1)]), "wrong size"),
        (raw_program([(Op.POKE, page_address(0), 64, 1)]), "fewer data words than bytes"),
        (raw_program([(Op.POKE, 0x4000_0000, 8, 1)]), "neither in the arena nor in a zone"),
        (raw_program([(Op.PEEK, 0x4000_0000, 8)]), "neither in the arena nor in a zone"),
        (raw_program([(Op.TOUCH, 2047 | 2 << 32, 1, 1)]), "beyond the arena"),
        (raw_program([(Op.FILE, 8, 0, 1)]), "no such slot"),
        (raw_program([(Op.FILE, 0, 3, 1)]), "no such slot"),
        (raw_program([], arena_pages=2049), "arena is too large"),
    ],
)
def test_malformed_programs_end_the_executor(tmp_path: Path, program: bytes, words: str) -> None:
    """They are the harness's fault: no outcome is made up for them."""
    running = Executor(build_executor(), tmp_path)
    with pytest.raises(EOFError, match="status 3"):
        running.run([program])
    assert words in running.said()


def test_an_outcome_too_large_for_the_ring(tmp_path: Path) -> None:
    """1 KiB of pages do not fit a part of one page next to 2 KiB of others."""
    large = Program((Mapping(Kind.ANON, 0, 600),), (c.TouchPages(0),))
    with Executor(build_executor(), tmp_path, ring_bytes=4 * PAGE) as running:
        before, middle, after = running.run([PLAIN, large, PLAIN])
        assert middle.status is Status.NOT_RUN
        assert before == after
        assert before.status is Status.DONE
        assert "does not fit" in running.said()


def test_both_parts_of_the_ring(tmp_path: Path) -> None:
    with Executor(build_executor(), tmp_path) as running:
        running.submit([PLAIN] * 3, part=0)
        running.submit([PLAIN] * 2, part=1)
        first, second = running.collect(3, part=0), running.collect(2, part=1)
    assert {*first, *second} == {first[0]}


def test_more_programs_than_one_process_runs(tmp_path: Path) -> None:
    with Executor(build_executor(), tmp_path) as running:
        outcomes = running.run([PLAIN] * 300)
        assert running.close() == 0
    assert set(outcomes) == {outcomes[0]}


def test_more_files_than_the_pool_keeps(tmp_path: Path) -> None:
    """Every size is a file of its own; all are opened, none is left behind."""
    programs = [
        Program(
            (Mapping(Kind.DISK, 0, 1, file=slot),),
            (c.TouchPages(0, 1, write=False),),
            (*[FileSlot(Backing.DISK, 1)] * slot, FileSlot(Backing.DISK, pages)),
        )
        for pages in range(1, 60)
        for slot in (0, 3)
    ]
    with Executor(build_executor(), tmp_path) as running:
        outcomes = running.run(programs)
    assert {outcome.status for outcome in outcomes} == {Status.DONE}
    assert {outcome.results[-1] for outcome in outcomes} == {1}
    assert [path.name for path in tmp_path.iterdir()] == ["stderr"]


def test_a_backing_that_is_not_there(tmp_path: Path) -> None:
    program = Program((Mapping(Kind.DISK, 0, 1),), (c.TouchPages(0),), (FileSlot(Backing.DISK, 1),))
    gone = tmp_path / "gone"
    gone.mkdir()
    with Executor(build_executor(), gone) as running:
        shutil.rmtree(gone)
        assert [o.status for o in running.run([program, PLAIN])] == [Status.NOT_RUN, Status.DONE]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No BPF, no capabilities, no home."""
    nobody = pwd.getpwnam("nobody").pw_uid
    folder = Path("/var/tmp") / f"madvet-test-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        binary = folder / "executor"
        shutil.copy(build_executor(), binary)
        tmp = folder / "tmp"
        tmp.mkdir()
        os.chown(tmp, nobody, nobody)
        slots = tuple(FileSlot(backing, 2) for backing in Backing)
        layout = tuple(
            Mapping(Kind(slot.backing.value), 4 * at, 2, file=at) for at, slot in enumerate(slots)
        )
        program = Program(layout, (c.TouchPages(0, 2), c.TouchPages(4, 2)), slots)
        with Executor(binary, tmp, user=nobody) as running:
            assert running.flags == 0
            plain = running.one(program)
            whole = running.one(Program(layout, program.steps, slots, whole=True))
        assert plain.status is Status.DONE
        assert plain.results[-2:] == (2, 2)
        assert whole.results == plain.results
        assert whole.snapshots == plain.snapshots
    finally:
        shutil.rmtree(folder)


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler --option")
    with pytest.raises(ExecutorUnavailable, match=r"^\$CC is no-such-compiler, which is not on"):
        build_executor()
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ExecutorUnavailable, match=r"^no C compiler .* install gcc$"):
        build_executor()


def test_a_compiler_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fails = tmp_path / "fails"
    fails.write_text("#!/bin/sh\necho 'x.c:1: error: no' >&2\nexit 1\n", encoding="ascii")
    fails.chmod(0o755)
    monkeypatch.setenv("CC", str(fails))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ExecutorUnavailable, match=r"cannot build the executor: x\.c:1: error: no"):
        build_executor()
    left = {path.suffix for path in (tmp_path / "cache" / "madvet").iterdir()}
    assert left == {"", ".log"}  # the lock and the log; no unfinished executable


def test_a_cache_that_others_can_write_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shared = tmp_path / "madvet"
    shared.mkdir()
    shared.chmod(0o777)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(home))
    assert executor_build._cache_folder() == home / ".cache" / "madvet"
    (home / ".cache" / "madvet").chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert executor_build._cache_folder() == tmp_path / f"madvet-cache-{os.geteuid()}"


def test_old_builds_are_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "madvet"
    folder.mkdir(mode=0o700)
    for name, age in (("executor-old", executor_build.KEPT_SECONDS + 60), ("executor-new", 60)):
        (folder / name).write_bytes(b"")
        then = time.time() - age
        os.utime(folder / name, (then, then))
    built = build_executor()
    assert {path.name for path in folder.iterdir()} == {built.name, "executor-new", "lock"}


def test_builders_do_not_disturb_each_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One builds, the others wait for it and find it."""
    counting = tmp_path / "cc"
    compiler = shutil.which("cc")
    counting.write_text(
        f'#!/bin/sh\ncase "$*" in *--version*) ;; *) echo >> {tmp_path}/count ;; esac\n'
        f'exec {compiler} "$@"\n',
        encoding="ascii",
    )
    counting.chmod(0o755)
    monkeypatch.setenv("CC", str(counting))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with ThreadPoolExecutor(4) as threads:
        built = [future.result() for future in [threads.submit(build_executor) for _ in range(4)]]
    assert len(set(built)) == 1
    assert built[0].stat().st_mode & 0o111
    assert (tmp_path / "count").read_text(encoding="ascii") == "\n"
