"""Does KVM run a guest here? Asked by running one: the device file promises nothing."""

from __future__ import annotations

import os
import select
import subprocess
import time
from functools import lru_cache
from pathlib import Path
from typing import Final

DEVICE: Final = "/dev/kvm"
PROBE_SECONDS: Final = 5.0  # KVM prints the banner within 0.3 s; where it is emulated, in minutes
BANNER: Final = b"Linux version"
READ_BYTES: Final = 4096


@lru_cache
def kvm_works(qemu: str, kernel: Path) -> bool:
    """Boot a kernel with KVM until it prints its banner, for PROBE_SECONDS at most. Once in a
    process, and once for all of them while this machine is up: see _remembered()."""
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return False
    known = _remembered()
    if known is not None and known.exists():
        return known.read_text("ascii") == "yes"
    works = _boots(qemu, kernel)
    if known is not None:
        unfinished = known.with_suffix(f".{os.getpid()}")
        unfinished.write_text("yes" if works else "no", encoding="ascii")
        unfinished.rename(known)
    return works


def _remembered() -> Path | None:
    """The file that holds the answer until the machine is booted again; None: nowhere to keep
    it, so that every process asks for itself."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        folder = Path.home() / ".cache" / "madvet"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):
        return None
    return folder / f"kvm-{boot}"


def _boots(qemu: str, kernel: Path) -> bool:
    command = [
        qemu, "-accel", "kvm", "-cpu", "host", "-m", "256M", "-display", "none", "-nodefaults",
        "-no-reboot", "-serial", "stdio", "-kernel", str(kernel),
        "-append", "console=ttyS0 earlyprintk=serial,ttyS0 panic=-1",
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            return _sees_banner(process)
        finally:
            process.kill()


def _sees_banner(process: subprocess.Popen[bytes]) -> bool:
    assert process.stdout is not None, "Popen was asked for a pipe"
    fd = process.stdout.fileno()
    end = time.monotonic() + PROBE_SECONDS
    seen = b""
    while (left := end - time.monotonic()) > 0:
        if not select.select([fd], [], [], left)[0]:
            return False
        data = os.read(fd, READ_BYTES)
        if not data:  # it gave up at once
            return False
        seen += data
        if BANNER in seen:
            return True
    return False
