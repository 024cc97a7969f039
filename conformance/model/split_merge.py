"""Splitting and merging of VMAs. Source: mm/vma.c."""

from __future__ import annotations

from typing import Final

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EINVAL, ENOMEM
from conformance.model.address_space import AddressSpace, Vma
from conformance.spec.cite import cite, met

STICKY: Final = f.GU | f.SD  # VM_STICKY: never keeps VMAs apart, united on a merge
HUGE_PAGES: Final = 512


def _anon_fits(space: AddressSpace, neighbour: int, own: int) -> bool:
    """May a range whose anon_vma is `own` join this neighbour? Both have the same, or one has none
    and no fork made the other's; until 6.15 not a neighbour without, whose empty chain is not
    singular.

    Source: is_mergeable_anon_vma(), vma_is_fork_child().
    """
    if neighbour == own or (not own and neighbour > 0):
        return True
    if not neighbour and own > 0 and space.facts.merge_into_unfaulted:
        return True
    met("vma-merge-anon-vma")
    return False


def _anon_alike(left: int, right: int) -> bool:
    """are_anon_vmas_compatible(): of the neighbours on both sides."""
    if not left or not right or left == right:
        return True
    met("vma-merge-anon-vma")
    return False


def can_join(
    space: AddressSpace, left: Vma, right_start: int, flags: int, right_pgoff: int, right: Vma
) -> bool:
    """Would a range with these flags and pgoff continue `left`? `right` gives the rest."""
    if left.end != right_start or (left.flags ^ flags) & ~STICKY:
        return False
    if (
        left.file is not right.file
        or left.handle != right.handle
        or left.anonymous != right.anonymous
        or left.pgoff + left.end - left.start != right_pgoff
        or left.shift != right.shift
    ):
        met("vma-merge-file")
        return False
    return _anon_fits(space, left.anon_vma, right.anon_vma)


def can_precede(
    space: AddressSpace, end: int, flags: int, end_pgoff: int, middle: Vma, right: Vma
) -> bool:
    """Would a range that ends at `end` be continued by `right`? (can_vma_merge_before())"""
    if right.start != end or (right.flags ^ flags) & ~STICKY:
        return False
    if (
        right.file is not middle.file
        or right.handle != middle.handle
        or right.anonymous != middle.anonymous
        or right.pgoff != end_pgoff
        or right.shift != middle.shift
    ):
        met("vma-merge-file")
        return False
    return _anon_fits(space, right.anon_vma, middle.anon_vma)


def split(space: AddressSpace, vma: Vma, page: int) -> int:
    """Split a VMA at a page inside it; `vma` keeps the lower part. 0 or an errno.

    Source: __split_vma(): a special mapping refuses, so does the inside of a huge page, and the
    limit of VMAs.
    """
    if vma.special:
        cite("vma-split-special")
        return EINVAL
    if vma.flags & f.HT and page % HUGE_PAGES:
        cite("vma-split-hugetlb")
        return EINVAL
    if len(space.vmas) >= space.facts.max_map_count or space.allocations.fail():
        return ENOMEM
    met("vma-split")
    upper = vma.copy(page, vma.end)
    vma.end = page
    space.vmas.insert(space.vmas.index(vma) + 1, upper)
    return 0


def modify(space: AddressSpace, vma: Vma, start: int, end: int, flags: int) -> int:
    """Give [start, end) of a VMA new flags: merge with the neighbours, else split. 0 or errno.

    Source: vma_modify_flags(), vma_merge_existing_range().
    """
    if flags & f.SPECIAL:
        met("vma-merge-special")
    else:
        merged = _merge_existing(space, vma, start, end, flags)
        if merged < 0:
            return -merged
        if merged:
            met("vma-merge")
            return 0
    target = vma
    if vma.start < start:
        error = split(space, vma, start)
        if error:
            return error
        target = space.vmas[space.vmas.index(vma) + 1]
    if target.end > end:
        error = split(space, target, end)
        if error:
            return error
    target.flags = flags
    return 0


def _merge_existing(space: AddressSpace, vma: Vma, start: int, end: int, flags: int) -> int:
    """1 if it merged, 0 if it cannot, or -errno: where it could but for memory, nothing is split
    in its place (VMA_MERGE_ERROR_NOMEM)."""
    left_side = start == vma.start
    right_side = end == vma.end
    if not left_side and not right_side:
        return 0
    index = space.vmas.index(vma)
    prev = space.vmas[index - 1] if left_side and index > 0 else None
    next_ = space.vmas[index + 1] if right_side and index + 1 < len(space.vmas) else None
    if prev is not None and not can_join(space, prev, start, flags, vma.pgoff, vma):
        prev = None
    if next_ is not None:
        end_pgoff = vma.pgoff + end - vma.start
        if not can_precede(space, end, flags, end_pgoff, vma, next_) or (
            prev is not None and not _anon_alike(prev.anon_vma, next_.anon_vma)
        ):
            next_ = None
    if prev is None and next_ is None:
        return 0
    if space.allocations.fail():
        return -ENOMEM
    if prev is not None:
        if (prev.flags ^ flags) & STICKY:
            met("vma-merge-sticky")
        _extend_left(space, prev, vma, next_, end, flags)
    elif next_ is not None:
        if (next_.flags ^ flags) & STICKY:
            met("vma-merge-sticky")
        next_.flags |= flags & STICKY
        next_.anon_vma = next_.anon_vma or vma.anon_vma
        next_.pgoff -= next_.start - start
        next_.start = start
        if left_side:
            space.remove(vma)
        else:
            vma.end = start
    return 1


def _extend_left(
    space: AddressSpace, prev: Vma, vma: Vma, next_: Vma | None, end: int, flags: int
) -> None:
    """prev takes the changed range, and next_ with it where both fit."""
    prev.flags |= flags & STICKY
    if next_ is not None:
        prev.flags |= next_.flags & STICKY
        prev.anon_vma = prev.anon_vma or next_.anon_vma or vma.anon_vma
        prev.end = next_.end
        space.remove(vma)
        space.remove(next_)
        return
    prev.anon_vma = prev.anon_vma or vma.anon_vma
    prev.end = end
    if vma.end == end:
        space.remove(vma)
    else:
        vma.pgoff += end - vma.start
        vma.start = end


def merge_new(
    space: AddressSpace, new: Vma, apart: Vma | None = None, next_first: bool = False
) -> Vma:
    """Put a new VMA into free space, merging with what it touches; the VMA that holds it now.
    apart: a VMA that it must not merge with. next_first: where it could join either neighbour
    but not both, it joins the one behind.

    Source: vma_merge_new_range(), vma_merge_copied_range() (new.anon_vma set); mmap_region() of
    6.1 for next_first.
    """
    index = space.find(new.start)
    if not new.flags & f.SPECIAL:
        prev = space.vmas[index - 1] if index > 0 else None
        next_ = space.vmas[index] if index < len(space.vmas) else None
        prev = None if prev is apart else prev
        next_ = None if next_ is apart else next_
        if prev is not None and not can_join(space, prev, new.start, new.flags, new.pgoff, new):
            prev = None
        if next_ is not None:
            end_pgoff = new.pgoff + new.end - new.start
            if not can_precede(space, new.end, new.flags, end_pgoff, new, next_):
                next_ = None
            elif prev is not None and next_first:
                if not _anon_fits(space, prev.anon_vma, next_.anon_vma):
                    prev = None
            elif prev is not None and not _anon_alike(prev.anon_vma, next_.anon_vma):
                next_ = None
        if prev is not None:
            met("vma-merge")
            prev.flags |= new.flags & STICKY
            prev.end = new.end
            prev.anon_vma = prev.anon_vma or new.anon_vma
            if next_ is not None:
                prev.flags |= next_.flags & STICKY
                prev.anon_vma = prev.anon_vma or next_.anon_vma
                prev.end = next_.end
                space.remove(next_)
            return prev
        if next_ is not None:
            met("vma-merge")
            next_.flags |= new.flags & STICKY
            next_.anon_vma = next_.anon_vma or new.anon_vma
            next_.pgoff = new.pgoff
            next_.start = new.start
            return next_
    space.vmas.insert(index, new)
    return new


def prepare_anon_vma(space: AddressSpace, vma: Vma) -> None:
    """Give a VMA an anon_vma: a neighbour's where it could merge later, else a fresh one.

    Source: __anon_vma_prepare(), find_mergeable_anon_vma(), reusable_anon_vma().
    """
    if vma.anon_vma:
        return
    index = space.vmas.index(vma)
    if index + 1 < len(space.vmas):
        after = space.vmas[index + 1]
        if after.anon_vma > 0 and _anon_compatible(vma, after):
            vma.anon_vma = after.anon_vma
            return
    if index > 0:
        before = space.vmas[index - 1]
        if before.anon_vma > 0 and _anon_compatible(before, vma):
            vma.anon_vma = before.anon_vma
            return
    vma.anon_vma = space.next_anon_vma
    space.next_anon_vma += 1


def _anon_compatible(a: Vma, b: Vma) -> bool:
    """anon_vma_compatible(): flags equal but for what mprotect() changes."""
    return (
        a.end == b.start
        and not (a.flags ^ b.flags) & ~(f.ACCESS | STICKY)
        and a.file is b.file
        and a.handle == b.handle
        and a.pgoff + a.end - a.start == b.pgoff
        and a.shift == b.shift
    )
