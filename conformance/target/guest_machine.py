"""How a guest kernel is started: the command lines of user mode Linux and of QEMU."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from conformance.target.kvm import kvm_works
from conformance.target.target import TargetError

ELF_MAGIC: Final = b"\x7fELF"
BZIMAGE_MAGIC: Final = b"HdrS"
BZIMAGE_MAGIC_AT: Final = 0x202  # Documentation/arch/x86/boot.rst

UML_MEMORY: Final = "256M"
QEMU_MEMORY: Final = "1024M"
# Fast string instructions are emulated byte by byte, those of old word by word; the kernel takes
# what the processor says it is good at. A typical program took 2.0 ms instead of 2.5. The large
# register file (XSAVE, AVX) is kept and given back at each fault; with every check on that is 5 %.
EMULATED: Final = "max,-erms,-fsrm,-xsave"
# What QEMU has compiled is thrown away when it fills so many MiB, most of it code of the boot; what
# is compiled again then lies close together, and is found faster: 4 %.
COMPILED_MIB: Final = 32
NO_MEMORY_CGROUP: Final = "cgroup_disable=memory"
SINGLE_FLUSHES_MAX: Final = 512  # pages; the arena of nearly every program is smaller
# Of 2 MiB; a program maps up to four, and its child copies them. Each that is poisoned is gone for
# good: the sweep of memory failure poisons two dozen.
HUGE_PAGES: Final = 48
# What a kernel finds wrong with itself ends it at once: the next program must not be blamed.
# Warnings are shown, and the stacks that go with every report; notices are not.
LOGLEVEL: Final = "loglevel=5"
# A kernel that is denied the processor while it waits for its first ticks takes the timer for
# broken, and panics: check_timer() of x86.
NO_TIMER_CHECK: Final = "no_timer_check"
SUSPICIOUS: Final = "panic=-1 oops=panic panic_on_warn=1 kasan.fault=panic"


class Boot(NamedTuple):
    """What a guest is started with.

    kernel, initrd: files. bell, ring_fd: descriptors, inherited, of the doorbell's guest end and
    of a file of ring_bytes bytes. folder: for files of the machine's own. append: for the end of
    the kernel's command line.
    """

    kernel: Path
    initrd: Path
    bell: int
    ring_fd: int
    ring_bytes: int
    folder: Path
    append: str

    @property
    def ring(self) -> str:
        """The ring's file by a name that the machine's own process can open it by."""
        return f"/proc/self/fd/{self.ring_fd}"


Machine = Callable[[Boot], list[str]]


class Processors(NamedTuple):
    """Of an emulated machine. threads: each has a thread of the host's, so that they run at the
    same time. counted: time goes by instructions, so that a run can be had again."""

    number: int = 1
    threads: bool = False
    counted: bool = False


ONE: Final = Processors()
TWO: Final = Processors(2, threads=True)
COUNTED: Final = Processors(counted=True)
ICOUNT: Final = "shift=3,sleep=off"  # 8 ns for each instruction; idle time is skipped


def uml(boot: Boot) -> list[str]:
    """A kernel that is a process. The ring is a block device: it shares no memory with a file."""
    return [
        str(boot.kernel),
        f"mem={UML_MEMORY}",
        "seccomp=on",  # half of the cost of a system call under ptrace
        f"initrd={boot.initrd}",
        "rdinit=/init",
        f"ubd0={boot.ring}",
        "con=null",
        "con0=null,fd:1",
        f"con1=fd:{boot.bell},fd:{boot.bell}",
        "console=tty0",
        f"uml_dir={boot.folder}/",
        "umid=guest",
        *SUSPICIOUS.split(),
        LOGLEVEL,
        "madvet.bell=/dev/tty1",
        "madvet.ring=/dev/ubda",
        *boot.append.split(),
    ]


def qemu_plain(boot: Boot, processors: Processors = ONE) -> list[str]:
    """qemu(), for speed: where the processor is emulated, each of its features costs (protection
    of user memory, a fifth level of page tables, a large register file). A typical program took
    1.7 ms instead of 2.5. To account for every page and object in a memory cgroup took a quarter
    of the time; programs that need one run on the other guests."""
    append = f"{NO_MEMORY_CGROUP} {boot.append}"
    return qemu(boot._replace(append=append), "qemu64,+rdtscp", processors, COMPILED_MIB)


def qemu_checked(boot: Boot) -> list[str]:
    """qemu() for a kernel with every check on, where a memory cgroup costs a fifth of the time,
    too. qemu_two() has one."""
    return qemu(boot._replace(append=f"{NO_MEMORY_CGROUP} {boot.append}"))


def qemu_two(boot: Boot) -> list[str]:
    """qemu() with two processors, for races."""
    return qemu(boot, processors=TWO)


def qemu_plain_two(boot: Boot) -> list[str]:
    """qemu_plain() with two processors, for races."""
    return qemu_plain(boot, TWO)


def qemu_plain_counted(boot: Boot) -> list[str]:
    """qemu_plain() whose clock counts instructions, for races that are to go the same way again."""
    return qemu_plain(boot, COUNTED)


def qemu(
    boot: Boot, emulated: str = EMULATED, processors: Processors = ONE, compiled_mib: int = 0
) -> list[str]:
    """A PC. The ring is the memory of a PCI device (ivshmem). emulated: the processor without KVM;
    compiled_mib: what QEMU keeps of the code that it compiles, 0 for what it likes.

    Each timer that is set costs there. To forget the translation of one page is cheap, while QEMU,
    told to forget all, forgets what it has compiled, too: with every check on, a typical program
    took 9.1 ms instead of 10.6.

    Raises TargetError without QEMU.
    """
    program = qemu_program()
    threads = "tcg,thread=multi" if processors.threads else "tcg,thread=single"
    accelerator = (f"{threads},tb-size={compiled_mib}" if compiled_mib else threads, emulated)
    if not processors.counted and kvm_works(program, boot.kernel):
        accelerator = ("kvm", "host")
    command_line = (
        f"console=ttyS0 rdinit=/init {SUSPICIOUS} {LOGLEVEL} {NO_TIMER_CHECK} "
        f"highres=off nohz=off madvet.flush={SINGLE_FLUSHES_MAX} madvet.bell=/dev/ttyS1 "
        f"madvet.huge={HUGE_PAGES} {boot.append}"
    )
    return [
        program,
        *("-accel", accelerator[0], "-cpu", accelerator[1], "-m", QEMU_MEMORY),
        *("-smp", str(processors.number), *(("-icount", ICOUNT) if processors.counted else ())),
        *("-display", "none", "-nodefaults", "-no-reboot"),
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=bell,fd={boot.bell}", "-serial", "chardev:bell"),
        "-object",
        f"memory-backend-file,id=ring,share=on,mem-path={boot.ring},size={boot.ring_bytes}",
        *("-device", "ivshmem-plain,memdev=ring"),
        *("-kernel", str(boot.kernel), "-initrd", str(boot.initrd), "-append", command_line),
    ]


def qemu_program() -> str:
    """The path of QEMU. Raises TargetError."""
    program = shutil.which("qemu-system-x86_64")
    if program is None:
        raise TargetError(
            "QEMU is not on this machine, and this target is a guest of it: "
            "apt install qemu-system-x86"
        )
    return program


def machine_of(kernel: Path) -> Machine:
    """Which machine a kernel of the user's own is for. Raises TargetError for a file that is
    neither a user mode Linux nor a bzImage."""
    head = _head(kernel)
    if head.startswith(ELF_MAGIC):
        return uml
    if _is_bzimage(head):
        return qemu
    raise TargetError(
        f"{kernel} is no kernel that can be booted here: neither an ELF executable of user mode "
        "Linux nor a bzImage"
    )


def is_bzimage(kernel: Path) -> bool:
    """Is it a kernel that QEMU boots? Raises TargetError if it cannot be read."""
    return _is_bzimage(_head(kernel))


def _is_bzimage(head: bytes) -> bool:
    return head[BZIMAGE_MAGIC_AT:] == BZIMAGE_MAGIC


def _head(kernel: Path) -> bytes:
    try:
        with kernel.open("rb") as file:
            return file.read(BZIMAGE_MAGIC_AT + len(BZIMAGE_MAGIC))
    except OSError as error:
        raise TargetError(f"cannot read the kernel {kernel}: {error.strerror}") from error
