"""mremap(2). Source: mm/mremap.c."""

from __future__ import annotations

from typing import Final

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM
from conformance.model.address_space import NO_COPY, PTE_NONE, AddressSpace, Vma, page_of, pages_up
from conformance.model.call_mmap import unmap
from conformance.model.huge_pages import HUGE_PAGES
from conformance.model.page_state import populate
from conformance.model.process import Process
from conformance.model.split_merge import can_precede, merge_new, split
from conformance.program.call import Mremap
from conformance.program.places import PAGE
from conformance.spec.cite import cite, met

UFFD: Final = f.UM | f.UW | f.UI


def mremap(process: Process, call: Mremap) -> int:
    """The new address, or -errno. Source: do_mremap()."""
    old, new = pages_up(call.old_length), pages_up(call.new_length)
    if process.facts.mremap_vma_first:
        return _source_first(process, call, old, new)
    error = _check_arguments(call, old, new, process.facts.task_size)
    if error:
        cite("mremap-arguments")
        return -error
    space = process.space
    start = page_of(call.start)
    if call.target is not None and old == new:
        return _move_range(process, start, start + old, page_of(call.target), call.dont_unmap)
    behind = space.at(start)
    if behind is not None and behind.flags & f.HT and not behind.flags & f.SL:
        old, new = -(-old // HUGE_PAGES) * HUGE_PAGES, -(-new // HUGE_PAGES) * HUGE_PAGES
        where = start if call.target is None else page_of(call.target)
        if start % HUGE_PAGES or where % HUGE_PAGES or new > old:
            cite("mremap-hugetlb")
            return -EINVAL
    if call.target is None:
        return _in_place(process, start, old, new)
    target = page_of(call.target)
    vma = space.at(start)
    error = _check_vma(process, vma, start, old, new, call.dont_unmap, moves=True)
    if error:
        return -error
    return _move_to(process, start, old, new, target, call.dont_unmap)


def _source_first(process: Process, call: Mremap, old: int, new: int) -> int:
    """The order until 6.16: source, then target, and nothing is moved but a part of one VMA.

    Source: mremap() and mremap_to() of 6.12.
    """
    fixed = call.target is not None
    keeps = call.dont_unmap and (not fixed or call.old_length != call.new_length)
    if call.start % PAGE or not new or keeps:
        cite("mremap-arguments")
        return -EINVAL
    start = page_of(call.start)
    vma = process.space.at(start)
    if vma is None:
        cite("mremap-unmapped")
        return -EFAULT
    if vma.flags & f.SL:
        cite("mremap-sealed")
        return -EPERM
    if vma.flags & f.HT:
        old, new = -(-old // HUGE_PAGES) * HUGE_PAGES, -(-new // HUGE_PAGES) * HUGE_PAGES
        if start % HUGE_PAGES or (call.target or 0) % (HUGE_PAGES * PAGE) or new > old:
            cite("mremap-hugetlb")
            return -EINVAL
    if call.target is None:
        return _in_place(process, start, old, new)
    if _check_arguments(call, old, new, process.facts.task_size):
        cite("mremap-arguments")
        return -EINVAL
    return _move_to(process, start, old, new, page_of(call.target), call.dont_unmap)


def _check_arguments(call: Mremap, old: int, new: int, task_size: int) -> int:
    """check_mremap_params()."""
    if call.start % PAGE or not new or new * PAGE > task_size:
        return EINVAL
    if call.target is None:
        return EINVAL if call.dont_unmap else 0
    if call.target + new * PAGE > task_size or call.target % PAGE:
        return EINVAL
    if call.dont_unmap and old != new:
        return EINVAL
    if call.start + old * PAGE > call.target and call.target + new * PAGE > call.start:
        return EINVAL
    return 0


def _check_vma(
    process: Process, vma: Vma | None, start: int, old: int, new: int, keep: bool, moves: bool
) -> int:
    """check_prep_vma(): 0 or a positive errno."""
    if vma is None:
        cite("mremap-unmapped")
        return EFAULT
    if vma.flags & f.SL:
        cite("mremap-sealed")
        return EPERM
    if not moves and new <= old:
        return 0
    if not old and not vma.flags & (f.SH | f.MS):
        cite("mremap-duplicate")
        return EINVAL
    if keep and vma.flags & (f.DE | f.PF):
        cite("mremap-special")
        return EINVAL
    if min(old, new) > vma.end - start and new < old:
        cite("mremap-beyond-vma")
        return EFAULT
    if new >= old and old > vma.end - start:
        cite("mremap-beyond-vma")
        return EFAULT
    if new <= old:
        return 0
    if vma.flags & (f.DE | f.PF):
        cite("mremap-special")
        return EFAULT
    if vma.flags & f.LO and not process.facts.cap_ipc_lock:
        limit = process.facts.memlock_bytes // PAGE
        if process.space.locked_pages() + new - old > limit:
            return EAGAIN
    return 0


def _in_place(process: Process, start: int, old: int, new: int) -> int:
    """mremap_at() without MREMAP_MAYMOVE."""
    space = process.space
    vma = space.at(start)
    error = _check_vma(process, vma, start, old, new, keep=False, moves=False)
    if error or vma is None:
        return -error
    if new == old:
        return start * PAGE
    if new < old:
        error = unmap(space, start + new, start + old)
        return -error if error else start * PAGE
    end, new_end = vma.end, vma.end + new - old
    index = space.vmas.index(vma)
    if end - start != old or (
        index + 1 < len(space.vmas) and space.vmas[index + 1].start < new_end
    ):
        cite("mremap-no-room")
        return -ENOMEM
    cite("mremap-grow")
    grown = _extend(space, vma, index, new_end)
    if vma.flags & f.LO:
        locked = grown.flags & (f.WR | f.SH) == f.WR
        if grown.flags & f.ACCESS and not grown.flags & f.LF and not grown.secret:
            populate(space, grown, end, new_end, locked)
    return start * PAGE


def _extend(space: AddressSpace, vma: Vma, index: int, new_end: int) -> Vma:
    """vma_merge_extend(): grow up to new_end, and take in the next VMA where it continues."""
    vma.end = new_end
    if index + 1 < len(space.vmas):
        after = space.vmas[index + 1]
        end_pgoff = vma.pgoff + new_end - vma.start
        if not vma.flags & f.SPECIAL and can_precede(
            space, new_end, vma.flags, end_pgoff, vma, after
        ):
            vma.flags |= after.flags & (f.GU | f.SD)
            vma.anon_vma = vma.anon_vma or after.anon_vma
            vma.end = after.end
            space.remove(after)
    return vma


def _move_range(process: Process, start: int, end: int, target: int, keep: bool) -> int:
    """remap_move(): every VMA of the range moves, gaps kept; EFAULT if it starts in one."""
    space = process.space
    result = -EFAULT
    first = True
    last_end = 0
    where = target
    index = space.find(start)
    page = start
    while page < end and index < len(space.vmas) and space.vmas[index].start < end:
        vma = space.vmas[index]
        if first and start < vma.start:
            cite("mremap-unmapped")
            return -EFAULT
        at = max(vma.start, start)
        size = min(end, vma.end) - at
        offset = 0 if first else vma.start - last_end
        last_end = vma.end
        page = last_end
        many = process.facts.mremap_many and not vma.flags & (f.UM | f.UW | f.UI)
        many = many and (vma.file is None or not vma.file.own_area)
        if not many and (not first or vma.end < end):
            cite("mremap-beyond-vma")
            return -EFAULT
        if not first:
            met("mremap-many")
        if vma.flags & f.HT and (at % HUGE_PAGES or (where + offset) % HUGE_PAGES):
            cite("mremap-hugetlb")
            return -EPERM if vma.flags & f.SL else -EINVAL
        if vma.flags & f.HT:  # all of the huge page that the range ends in: align_hugetlb()
            size = -(-size // HUGE_PAGES) * HUGE_PAGES
        error = _check_vma(process, vma, at, size, size, keep, moves=True)
        if error:
            return -error
        moved = _move_to(process, at, size, size, where + offset, keep)
        if moved < 0:
            return moved
        if first:
            result = moved
            first = False
        where = where + offset + size
        index = space.find(page)
    return result


def _move_to(process: Process, start: int, old: int, new: int, target: int, keep: bool) -> int:
    """mremap_to() with MREMAP_FIXED: the target is cleared first, then a shrink, then the move."""
    space = process.space
    error = unmap(space, target, target + new)
    if error:
        return -error
    if space.at(start) is None:
        return -EFAULT
    if new < old:
        error = unmap(space, start + new, start + old)
        if error:
            return -error
        old = new
    vma = space.at(start)
    if process.facts.mremap_clears_first:
        error = _check_vma(process, vma, start, old, new, keep, moves=True)
        if error:
            return -error
    if vma is None:
        return -EFAULT
    if vma.special and (start != vma.start or start + old != vma.end):
        cite("mremap-part-of-special")
        return -EINVAL
    cite("mremap-move")
    grows_locked = bool(vma.flags & f.LO) and new > old
    _copy_and_drop(space, vma, start, old, new, target, keep)
    if grows_locked:
        moved = space.at(target)
        if (
            moved is not None
            and moved.flags & f.ACCESS
            and not moved.flags & f.LF
            and not moved.secret
        ):
            write = moved.flags & (f.WR | f.SH) == f.WR
            populate(space, moved, target + old, target + new, write)
    return target * PAGE


def _copy_and_drop(
    space: AddressSpace, vma: Vma, start: int, old: int, new: int, target: int, keep: bool
) -> None:
    """move_vma(): copy_vma(), move_page_tables(), then the source goes or is emptied."""
    if keep and vma.flags & f.LO and space.facts.mremap_splits_locked:
        vma = _cut_out(space, vma, start, start + old)
    pgoff = vma.pgoff + start - vma.start
    if not vma.anon_vma and vma.anonymous:
        pgoff = target
    copy = Vma(target, target + new, vma.flags, pgoff, vma.file, vma.anonymous)
    copy.anon_vma, copy.special = vma.anon_vma, vma.special
    copy.secret, copy.handle = vma.secret, vma.handle
    copy.shift = _shift_after(space, vma, start, target)
    joins = not keep or space.facts.mremap_joins_source or not vma.anonymous or vma.anon_vma
    moved = copy
    if vma.flags & UFFD and not space.facts.mremap_merges_uffd:
        space.insert(copy)  # vma_merge_copied_range(): what loses its registration stays apart
    else:
        moved = merge_new(space, copy, None if joins else vma)
    if vma.flags & UFFD:
        # userfaultfd_reset_ctx() clears the VMA that holds the copy, merged or not.
        moved.flags &= ~UFFD
    for offset in range(old):
        _move_page(space, start + offset, target + offset)
    if keep:
        _empty_source(space, moved, start, start + old)
    elif old:  # of no length do_vmi_munmap() refuses to unmap anything, and splits nothing
        unmap(space, start, start + old)


def _cut_out(space: AddressSpace, vma: Vma, start: int, end: int) -> Vma:
    """needs_pre_split(): locked memory that is kept is split off, to be unlocked alone."""
    if vma.start < start:
        split(space, vma, start)
        vma = space.vmas[space.vmas.index(vma) + 1]
    if vma.end > end:
        split(space, vma, end)
    return vma


def _shift_after(space: AddressSpace, vma: Vma, start: int, target: int) -> int:
    """Vma.shift of the copy: nothing while no page has been written, since it may be anew. A
    private mapping of /dev/zero counts, too: needs_adjacent_anon_pgoff() asks for a file alone."""
    private_file = vma.file is not None and vma.flags & (f.SH | f.MW) == f.MW
    if not space.facts.anon_pgoff_apart or not private_file or not vma.anon_vma:
        return 0
    return vma.shift + start - target


def _empty_source(space: AddressSpace, moved: Vma, start: int, end: int) -> None:
    """dontunmap_complete(): the source stays, without locks, and without its anon_vma if all of
    it was moved. A source that took in its copy is not what was moved any more."""
    source = space.at(start)
    if source is None:
        return
    source.flags &= ~(f.LO | f.LF)
    if space.facts.mremap_keep_unaccounts:
        source.flags &= ~f.AC
    if source is moved or (source.start, source.end) != (start, end):
        return
    source.anon_vma = 0
    source.shift = 0
    if not space.facts.mremap_joins_source and source.anonymous and source.file is None:
        source.pgoff = start


def _move_page(space: AddressSpace, old: int, new: int) -> None:
    source, target = old - space.base, new - space.base
    if not (0 <= source < space.count and 0 <= target < space.count):
        return
    if space.large:
        space.tables.add(new // HUGE_PAGES)
    space.pte[target] = space.pte[source]
    space.copy_of[target] = space.copy_of[source]
    space.lazy[target] = space.lazy[source]
    if source in space.deactivated:
        space.deactivated.remove(source)
        space.deactivated.add(target)
    if source in space.shared:
        space.shared.remove(source)
        space.shared.add(target)
    if source in space.why:
        space.why[target] = space.why[source]
    if source in space.bytes:
        space.bytes[target] = space.bytes.pop(source)
    space.pte[source] = PTE_NONE
    space.copy_of[source] = NO_COPY
    space.lazy[source] = False
