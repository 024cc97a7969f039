"""mprotect, mlock2, mseal and userfaultfd registration. Source: mm/mprotect.c and others."""

from __future__ import annotations

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EACCES, EINVAL, ENOMEM, EPERM
from conformance.model.address_space import AddressSpace, Vma, page_of, pages_up
from conformance.model.argument_checks import MASK64
from conformance.model.call_mmap import PROT_FLAGS
from conformance.model.page_state import populate
from conformance.model.process import Process
from conformance.model.split_merge import modify
from conformance.program.call import Mlock, Mprotect, Mseal, UffdRegister
from conformance.program.places import PAGE
from conformance.spec.cite import cite


def mprotect(space: AddressSpace, call: Mprotect) -> int:
    """0 or -errno. Source: do_mprotect_pkey(); what came before an error stays changed."""
    if call.start % PAGE:
        cite("mprotect-arguments")
        return -EINVAL
    if not call.length:
        return 0
    end_address = call.start + pages_up(call.length) * PAGE
    if end_address > MASK64 or end_address <= call.start:
        cite("mprotect-arguments")
        return -ENOMEM
    page, end = page_of(call.start), page_of(end_address)
    prot = PROT_FLAGS[call.prot.bits]
    while page < end:
        vma = space.at(page)
        if vma is None:
            cite("mprotect-gap")
            return -ENOMEM
        part_end = min(vma.end, end)
        flags = vma.flags & ~f.ACCESS | prot
        if flags & ~(flags >> 4) & f.ACCESS:
            cite("mprotect-may")
            return -EACCES
        error = _fixup(space, vma, page, part_end, flags)
        if error:
            return -error
        page = part_end
    return 0


def _fixup(space: AddressSpace, vma: Vma, start: int, end: int, flags: int) -> int:
    """mprotect_fixup(): a positive errno or 0."""
    old = vma.flags
    if old & f.SL:
        cite("mprotect-sealed")
        return EPERM
    if flags == old:
        return 0
    if flags & f.WR:
        if not old & (f.AC | f.WR | f.HT | f.SH | f.NR):
            flags |= f.AC
    elif old & f.AC and vma.anonymous and not vma.anon_vma and space.facts.mprotect_unaccounts:
        flags &= ~f.AC
    error = modify(space, vma, start, end, flags)
    if error:
        return error
    if flags & f.WR and old & f.LO and not old & (f.WR | f.SH):
        target = space.at(start)
        if target is not None and not old & f.LF and not target.secret:
            populate(space, target, start, end, True)
    return 0


def mlock(process: Process, call: Mlock) -> int:
    """mlock2(): 0 or -errno; locks first, then populates, so a failure to populate leaves the
    lock. Source: do_mlock(), __mm_populate()."""
    space = process.space
    facts = process.facts
    start, pages = page_of(call.start), pages_up(call.length)
    if not facts.cap_ipc_lock and facts.memlock_bytes == 0:
        return -EPERM
    limit = facts.memlock_bytes // PAGE
    if not facts.cap_ipc_lock and pages + space.locked_pages() > limit:
        already = sum(
            min(v.end, start + pages) - max(v.start, start)
            for v in space.vmas
            if v.flags & f.LO and v.start < start + pages and v.end > start
        )
        if pages + space.locked_pages() - already > limit:
            return -ENOMEM
    page, end = start, start + pages
    wanted = f.LO | (f.LF if call.onfault else 0)
    while page < end:
        vma = space.at(page)
        if vma is None:
            return -ENOMEM
        part_end = min(vma.end, end)
        flags = vma.flags & ~(f.LO | f.LF) | wanted
        if flags != vma.flags and not (vma.secret or vma.flags & (f.SPECIAL | f.DP | f.HT)):
            error = modify(space, vma, page, part_end, flags)
            if error:
                return -error
        page = part_end
    return -_populate_locked(space, start, end)


def _populate_locked(space: AddressSpace, start: int, end: int) -> int:
    """populate_vma_page_range() for each VMA: a failed fault is told as ENOMEM."""
    page = start
    while page < end:
        vma = space.at(page)
        if vma is None:
            return ENOMEM
        part_end = min(vma.end, end)
        if not vma.flags & (f.IO | f.PF | f.LF):
            if not vma.flags & f.ACCESS or vma.secret:
                cite("mlock-populate")
                return ENOMEM
            write = vma.flags & (f.WR | f.SH) == f.WR
            _, signal = populate(space, vma, page, part_end, write)
            if signal:
                cite("mlock-populate")
                return ENOMEM
        page = part_end
    return 0


def mseal(space: AddressSpace, call: Mseal) -> int:
    """0 or -errno. Source: do_mseal()."""
    page, end = page_of(call.start), page_of(call.start) + pages_up(call.length)
    at = page
    while at < end:
        vma = space.at(at)
        if vma is None:
            return -ENOMEM
        at = vma.end
    while page < end:
        vma = space.at(page)
        if vma is None:
            return -ENOMEM
        part_end = min(vma.end, end)
        if not vma.flags & f.SL:
            error = modify(space, vma, page, part_end, vma.flags | f.SL)
            if error:
                return -error
        page = part_end
    return 0


def uffd_register(space: AddressSpace, call: UffdRegister) -> int:
    """UFFDIO_REGISTER: 0 or -errno. Every VMA is looked at before the first is changed.

    Source: userfaultfd_register(), vma_can_userfault().
    """
    page, end = page_of(call.start), page_of(call.start) + pages_up(call.length)
    found = False
    for vma in space.vmas:
        if vma.end <= page or vma.start >= end:
            continue
        if not found and vma.start > page:
            return -EINVAL
        found = True
        special = 0 if vma.flags & f.HT else f.SPECIAL
        if vma.flags & (f.DP | f.SS | special) or not _can_userfault(vma):
            cite("uffd-kind")
            return -EINVAL
        if not vma.flags & f.MW:
            cite("uffd-may-write")
            return -EPERM
    if not found:
        return -EINVAL
    mode = f.UW if call.wp else f.UM
    while page < end:
        index = space.find(page)
        if index == len(space.vmas) or space.vmas[index].start >= end:
            break
        vma = space.vmas[index]
        page = max(page, vma.start)
        part_end = min(vma.end, end)
        flags = vma.flags & ~(f.UM | f.UW | f.UI) | mode
        if flags != vma.flags:
            error = modify(space, vma, page, part_end, flags)
            if error:
                return -error
        page = part_end
    return 0


def _can_userfault(vma: Vma) -> bool:
    """Anonymous memory and shmem; not files on disk, not secretmem."""
    if vma.secret:
        return False
    if vma.flags & f.HT:
        return True
    return vma.anonymous or (vma.file is not None and vma.file.shmem)
