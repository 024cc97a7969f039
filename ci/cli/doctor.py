"""madvet doctor: what this machine has for madvet, what it lacks, and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from enum import Enum
from importlib.util import find_spec
from typing import Final, NamedTuple

import click

from ci.cli import exit_codes
from ci.compiled.activate import native_folder
from conformance.abi.advice import ADVICES
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.target.executor_target import ExecutorTarget, choose_tmp_root
from conformance.target.guest import KINDS
from conformance.target.guest_images import find_image
from conformance.target.guest_machine import qemu_program
from conformance.target.host import open_host
from conformance.target.target import TargetError

ARCHITECTURE: Final = "x86_64"
MEMLOCK_WANTED: Final = 1 << 20  # bytes; the largest locked mapping of a generated program


class State(Enum):
    """How something stands."""

    GOOD = "ok"
    LACKING = "--"  # less is tested
    BAD = "NO"  # nothing can run


class Line(NamedTuple):
    """One thing looked at. words: what is there. remedy: how to get more, "" for nothing."""

    state: State
    words: str
    remedy: str = ""


@click.command("doctor")
def command() -> int:
    """Say what this machine has, lacks, and how to get it.

    Exit code 3 when no program can run here; what merely makes the tests narrower is told
    and does no harm.
    """
    lines = [*_machine()]
    for line in lines:
        _show(line)
    try:
        with open_host() as target:
            more = [*_kernel(target.facts), *_rights(target.facts), *_snapshots(target)]
            more += _guests()
            undetermined = dict(target.probed.undetermined)
    except TargetError as error:
        _show(Line(State.BAD, f"the executor: {error}"))
        click.echo("No program can run here.")
        return exit_codes.HARNESS_FAILED
    for line in more:
        _show(line)
    for name, why in sorted(undetermined.items()):
        _show(Line(State.LACKING, f"{name} could not be found out: {why}"))
    lacking = sum(line.state is State.LACKING for line in (*lines, *more)) + len(undetermined)
    click.echo(
        f"Programs can run here; {lacking} things could be better."
        if lacking
        else "Programs can run here, and nothing is missing."
    )
    return exit_codes.CONFORMANT


def _show(line: Line) -> None:
    click.echo(f"{line.state.value}  {line.words}" + (f": {line.remedy}" if line.remedy else ""))


def _machine() -> Iterator[Line]:
    """What can be seen without running anything on the kernel."""
    yield Line(State.GOOD, f"Linux {platform.release()}, {platform.machine()}")
    if platform.machine() != ARCHITECTURE:
        yield Line(
            State.BAD, f"the executor knows only {ARCHITECTURE}", "run on such a machine or guest"
        )
    yield Line(State.GOOD, f"Python {platform.python_version()} at {sys.executable}")
    cpus = len(os.sched_getaffinity(0))
    yield Line(State.GOOD, f"{cpus} CPUs, so {cpus} workers")
    if native_folder() is not None:
        yield Line(State.GOOD, "the model runs as native code")
    else:
        yield Line(State.LACKING, "the model runs as plain Python, half as fast", "make compiled")
    compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if compiler:
        yield Line(State.GOOD, f"C compiler: {shutil.which(compiler)}")
    else:
        yield Line(State.BAD, "no C compiler", "apt-get install gcc libc6-dev")
    for package, what in (("pytest", "madvet conform"), ("hypothesis", "the tests of madvet")):
        if find_spec(package) is None:
            yield Line(State.LACKING, f"no {package}, so no {what}", "pip install -e '.[test]'")


def _kernel(facts: KernelFacts) -> Iterator[Line]:
    """What the kernel has."""
    missing = [a.name for a in ADVICES if a.value not in facts.advices]
    yield Line(
        State.GOOD if not missing else State.LACKING,
        f"{len(ADVICES) - len(missing)} of {len(ADVICES)} advices",
        f"this kernel does not take {', '.join(missing)}" if missing else "",
    )
    ranges = {
        RangesCall.ABSENT: "madvise_ranges() is not in this kernel (ENOSYS): tested by the shim",
        RangesCall.KERNEL: "madvise_ranges() is in this kernel",
        RangesCall.SHIM: "madvise_ranges() is made by the shim",
    }
    yield Line(State.GOOD, ranges[facts.ranges_call])
    for there, name, remedy in (
        (facts.has_process_madvise, "process_madvise()", "Linux 5.10 with CONFIG_ADVISE_SYSCALLS"),
        (facts.has_mseal, "mseal()", "Linux 6.10"),
        (facts.has_droppable, "MAP_DROPPABLE", "Linux 6.11"),
        (facts.has_secretmem, "memfd_secret()", "boot with secretmem.enable=1"),
        (facts.has_uffd, "userfaultfd()", "sysctl vm.unprivileged_userfaultfd=1, or be root"),
        (facts.has_uffd_wp, "userfaultfd write protection", "CONFIG_PTE_MARKER_UFFD_WP"),
        (facts.has_soft_dirty, "soft-dirty bits", "a kernel with CONFIG_MEM_SOFT_DIRTY"),
        (bool(facts.hugetlb_pages_free), "huge pages to map", "sysctl vm.nr_hugepages=16"),
        (bool(facts.vvar_pages), "a [vvar] mapping", "boot without vdso=0"),
        (facts.guard_file, "guard markers in file mappings", "Linux 6.15"),
        (facts.swap, "swap", "swapon, so that PAGEOUT has somewhere to page out to"),
        (facts.thp != "absent", "transparent huge pages", "CONFIG_TRANSPARENT_HUGEPAGE"),
    ):
        yield Line(State.GOOD, name) if there else Line(State.LACKING, f"no {name}", remedy)
    if facts.disk_fs:
        punch = "" if facts.disk_punch else ", which cannot punch holes"
        yield Line(State.GOOD, f"files on {facts.disk_fs}{punch} in {choose_tmp_root()}")
    else:
        yield Line(
            State.LACKING,
            f"{choose_tmp_root()} is on no disk file system",
            "name a folder that is with TMPDIR",
        )


def _rights(facts: KernelFacts) -> Iterator[Line]:
    """What this user may do."""
    for there, name, loss in (
        (facts.cap_sys_nice, "CAP_SYS_NICE", "advice to another process is refused (EPERM)"),
        (facts.cap_sys_admin, "CAP_SYS_ADMIN", "memory failures cannot be injected"),
        (facts.cap_ipc_lock, "CAP_IPC_LOCK", "mlock is limited by RLIMIT_MEMLOCK"),
    ):
        yield (
            Line(State.GOOD, name)
            if there
            else Line(State.LACKING, f"no {name}, so {loss}", "run as root to test that too")
        )
    if not facts.cap_ipc_lock and facts.memlock_bytes < MEMLOCK_WANTED:
        yield Line(
            State.LACKING, f"only {facts.memlock_bytes} bytes may be locked", "ulimit -l 8192"
        )


def _snapshots(target: ExecutorTarget) -> Iterator[Line]:
    """How fast VmFlags can be read."""
    if target.process.has_bpf:
        yield Line(State.GOOD, "VmFlags by a BPF iterator")
    else:
        yield Line(
            State.LACKING,
            "VmFlags from /proc/self/smaps: about half as fast as by BPF",
            "run as root on a kernel with CONFIG_DEBUG_INFO_BTF",
        )


def _guests() -> Iterator[Line]:
    """Which targets can be booted here. A kernel that is not built is no loss to the others."""
    for name, (flavour, _) in KINDS.items():
        try:
            if name != "uml":
                qemu_program()
            image = find_image(flavour)
        except TargetError as error:
            yield Line(State.LACKING, f"no guest {name}", str(error))
        else:
            release = image.manifest.release
            yield Line(State.GOOD, f"guest {name}: Linux {release}, kernel {flavour}")
