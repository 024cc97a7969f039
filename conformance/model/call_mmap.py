"""mmap(MAP_FIXED) and munmap. Source: do_mmap(), mm/vma.c."""

from __future__ import annotations

from typing import Final

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EACCES, EAGAIN, EINVAL, ENOMEM, EPERM
from conformance.model.address_space import AddressSpace, File, Vma, page_of, pages_up
from conformance.model.page_state import unmap_pages
from conformance.model.process import Process
from conformance.model.split_merge import merge_new, split
from conformance.program.mapping import FILE_KINDS, Backing, FileSlot, Kind, Mapping, Sharing
from conformance.program.places import PAGE, TASK_SIZE, page_address
from conformance.spec.cite import cite

PROT_FLAGS: Final = {0: 0, 1: f.RD, 3: f.RD | f.WR, 5: f.RD | f.EX}
MAY: Final = f.MR | f.MW | f.ME


def make_file(slot: int, spec: FileSlot, process: Process) -> File:
    """A file slot as the executor prepares it."""
    shmem = spec.backing is not Backing.DISK
    file = File(spec.backing.value, spec.pages, shmem)
    if spec.backing is not Backing.MEMFD:
        file.fill(slot)
    if not shmem and not process.facts.disk_punch:
        file.punch = 95
    return file


def munmap(space: AddressSpace, start: int, length: int) -> int:
    """0 or -errno. Source: do_vmi_munmap()."""
    if start % PAGE or start > TASK_SIZE or length > TASK_SIZE - start or not length:
        cite("munmap-arguments")
        return -EINVAL
    return -unmap(space, page_of(start), page_of(start) + pages_up(length))


def unmap(space: AddressSpace, start: int, end: int) -> int:
    """Take [start, end) away: 0 or a positive errno. Splits made before a refusal stay.

    Source: vms_gather_munmap_vmas().
    """
    index = space.find(start)
    if index == len(space.vmas) or space.vmas[index].start >= end:
        return 0
    first = space.vmas[index]
    if start > first.start:
        if first.flags & f.SL:
            cite("munmap-sealed")
            return EPERM
        error = split(space, first, start)
        if error:
            return error
        index += 1
    last = index
    while last < len(space.vmas) and space.vmas[last].start < end:
        vma = space.vmas[last]
        if vma.flags & f.SL:
            cite("munmap-sealed")
            return EPERM
        if vma.end > end:
            error = split(space, vma, end)
            if error:
                return error
        last += 1
    del space.vmas[index:last]
    unmap_pages(space, start, end)
    return 0


def mmap(process: Process, mapping: Mapping) -> int:
    """The address, or -errno. Source: do_mmap(), __mmap_region()."""
    space = process.space
    start = page_of(page_address(mapping.at))
    if mapping.kind is Kind.VVAR:
        return _move_vvar(process, mapping, start)
    if mapping.kind is Kind.SECRETMEM:
        return _map_secret(process, mapping, start)
    vma = _fresh(process, mapping, start)
    error = _check(process, mapping, vma)
    if error:
        return -error
    error = unmap(space, vma.start, vma.end)
    if error:
        return -error
    cite("mmap-fixed")
    merge_new(space, vma)
    return page_address(mapping.at)


def _fresh(process: Process, mapping: Mapping, start: int) -> Vma:
    """The VMA that a mapping asks for, before merging."""
    kind = mapping.kind
    end = start + mapping.pages
    flags = PROT_FLAGS[mapping.prot.bits] | MAY
    shared = mapping.sharing is Sharing.SHARED and kind is not Kind.DROPPABLE
    if shared:
        flags |= f.SH | f.MS
    if kind.value in process.facts.noexec:
        flags &= ~f.ME
    file: File | None = None
    pgoff = start
    if kind in FILE_KINDS:
        file = process.files[mapping.file]
        pgoff = mapping.offset
        if shared and mapping.read_only_fd:
            flags &= ~(f.SH | f.MW)
        if flags & f.SH and file.sealed:
            flags &= ~f.MW
    elif kind is Kind.ZERO and not shared:
        file = process.zero
        pgoff = mapping.offset
    elif kind is Kind.HUGETLB:
        file = File("hugetlb", mapping.pages, False)
        pgoff = 0
        flags |= f.DE | f.HT
    elif shared:
        file = File("shared", mapping.pages, True)
        pgoff = mapping.offset if kind is Kind.ZERO else 0
    anonymous = not shared and (kind is Kind.ZERO or file is None)
    if kind is Kind.GROWSDOWN:
        flags |= f.GD
    elif kind is Kind.DROPPABLE:
        flags |= f.DP | f.NR | f.WF | f.DD
    elif kind is Kind.NORESERVE and process.facts.overcommit != 2:
        flags |= f.NR
    if flags & f.WR and not flags & (f.SH | f.NR | f.HT):
        flags |= f.AC
    flags |= process.space.default_flags
    vma = Vma(start, end, flags, pgoff, file, anonymous)
    vma.kind = kind.value
    vma.handle = int(mapping.read_only_fd and kind in FILE_KINDS)
    return vma


def _check(process: Process, mapping: Mapping, vma: Vma) -> int:
    """Refusals before anything is unmapped, in do_mmap()'s order: 0 or a positive errno."""
    kind = mapping.kind
    shared = mapping.sharing is Sharing.SHARED
    if kind is Kind.HUGETLB and (mapping.at % 512 or mapping.pages % 512):
        return EINVAL
    if kind is Kind.GROWSDOWN and shared:
        return EINVAL
    if kind is Kind.DROPPABLE and not process.facts.has_droppable:
        return EINVAL
    if kind in FILE_KINDS:
        if shared and mapping.read_only_fd and vma.flags & f.WR:
            cite("mmap-read-only-fd")
            return EACCES
        if vma.flags & f.EX and not vma.flags & f.ME:
            return EPERM
        if vma.file is not None and vma.file.sealed and vma.flags & f.SH and vma.flags & f.WR:
            cite("mmap-sealed-file")
            return EPERM
    if len(process.space.vmas) > process.facts.max_map_count:
        return ENOMEM
    return 0


def _map_secret(process: Process, mapping: Mapping, start: int) -> int:
    """memfd_secret(): shared only, and within RLIMIT_MEMLOCK. Source: mm/secretmem.c."""
    space = process.space
    if mapping.sharing is not Sharing.SHARED:
        cite("secretmem-shared-only")
        error = unmap(space, start, start + mapping.pages)
        return -(error or EINVAL)
    if _over_memlock(process, mapping.pages):
        error = unmap(space, start, start + mapping.pages)
        return -(error or EAGAIN)
    error = unmap(space, start, start + mapping.pages)
    if error:
        return -error
    file = File("secretmem", mapping.pages, True)
    flags = process.facts.secretmem_flags & ~(f.RD | f.WR) | PROT_FLAGS[mapping.prot.bits]
    vma = Vma(start, start + mapping.pages, flags, 0, file, False)
    vma.secret = True
    vma.kind = mapping.kind.value
    merge_new(space, vma)
    return page_address(mapping.at)


def _over_memlock(process: Process, pages: int) -> bool:
    """mlock_future_ok() is not."""
    if process.facts.cap_ipc_lock:
        return False
    limit = process.facts.memlock_bytes // PAGE
    return process.space.locked_pages() + pages > limit


def _move_vvar(process: Process, mapping: Mapping, start: int) -> int:
    """The process's [vvar] is moved to the arena by mremap(); its size is the kernel's."""
    space = process.space
    pages = process.facts.vvar_pages
    error = unmap(space, start, start + pages)
    if error:
        return -error
    vma = Vma(start, start + pages, process.facts.vvar_flags, 0, None, False)
    vma.special = True
    vma.kind = mapping.kind.value
    merge_new(space, vma)
    return page_address(mapping.at)
