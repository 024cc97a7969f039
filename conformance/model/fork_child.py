"""What a forked child gets. Source: dup_mmap(), copy_page_range(), dup_userfaultfd()."""

from __future__ import annotations

from conformance.abi import vm_flags as f
from conformance.model.address_space import AddressSpace, Vma
from conformance.spec.cite import cite, met


def fork(parent: AddressSpace) -> AddressSpace:
    """The child's address space; files are shared with the parent."""
    child = AddressSpace(parent.facts, parent.count)
    child.covered = {page: list(extents) for page, extents in parent.covered.items()}
    child.tables = set(parent.tables)
    met("fork-effect")
    child.default_flags = parent.default_flags & f.NH  # VM_INIT_DEF_MASK
    for vma in parent.vmas:
        if vma.flags & f.DC:
            cite("fork-dontfork")
            continue
        new = vma.copy(vma.start, vma.end)
        if vma.flags & (f.LO | f.LF):
            met("fork-unlocked")
        if vma.flags & (f.UM | f.UW | f.UI):
            met("fork-uffd")
        new.flags &= ~(f.LO | f.LF | f.UM | f.UW | f.UI)
        child.vmas.append(new)
        if vma.flags & f.WF:
            cite("fork-wipeonfork")
            new.anon_vma = 0
            continue
        if new.anon_vma:  # its chain has the parent's and one of its own: vma_is_fork_child()
            new.anon_vma = -len(child.vmas)
        if needs_copy(vma):
            if vma.flags & f.GU:
                met("fork-guards")
            _copy_pages(parent, child, vma)
    return child


def needs_copy(vma: Vma) -> bool:
    """vma_needs_copy(): page tables that faults would not fill again. The child has lost its
    userfaultfd registration by then, so that does not count."""
    if vma.anon_vma:
        return True
    return bool(vma.flags & (f.PF | f.MM | f.GU))


def _copy_pages(parent: AddressSpace, child: AddressSpace, vma: Vma) -> None:
    for index in parent.arena_span(vma.start, vma.end):
        child.pte[index] = parent.pte[index]
        child.copy_of[index] = parent.copy_of[index]
        child.lazy[index] = parent.lazy[index]
        if index in parent.why:
            child.why[index] = parent.why[index]
        if index in parent.bytes:
            child.bytes[index] = bytearray(parent.bytes[index])
