"""The parts of a guest: file system, console, machine; and that it never outlives its owner."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from conformance.target import guest_console, kvm
from conformance.target.guest import QEMU, QEMU_SMP, UML
from conformance.target.guest_console import GuestConsole
from conformance.target.guest_initramfs import BLOCK, _blocks, guest_initramfs, make_initramfs
from conformance.target.guest_machine import (
    Boot,
    Machine,
    machine_of,
    qemu,
    qemu_checked,
    qemu_plain,
    qemu_plain_counted,
    qemu_plain_two,
    qemu_program,
    qemu_two,
    uml,
)
from conformance.target.target import TargetError
from conformance.tests.test_guest_suspects import FACTS


def unpack(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Mode and contents by name, of a cpio archive in format newc."""
    out: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        start = (at + 110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            return out
        out[name] = (mode, archive[start : start + size])
        at = (start + size + 3) // 4 * 4


def test_the_archive_holds_what_it_was_given() -> None:
    files = {"init": b"#!", "executor": b"x" * 5001, "disk.blocks": b""}
    packed = make_initramfs(files)
    assert {name: data for name, (_, data) in unpack(gzip.decompress(packed)).items()} == files
    assert make_initramfs(files) == packed


def test_a_guest_boots_with_init_executor_and_disk() -> None:
    path = guest_initramfs()
    held = unpack(gzip.decompress(path.read_bytes()))
    assert held.keys() == {"init", "executor", "disk.blocks"}
    for name in ("init", "executor"):
        mode, data = held[name]
        assert mode & 0o111
        assert data.startswith(b"\x7fELF")
    assert guest_initramfs() == path


def test_blocks_put_back_make_the_image_again() -> None:
    image = bytearray(9 * BLOCK)
    image[0] = 1
    image[4 * BLOCK - 1] = 2
    image[8 * BLOCK] = 3
    packed = _blocks(bytes(image))
    again = bytearray(len(image))
    record = 8 + BLOCK
    assert len(packed) == 3 * record
    for at in range(0, len(packed), record):
        number = int.from_bytes(packed[at : at + 8], "little")
        again[number * BLOCK : (number + 1) * BLOCK] = packed[at + 8 : at + record]
    assert again == image


def test_a_console_is_read_without_waiting(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    console = GuestConsole(read_end, tmp_path / "log")
    console.drain()
    assert console.new() == ""
    os.write(write_end, b"booting\r\nhello \xff\n")
    console.drain()
    assert console.new() == "booting\nhello \N{REPLACEMENT CHARACTER}\n"
    console.mark()
    assert console.new() == ""
    os.write(write_end, b"more")
    console.drain()
    assert console.new() == "more"
    assert console.tail(1).endswith("more")
    os.close(write_end)
    console.drain()
    assert not console.open
    console.close()
    assert (tmp_path / "log").read_bytes() == b"booting\r\nhello \xff\nmore"


def test_a_console_that_never_ends_fills_neither_memory_nor_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_console, "KEPT_CHARACTERS", 1000)
    monkeypatch.setattr(guest_console, "LOG_BYTES_MAX", 5000)
    read_end, write_end = os.pipe()
    console = GuestConsole(read_end, tmp_path / "log")
    for _ in range(20):
        os.write(write_end, b"again and again\n" * 50)
        console.drain()
    assert len(console.new()) <= 1000
    assert (tmp_path / "log").stat().st_size == 5000
    os.close(write_end)
    console.close()


def test_a_kernel_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"\x7fELF" + bytes(1000))
    assert machine_of(kernel) is uml
    kernel.write_bytes(bytes(0x202) + b"HdrS" + bytes(100))
    assert machine_of(kernel) is qemu
    kernel.write_bytes(b"")
    with pytest.raises(TargetError, match="no kernel that can be booted here"):
        machine_of(kernel)


def test_without_qemu_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(TargetError, match="apt install qemu-system-x86") as raised:
        qemu_program()
    assert "\n" not in str(raised.value)


def test_what_the_user_appends_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boot = Boot(tmp_path / "k", tmp_path / "i", 7, 8, 1 << 24, tmp_path, "mem=1G mine=1")
    assert uml(boot)[-2:] == ["mem=1G", "mine=1"]
    assert f"ubd0=/proc/self/fd/{boot.ring_fd}" in uml(boot)
    fake = tmp_path / "qemu-system-x86_64"
    fake.write_text("#!/bin/sh\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("conformance.target.guest_machine.kvm_works", lambda *_: False)
    for machine in (qemu, qemu_plain):
        command = machine(boot)
        assert command[command.index("-append") + 1].endswith("mem=1G mine=1")
        assert command[command.index("-accel") + 1].startswith("tcg")
    machines: list[tuple[Machine, str, str]] = [
        (qemu, "1", "single"), (qemu_two, "2", "multi"), (qemu_plain_two, "2", "multi"),
        (qemu_plain_counted, "1", "single"),
    ]  # fmt: skip
    for start, processors, threads in machines:
        command = start(boot)
        assert command[command.index("-smp") + 1] == processors
        assert command[command.index("-accel") + 1].split(",")[:2] == ["tcg", f"thread={threads}"]
        assert ("-icount" in command) == (start is qemu_plain_counted)
    for start, disabled in ((qemu_checked, True), (qemu, False), (qemu_two, False)):
        command = start(boot)
        assert ("cgroup_disable=memory" in command[command.index("-append") + 1]) == disabled


@pytest.mark.parametrize(
    ("script", "works"),
    [
        ("echo 'Linux version 7.3'; exec sleep 60", True),
        ("echo 'KVM internal error'; exec sleep 60", False),
        ("exit 1", False),
        ("kill -6 $$", False),
    ],
)
def test_kvm_is_believed_when_a_guest_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, works: bool
) -> None:
    fake = tmp_path / "qemu"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(kvm, "DEVICE", str(fake))
    monkeypatch.setattr(kvm, "PROBE_SECONDS", 1.0)
    monkeypatch.setenv("HOME", str(tmp_path))
    kvm.kvm_works.cache_clear()
    began = time.monotonic()
    assert kvm.kvm_works(str(fake), tmp_path / "kernel") is works
    assert time.monotonic() - began < 10
    kvm.kvm_works.cache_clear()
    fake.write_text("#!/bin/sh\nexit 1\n")
    assert kvm.kvm_works(str(fake), tmp_path / "kernel") is works  # remembered
    kvm.kvm_works.cache_clear()


OWNER = """
import sys, time
from pathlib import Path
from conformance.target.executor_target import Options
from conformance.target.guest import GuestTarget, Kind
from conformance.target.limits import Pace

tmp, facts = sys.argv[1:]

def machine(boot):
    return [sys.executable, "-m", "conformance.tests.fake_guest", str(boot.bell),
            str(boot.ring_fd), str(boot.ring_bytes), tmp, facts]

kind = Kind(machine, Pace(9, 9, 9, 9), 99)
target = GuestTarget("fake", Path("k"), kind, Options(tmp_root=Path(tmp)))
print(target.process.pid, flush=True)
time.sleep(3600)
"""


def test_a_guest_ends_with_whoever_started_it(tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    facts.write_bytes(msgspec.json.encode(FACTS))
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), str(facts)], stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        guest = int(owner.stdout.readline())
        os.kill(guest, 0)
        owner.send_signal(signal.SIGKILL)
    give_up = time.monotonic() + 10
    while Path(f"/proc/{guest}/stat").exists() and time.monotonic() < give_up:
        if Path(f"/proc/{guest}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "Z":
            return  # nobody here reaps it, and it runs no more
        time.sleep(0.05)
    assert not Path(f"/proc/{guest}").exists()


def test_user_mode_linux_is_pinned_and_qemu_only_if_asked() -> None:
    mine = os.sched_getaffinity(0)
    assert UML.cpu(None) in mine
    assert UML.cpu(max(mine)) == max(mine)
    assert QEMU.cpu(None) is None
    assert QEMU.cpu(0) == 0
    assert QEMU_SMP.cpu(0) is None  # its two processors run at the same time
