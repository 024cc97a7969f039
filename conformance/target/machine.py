"""What this machine has of what madvet can use, what it lacks, and how to get it.

Nothing here decides anything: targets probe for themselves. It is for people, and looks at
the same answers that a target gets, by opening one.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from conformance.abi.advice import ADVICES
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.program.places import ARENA_PAGES_MAX, PAGE
from conformance.target.executor_build import COMPILERS
from conformance.target.executor_target import executor_path
from conformance.target.facts import Probed
from conformance.target.host import open_host
from conformance.target.target import TargetError

COMPILE_SECONDS_MAX: Final = 30.0
HUGE_PAGES_WANTED: Final = 4  # of 2 MiB: what fits the arena
LEFT_OUT: Final = "programs that need it are left out"


class Item(NamedTuple):
    """One thing looked for. how_to: what to do when it is not present; "" when it is.

    needed: without it nothing runs at all.
    """

    name: str
    present: bool
    detail: str
    how_to: str = ""
    needed: bool = False


class Running(NamedTuple):
    """What an executor on this machine said, or why there is none."""

    probed: Probed | None
    has_bpf: bool
    problem: str


def look_at_machine() -> tuple[Item, ...]:
    """Everything, most needed first. Takes about a second; raises nothing."""
    running = _run_executor()
    items = [*_tools(running), *_observation(running)]
    if running.probed is not None:
        items += _kinds(running.probed.facts)
        items += _rights(running.probed.facts)
        items += _state(running.probed.facts)
        items += _unknown(running.probed)
    items += _guests()
    return tuple(item._replace(how_to="") if item.present else item for item in items)


def _run_executor() -> Running:
    try:
        with open_host() as target:
            return Running(target.probed, target.process.has_bpf, "")
    except TargetError as error:
        return Running(None, False, str(error))


def _tools(running: Running) -> Iterator[Item]:
    yield Item(
        "Linux on x86-64",
        platform.system() == "Linux" and platform.machine() == "x86_64",
        f"{platform.system()} {platform.release()} {platform.machine()}",
        "run madvet on such a machine, or in such a guest",
        needed=True,
    )
    try:
        yield Item("C compiler", True, f"executor built: {executor_path()}", needed=True)
    except TargetError as error:
        how_to = "install gcc and the static C library: apt install gcc libc6-dev"
        yield Item("C compiler", False, str(error), how_to, needed=True)
    yield Item(
        "executor runs",
        running.probed is not None,
        running.problem or "started, said hello, answered for every fact",
        "see the detail",
        needed=True,
    )
    compiles, why = _compiles_32_bit()
    yield Item(
        "32-bit compiler (cc -m32)",
        compiles,
        why or "the ILP32 layouts can be compared with a compiler's",
        "apt install gcc-multilib",
    )
    yield Item(
        "atheris",
        importlib.util.find_spec("atheris") is not None,
        "coverage-guided generation",
        "pip install atheris",
    )


def _observation(running: Running) -> Iterator[Item]:
    smaps, pagemap = Path("/proc/self/smaps"), Path("/proc/self/pagemap")
    yield Item(
        "/proc",
        smaps.exists() and pagemap.exists(),
        "mappings and pages are read from smaps and pagemap in it",
        "mount -t proc proc /proc; a kernel with CONFIG_PROC_PAGE_MONITOR",
        needed=True,
    )
    yield Item(
        "BTF", Path("/sys/kernel/btf/vmlinux").exists(), "types of this kernel, for the BPF reader",
        "run a kernel built with CONFIG_DEBUG_INFO_BTF",
    )  # fmt: skip
    yield Item(
        "BPF reader of VmFlags",
        running.has_bpf,
        "8 us for each program" if running.has_bpf else "smaps is read instead: 35 us a program",
        "run as root (CAP_BPF, CAP_PERFMON) on a kernel with BTF",
    )
    kcov = Path("/sys/kernel/debug/kcov")
    yield Item(
        "KCOV",
        _exists(kcov),
        f"coverage of the kernel, {kcov}",
        "run as root, with debugfs mounted, a kernel with CONFIG_KCOV (a guest, usually)",
    )


def _kinds(facts: KernelFacts) -> Iterator[Item]:
    missing = [row.name for row in ADVICES if row.value not in facts.advices]
    detail = "all of Linux 7.3" if not missing else f"this kernel lacks {', '.join(missing)}"
    yield Item("advices", not missing, detail, "a newer kernel, or another configuration")
    yield Item(
        "madvise_ranges() in the kernel",
        facts.ranges_call is RangesCall.KERNEL,
        f"{facts.ranges_call.value} here; target shim has it everywhere",
        "a kernel with the system call of kernel/ in it",
    )
    newer = "a newer kernel"
    for name, present, how_to in (
        ("process_madvise()", facts.has_process_madvise, "CONFIG_ADVISE_SYSCALLS, Linux 5.10"),
        ("userfaultfd", facts.has_uffd, "CONFIG_USERFAULTFD; for users: Linux 5.11"),
        ("userfaultfd write protection", facts.has_uffd_wp, newer),
        ("memfd_secret", facts.has_secretmem, "CONFIG_SECRETMEM; before 6.5 secretmem.enable=1"),
        ("mseal", facts.has_mseal, f"{newer}: Linux 6.10"),
        ("MAP_DROPPABLE", facts.has_droppable, f"{newer}: Linux 6.11"),
        ("movable [vvar]", facts.vvar_pages > 0, "a kernel that maps a vvar"),
        ("soft-dirty bits", facts.has_soft_dirty, "CONFIG_MEM_SOFT_DIRTY"),
    ):
        yield Item(name, present, "" if present else LEFT_OUT, how_to)
    pages = facts.hugetlb_pages_free
    yield Item(
        "huge pages for hugetlb",
        pages >= HUGE_PAGES_WANTED,
        f"{pages} free of 2 MiB, {HUGE_PAGES_WANTED} wanted",
        f"as root: sysctl vm.nr_hugepages={HUGE_PAGES_WANTED}",
    )


def _rights(facts: KernelFacts) -> Iterator[Item]:
    yield Item(
        "root", os.geteuid() == 0, f"user id {os.geteuid()}", "run as root to test more; see below"
    )
    yield Item(
        "CAP_SYS_NICE", facts.cap_sys_nice, "advising another process", "run as root, no container"
    )
    lockable = facts.memlock_bytes
    wanted = ARENA_PAGES_MAX * PAGE
    yield Item(
        "locked memory",
        facts.cap_ipc_lock or lockable >= wanted,
        "no limit" if facts.cap_ipc_lock else f"{lockable >> 10} KiB, {wanted >> 10} wanted",
        f"ulimit -l {wanted >> 10}",
    )
    yield Item(
        "kernel thread in sight",
        facts.kthread_visible,
        "process 2, for calls that must be refused",
        "run outside of a pid namespace",
    )


def _state(facts: KernelFacts) -> Iterator[Item]:
    yield Item("swap", facts.swap, "PAGEOUT of anonymous memory", "as root: swapon FILE or zram")
    yield Item(
        "KSM running", facts.ksm_running, "merging of equal pages",
        "as root: echo 1 > /sys/kernel/mm/ksm/run",
    )  # fmt: skip
    yield Item(
        "transparent huge pages",
        facts.thp in ("always", "madvise"),
        f"mode {facts.thp}",
        "as root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
    )
    yield Item(
        "files on a disk",
        bool(facts.disk_fs) and facts.disk_punch,
        f"{facts.disk_fs or 'none'}, {'punches' if facts.disk_punch else 'cannot punch'} holes",
        "set TMPDIR to a folder on ext4, xfs or btrfs",
    )
    shm = os.access("/dev/shm", os.W_OK)
    yield Item(
        "files on tmpfs", shm, "/dev/shm", "mount -t tmpfs tmpfs /dev/shm, writable for this user"
    )
    yield Item(
        "limit of memory", _has_memory_cgroup(), "memory controller of a cgroup, for guests",
        "mount cgroup2 with its memory controller",
    )  # fmt: skip


def _unknown(probed: Probed) -> Iterator[Item]:
    for fact, why in sorted(probed.undetermined.items()):
        assumed = getattr(probed.facts, fact)
        yield Item(f"fact {fact}", False, f"{why}; {assumed} is assumed", "see the detail")


def _guests() -> Iterator[Item]:
    qemu = shutil.which("qemu-system-x86_64")
    yield Item("QEMU", qemu is not None, qemu or "guest kernels", "apt install qemu-system-x86")
    kvm = os.access("/dev/kvm", os.R_OK | os.W_OK)
    yield Item(
        "/dev/kvm",
        kvm,
        "can be opened; whether guests run on it is tried when one is started" if kvm else "",
        "a machine with virtualization, and membership in group kvm; guests are slower without",
    )


def _compiles_32_bit() -> tuple[bool, str]:
    """Can a 32-bit program be linked, and why not."""
    chosen = shlex.split(os.environ.get("CC", ""))
    command = chosen or [name for name in COMPILERS if shutil.which(name)][:1]
    if not command:
        return False, "no C compiler"
    try:
        with tempfile.TemporaryDirectory(prefix="madvet-") as folder:
            done = subprocess.run(
                [*command, "-m32", "-x", "c", "-o", f"{folder}/a.out", "-"],
                input=b"#include <stddef.h>\nint main(void) { return sizeof(size_t) != 4; }\n",
                capture_output=True,
                timeout=COMPILE_SECONDS_MAX,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    return done.returncode == 0, "" if done.returncode == 0 else "cannot link 32-bit programs"


def _has_memory_cgroup() -> bool:
    """In the unified hierarchy, or as a controller of its own."""
    for path in ("/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/unified/cgroup.controllers"):
        try:
            if "memory" in Path(path).read_text("utf-8").split():
                return True
        except OSError:
            continue
    return Path("/sys/fs/cgroup/memory").is_dir()


def _exists(path: Path) -> bool:
    """Also False where one may not look."""
    try:
        return path.exists()
    except PermissionError:
        return False
