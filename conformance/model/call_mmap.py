"""mmap(MAP_FIXED) and munmap. Source: do_mmap(), mm/vma.c."""

from __future__ import annotations

from typing import Final

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EACCES, EAGAIN, EINVAL, ENODEV, ENOMEM, EPERM
from conformance.model.address_space import AddressSpace, File, Vma, page_of, pages_up
from conformance.model.page_state import unmap_pages
from conformance.model.process import Process
from conformance.model.split_merge import merge_new, split
from conformance.program.mapping import PROT_BITS, Backing, FileSlot, Kind, Mapping, Sharing
from conformance.program.places import PAGE, page_address
from conformance.spec.cite import cite

PROT_FLAGS: Final = {0: 0, 1: f.RD, 3: f.RD | f.WR, 5: f.RD | f.EX}
MAY: Final = f.MR | f.MW | f.ME

# Bound once: looking a member up in its Enum costs as much as a whole check.
_ANON: Final = Kind.ANON
_NORESERVE: Final = Kind.NORESERVE
_GROWSDOWN: Final = Kind.GROWSDOWN
_DROPPABLE: Final = Kind.DROPPABLE
_ZERO: Final = Kind.ZERO
_MEMFD: Final = Kind.MEMFD
_TMPFS: Final = Kind.TMPFS
_DISK: Final = Kind.DISK
_SECRETMEM: Final = Kind.SECRETMEM
_HUGETLB: Final = Kind.HUGETLB
_VVAR: Final = Kind.VVAR
_PERF: Final = Kind.PERF
_SHARED: Final = Sharing.SHARED


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
    top = space.facts.task_size
    if start % PAGE or start > top or length > top - start or not length:
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
    kind = mapping.kind
    address = page_address(mapping.at)
    start = page_of(address)
    if kind is _PERF:
        return _map_perf(process, mapping, start)
    if kind is _VVAR:
        return _move_vvar(process, mapping, start)
    if kind is _SECRETMEM:
        return _map_secret(process, mapping, start)
    shared = mapping.sharing is _SHARED
    late = False  # the file's own mmap() looks at the seals, when what was there is gone
    if kind is _ANON and not shared and not process.facts.noexec:
        flags = PROT_FLAGS[PROT_BITS[mapping.prot]] | MAY
        if flags & f.WR:
            flags |= f.AC
        vma = Vma(start, start + mapping.pages, flags | space.default_flags, start, None, True)
    else:
        vma = _fresh(process, mapping, start, shared)
        error = _check(process, mapping, vma, shared)
        if error:
            return -error
        if vma.flags & f.WR and _sealed(vma):
            late = process.facts.mmap_seal_late
            if not late:
                cite("mmap-sealed-file")
                return -EPERM
    if len(space.vmas) > process.facts.max_map_count:
        return -ENOMEM
    error = _make_room(space, vma.start, vma.end)
    if error:
        return -error
    if late:
        error = _map_sealed_late(space, vma)
        return -error if error else address
    cite("mmap-fixed")
    merge_new(space, vma, next_first=process.facts.mmap_next_first)
    return address


def _fresh(process: Process, mapping: Mapping, start: int, shared: bool) -> Vma:
    """The VMA that a mapping asks for, before merging."""
    kind = mapping.kind
    end = start + mapping.pages
    flags = PROT_FLAGS[PROT_BITS[mapping.prot]] | MAY
    if kind is _DROPPABLE:  # a type of its own, neither shared nor private
        shared = False
        flags |= f.DP | f.NR | f.WF | f.DD
    if shared:
        flags |= f.SH | f.MS
    if process.facts.noexec and kind.value in process.facts.noexec:
        flags &= ~f.ME
    file: File | None = None
    pgoff = start
    anonymous = not shared
    handle = 0
    if kind is _MEMFD or kind is _TMPFS or kind is _DISK:
        file = process.files[mapping.file]
        pgoff = mapping.offset
        anonymous = False
        if mapping.read_only_fd:
            handle = 1
            if shared:
                flags &= ~(f.SH | f.MW)
        if flags & f.SH and file.sealed:
            flags &= ~f.MW
    elif kind is _HUGETLB:
        file = File("hugetlb", mapping.pages, False)
        pgoff = 0
        anonymous = False
        flags |= f.DE | f.HT
    elif kind is _ZERO and not shared:
        file = process.zero_file()
        pgoff = mapping.offset
    elif shared:
        file = File("shared", mapping.pages, True)
        pgoff = mapping.offset if kind is _ZERO else 0
    if kind is _GROWSDOWN:
        flags |= f.GD
    elif kind is _NORESERVE and process.facts.overcommit != 2:
        flags |= f.NR
    if flags & f.WR and not flags & (f.SH | f.NR | f.HT):
        flags |= f.AC
    vma = Vma(start, end, flags | process.space.default_flags, pgoff, file, anonymous)
    vma.handle = handle
    return vma


def _check(process: Process, mapping: Mapping, vma: Vma, shared: bool) -> int:
    """Refusals before anything is unmapped, in do_mmap()'s order: 0 or a positive errno."""
    kind = mapping.kind
    if kind is _HUGETLB and (mapping.at % 512 or mapping.pages % 512):
        return EINVAL
    if kind is _GROWSDOWN and shared:
        cite("mmap-growsdown-private")
        return EINVAL
    if kind is _DROPPABLE and not process.facts.has_droppable:
        return EINVAL
    if kind is _MEMFD or kind is _TMPFS or kind is _DISK:
        if shared and mapping.read_only_fd and vma.flags & f.WR:
            cite("mmap-read-only-fd")
            return EACCES
        if vma.flags & f.EX and not vma.flags & f.ME:
            cite("mmap-noexec")
            return EPERM
    return 0


def _sealed(vma: Vma) -> bool:
    """Do the seals of its file forbid a shared mapping to be written to?

    Source: memfd_check_seals_mmap(), in 6.1 seal_check_write().
    """
    return bool(vma.file is not None and vma.file.sealed and vma.flags & f.SH)


def _map_sealed_late(space: AddressSpace, vma: Vma) -> int:
    """Memory to be written to makes an older VMA larger if it can, whatever the seals say: the file
    is not asked. Only if there is none, the file refuses. 0 or a positive errno.

    Source: mmap_region() of 6.1; is_readonly_sealed() sees to what is only read before.
    """
    vma.flags |= f.MW
    if merge_new(space, vma, next_first=space.facts.mmap_next_first) is not vma:
        cite("mmap-fixed")
        return 0
    space.remove(vma)
    cite("mmap-sealed-file")
    return EPERM


def _make_room(space: AddressSpace, start: int, end: int) -> int:
    """What mmap() does to what is there: 0 or a positive errno. Source: mmap_region()."""
    error = unmap(space, start, end)
    return ENOMEM if error and space.facts.mmap_hides_why else error


def _map_secret(process: Process, mapping: Mapping, start: int) -> int:
    """memfd_secret(): shared only, and within RLIMIT_MEMLOCK. Source: mm/secretmem.c."""
    space = process.space
    if PROT_FLAGS[PROT_BITS[mapping.prot]] & f.EX:  # do_mmap() looks before the file's own mmap()
        cite("mmap-noexec")
        return -EPERM
    if mapping.sharing is not _SHARED:
        cite("secretmem-shared-only")
        error = _make_room(space, start, start + mapping.pages)
        return -(error or EINVAL)
    if _over_memlock(process, mapping.pages):
        error = _make_room(space, start, start + mapping.pages)
        return -(error or EAGAIN)
    error = _make_room(space, start, start + mapping.pages)
    if error:
        return -error
    file = File("secretmem", mapping.pages, True)
    flags = process.facts.secretmem_flags & ~(f.RD | f.WR) | PROT_FLAGS[PROT_BITS[mapping.prot]]
    vma = Vma(start, start + mapping.pages, flags, 0, file, False)
    vma.secret = True
    merge_new(space, vma)
    return page_address(mapping.at)


def _over_memlock(process: Process, pages: int) -> bool:
    """mlock_future_ok() is not."""
    if process.facts.cap_ipc_lock:
        return False
    limit = process.facts.memlock_bytes // PAGE
    return process.space.locked_pages() + pages > limit


def _map_perf(process: Process, mapping: Mapping, start: int) -> int:
    """The ring buffer of a perf event: page frames, never split. Source: perf_mmap()."""
    space = process.space
    error = _make_room(space, start, start + mapping.pages)
    if error:
        return -error
    file = File("perf", mapping.pages, False)
    file.punch = ENODEV
    flags = process.facts.perf_flags & ~(f.RD | f.WR) | PROT_FLAGS[PROT_BITS[mapping.prot]]
    vma = Vma(start, start + mapping.pages, flags, 0, file, False)
    vma.special = True
    merge_new(space, vma)
    return page_address(mapping.at)


def _move_vvar(process: Process, mapping: Mapping, start: int) -> int:
    """The process's [vvar] is moved to the arena by mremap(); its size is the kernel's."""
    space = process.space
    pages = process.facts.vvar_pages
    error = unmap(space, start, start + pages)
    if error:
        return -error
    flags = process.facts.vvar_flags
    for old in space.vmas:  # where it was, for a program that knows what is outside the arena
        if old.special and old.flags == flags and old.end - old.start == pages:
            space.remove(old)
            break
    vma = Vma(start, start + pages, flags, 0, None, False)
    vma.special = True
    merge_new(space, vma)
    return page_address(mapping.at)
