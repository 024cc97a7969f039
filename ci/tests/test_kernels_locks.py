"""Locks of the cache: alone to change something, together to rely on it."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from ci.kernels.commands import KernelError
from ci.kernels.locks import Lock, told

WAIT_SECONDS = 30


def quiet(words: str) -> None:
    raise AssertionError(f"nobody should wait: {words}")


def test_several_may_rely_on_it(tmp_path: Path) -> None:
    with Lock(tmp_path, "linux", quiet) as one, Lock(tmp_path, "linux", quiet) as two:
        one.together()
        two.together()
        with Lock(tmp_path, "another", quiet) as other:
            other.alone()


@pytest.mark.parametrize("alone", [True, False])
def test_who_changes_it_waits_for_everybody(tmp_path: Path, alone: bool) -> None:
    waiting, done = threading.Event(), threading.Event()

    def change() -> None:
        with Lock(tmp_path, "linux", lambda _: waiting.set()) as lock:
            lock.alone()
            done.set()

    thread = threading.Thread(target=change)
    with Lock(tmp_path, "linux", quiet) as holder:
        if alone:
            holder.alone()
        else:
            holder.together()
        thread.start()
        assert waiting.wait(WAIT_SECONDS)
        assert not done.is_set()
    thread.join(WAIT_SECONDS)
    assert done.is_set()


def test_what_the_system_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KernelError, match=r"cannot write to .*file.*MADVET_KERNELS"):
        Lock(tmp_path / "file", "linux", quiet)
    with pytest.raises(KernelError, match=r"No space left on device: /k/x \(in "), told(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device", "/k/x")
