"""What a program needs and a kernel may lack: such programs are skipped, and said so."""

from __future__ import annotations

from typing import Final

from conformance.program.call import MadviseRanges, Mmap, Reclaim
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.program.mapping import Backing, Kind, Mapping, Uffd
from conformance.program.plan import plan_of, signal_of
from conformance.program.program import Program, Rights
from conformance.program.race import flat

_NOT_EVERYWHERE: Final = frozenset(
    {Kind.DROPPABLE, Kind.SECRETMEM, Kind.HUGETLB, Kind.VVAR, Kind.PERF}
)
_OTHER_USER: Final = Rights.OTHER_USER
_DISK: Final = Backing.DISK
_NO_UFFD: Final = Uffd.NO
_UFFD_WP: Final = Uffd.WP
_DROPPABLE: Final = Kind.DROPPABLE
_SECRETMEM: Final = Kind.SECRETMEM
_HUGETLB: Final = Kind.HUGETLB
_VVAR: Final = Kind.VVAR
_PERF: Final = Kind.PERF


def missing_feature(program: Program, facts: KernelFacts) -> str:
    """The first thing that the target lacks for this program, or ""."""
    for spec in program.files:
        if spec.backing is _DISK and not facts.disk_fs:
            return "no disk file system under the temporary folder"
    for mapping in program.layout:
        missing = _mapping(mapping, facts)
        if missing:
            return missing
    steps = flat(program.steps) if plan_of(program).race else program.steps
    for step in steps:
        if type(step) is Mmap:
            missing = _mapping(step.mapping, facts)
            if missing:
                return missing
        elif type(step) is Reclaim and not facts.memcg_reclaim:
            return "a memory cgroup to reclaim from (uml and qemu-debug-smp have one)"
    if program.rights is _OTHER_USER and not facts.change_user:
        return "the right to become another user (root)"
    for step in program.steps:
        signal = signal_of(step)
        if signal is not None and signal.pages and not (facts.has_uffd and facts.cap_sys_admin):
            return "userfaultfd() for faults of the kernel (root, or vm.unprivileged_userfaultfd)"
    if plan_of(program).fault >= 0 and not facts.fail_nth:
        return "a kernel that lets allocations fail (CONFIG_FAULT_INJECTION: uml, qemu-debug)"
    return _ilp32(program, facts) if plan_of(program).ilp32 else ""


def _ilp32(program: Program, facts: KernelFacts) -> str:
    if not facts.ilp32_calls:
        return "int $0x80 for 64-bit processes (CONFIG_IA32_EMULATION)"
    if facts.ranges_call is RangesCall.SHIM:
        for step in flat(program.steps):
            if type(step) is MadviseRanges and step.ilp32:
                return "madvise_ranges() for ILP32 callers: the shim is a function of LP64"
    return ""


def _mapping(mapping: Mapping, facts: KernelFacts) -> str:
    if mapping.kind in _NOT_EVERYWHERE:
        missing = _kind(mapping, facts)
        if missing:
            return missing
    if mapping.sealed and not facts.has_mseal:
        return "mseal()"
    uffd = mapping.uffd
    if uffd is not _NO_UFFD:
        if not facts.has_uffd:
            return "userfaultfd()"
        if uffd is _UFFD_WP and not facts.has_uffd_wp:
            return "userfaultfd write protection"
    if mapping.soft_dirty_cleared and not facts.has_soft_dirty:
        return "CONFIG_MEM_SOFT_DIRTY"
    return ""


def _kind(mapping: Mapping, facts: KernelFacts) -> str:
    kind = mapping.kind
    if kind is _DROPPABLE and not facts.has_droppable:
        return "MAP_DROPPABLE"
    if kind is _SECRETMEM and not facts.has_secretmem:
        return "memfd_secret()"
    if kind is _HUGETLB and facts.hugetlb_pages_free * 512 < mapping.pages:
        return "free huge pages (sysctl vm.nr_hugepages)"
    if kind is _PERF and not facts.perf_flags:
        return "a ring buffer of perf (6.16, kernel.perf_event_paranoid)"
    if kind is _VVAR and (not facts.vvar_pages or mapping.pages < facts.vvar_pages):
        return "a [vvar] that fits"
    return ""
