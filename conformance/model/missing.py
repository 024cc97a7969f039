"""What a program needs and a kernel may lack: such programs are skipped, and said so."""

from __future__ import annotations

from conformance.program.call import Mmap
from conformance.program.kernel_facts import KernelFacts
from conformance.program.mapping import Backing, Kind, Mapping, Uffd
from conformance.program.program import Program


def missing_feature(program: Program, facts: KernelFacts) -> str:
    """The first thing that the target lacks for this program, or ""."""
    for spec in program.files:
        if spec.backing is Backing.DISK and not facts.disk_fs:
            return "no disk file system under the temporary folder"
    for mapping in program.layout:
        missing = _mapping(mapping, facts)
        if missing:
            return missing
    for step in program.steps:
        if isinstance(step, Mmap):
            missing = _mapping(step.mapping, facts)
            if missing:
                return missing
    return ""


def _mapping(mapping: Mapping, facts: KernelFacts) -> str:
    kind = mapping.kind
    if kind is Kind.DROPPABLE and not facts.has_droppable:
        return "MAP_DROPPABLE"
    if kind is Kind.SECRETMEM and not facts.has_secretmem:
        return "memfd_secret()"
    if kind is Kind.HUGETLB and facts.hugetlb_pages_free * 512 < mapping.pages:
        return "free huge pages (sysctl vm.nr_hugepages)"
    if kind is Kind.VVAR and (not facts.vvar_pages or mapping.pages < facts.vvar_pages):
        return "a [vvar] that fits"
    if mapping.sealed and not facts.has_mseal:
        return "mseal()"
    if mapping.uffd is not Uffd.NO and not facts.has_uffd:
        return "userfaultfd()"
    if mapping.uffd is Uffd.WP and not facts.has_uffd_wp:
        return "userfaultfd write protection"
    if mapping.soft_dirty_cleared and not facts.has_soft_dirty:
        return "CONFIG_MEM_SOFT_DIRTY"
    return ""
