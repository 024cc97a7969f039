"""The targets of this machine keep the contract, say what they lack, and work for any user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.program.call import TouchPages
from conformance.program.mapping import Backing, FileSlot, Kind, Mapping
from conformance.program.outcome import Status
from conformance.program.program import Program
from conformance.target.executor_target import (
    NOT_PREPARED,
    ExecutorTarget,
    Options,
    choose_tmp_root,
)
from conformance.target.host import open_host
from conformance.target.registry import open_target, opener
from conformance.target.target import Target, TargetError, TargetNameError
from conformance.target.target_contract import CLAUSES, MakeTarget, try_clause

DEADLINE_MS = 500
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("bpf", [True, False], ids=["bpf", "smaps"])
@pytest.mark.parametrize("name", ["host", "shim"])
@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.__name__)
def test_contract(
    tmp_path: Path, clause: Callable[[MakeTarget], None], name: str, bpf: bool
) -> None:
    def make_target() -> Target:
        options = Options(tmp_root=tmp_path, bpf=bpf, program_deadline_ms=DEADLINE_MS)
        return open_target(name, options)

    assert try_clause(clause, make_target).skipped == ""
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_prepared_is_not_run(tmp_path: Path) -> None:
    on_disk = Program(
        (Mapping(Kind.DISK, at=0, pages=3),), (TouchPages(0),), (FileSlot(Backing.DISK, 3),)
    )
    plain = Program((Mapping(Kind.ANON, at=0, pages=3),), (TouchPages(0),))
    with open_host(Options(tmp_root=tmp_path)) as target:
        shutil.rmtree(target.folder)
        before, not_run, after = target.run_batch([plain, on_disk, plain])
    assert (not_run.status, not_run.reason) == (Status.NOT_RUN, NOT_PREPARED)
    assert before == after
    assert before.status is Status.DONE


@pytest.mark.parametrize(
    "name",
    ["", "hosts", "Shim", "shim:mutant=", "shim:mutant=0", "shim:mutant=x", "shim:mutant=+1"],
)
def test_an_unknown_target_lists_those_there_are(name: str) -> None:
    with pytest.raises(TargetNameError) as caught:
        open_target(name)
    assert str(caught.value) == (
        f"there is no target {name!r}; targets are: host, shim, shim:mutant=N, uml, qemu, "
        "qemu-debug, qemu-smp, qemu-debug-smp, qemu-icount, uml:mutant=N, qemu-debug:mutant=N, "
        "qemu-debug-smp:mutant=N, debian:REL, kernel:FILE"
    )


def test_the_name_is_the_one_asked_for(tmp_path: Path) -> None:
    for name in ("host", "shim", "shim:mutant=1"):
        with open_target(name, Options(tmp_root=tmp_path)) as target:
            assert target.name == name


@pytest.mark.parametrize(
    ("place", "number", "ranges"),
    [
        ("shim", 9999, "1 to "),
        ("uml", 34, "1 to 33, 100 to "),
        ("qemu-debug", 9999, "201 to "),
    ],
)
def test_a_mutant_that_is_not_there_is_an_error(place: str, number: int, ranges: str) -> None:
    with pytest.raises(TargetNameError, match=rf"^{place} has no mutant {number}; its [0-9]+ are"):
        opener(f"{place}:mutant={number}")
    with pytest.raises(TargetNameError, match=ranges):
        opener(f"{place}:mutant={number}")


def test_a_guests_mutant_that_is_there_is_none() -> None:
    for number in (0, 1, 101, 201):
        assert callable(opener(f"uml:mutant={number}"))


def test_no_compiler_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(TargetError) as caught:
        open_host()
    assert "no C compiler" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_executor_that_is_no_program_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"cannot start the executor .*missing"):
        ExecutorTarget("host", [str(tmp_path / "missing")], Options(tmp_root=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_temporary_files_lie_where_tmpdir_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert choose_tmp_root() == tmp_path


AS_NOBODY = """
import os, pwd
from conformance.target.registry import open_target, opener
from conformance.target.target_contract import outcomes_in_order, same_again
nobody = pwd.getpwnam("nobody")
os.setgroups([])
os.setgid(nobody.pw_gid)
os.setuid(nobody.pw_uid)  # only now: the interpreter may lie where only root may look
for name in ("host", "shim"):
    same_again(lambda: open_target(name))
    outcomes_in_order(lambda: open_target(name))
    with open_target(name) as target:
        facts = target.probed
        assert not facts.undetermined, facts.undetermined
        assert not facts.facts.cap_sys_nice and not facts.facts.cap_ipc_lock
        print(name, target.process.has_bpf)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_has_targets_too() -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["host", "False", "shim", "False"]
