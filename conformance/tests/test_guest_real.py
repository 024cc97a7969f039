"""Guests that are built on this machine keep the contract, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from conformance.program.kernel_facts import RangesCall
from conformance.program.outcome import Status
from conformance.target.executor_target import Options
from conformance.target.guest import KINDS, GuestTarget, open_guest
from conformance.target.guest_images import find_image
from conformance.target.guest_machine import qemu_program
from conformance.target.registry import open_target
from conformance.target.target import TargetError
from conformance.target.target_contract import (
    CLAUSES,
    hang_reported,
    sample_programs,
    try_clause,
)

GUESTS = ("uml", "qemu")


def need(name: str) -> None:
    """Skip, saying what is missing."""
    try:
        find_image(KINDS[name][0])
        if name != "uml":
            qemu_program()
    except TargetError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", GUESTS)
def test_a_guest_keeps_the_contract(name: str, tmp_path: Path) -> None:
    need(name)

    def make_target() -> GuestTarget:
        return open_guest(name, Options(tmp_root=tmp_path))

    skipped = {}
    for clause in CLAUSES:
        tried = try_clause(clause, make_target)
        if tried.skipped:
            skipped[tried.clause] = tried.skipped
    assert set(skipped) <= {hang_reported.__name__}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", GUESTS)
def test_a_guest_has_the_call_and_a_disk_and_swap(name: str, tmp_path: Path) -> None:
    need(name)
    with open_guest(name, Options(tmp_root=tmp_path)) as target:
        assert target.facts.ranges_call is RangesCall.KERNEL
        assert target.facts.swap
        assert target.facts.disk_fs in ("ext4", "tmpfs")  # as the host has mke2fs, or has not


@pytest.mark.parametrize("name", GUESTS)
def test_a_guest_that_panics_is_told_and_replaced(name: str, tmp_path: Path) -> None:
    """By its own hand: the kernel's panic is asked for where a program would cause one."""
    need(name)
    programs = sample_programs()
    with open_guest(name, Options(tmp_root=tmp_path)) as target:
        before = target.run_batch(programs)
        pid = target.process.pid
        assert pid is not None
        os.kill(pid, signal.SIGABRT)  # as user mode Linux ends itself
        began = time.monotonic()
        after = target.run_batch(programs)
        assert time.monotonic() - began < 60
    assert [o.status for o in after] == [Status.DONE] * len(programs)
    assert [o.log for o in after[:-1]] == [""] * (len(programs) - 1)
    assert after[:-1] == before[:-1]
    assert after[-1].log.startswith("lost connection to guest")


def test_a_kernel_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(b"no kernel" * 100)
    with pytest.raises(TargetError, match="neither an ELF executable of user mode"):
        open_target(f"kernel:{path}")
    with pytest.raises(TargetError, match="cannot read the kernel"):
        open_target(f"kernel:{tmp_path / 'none'}")
