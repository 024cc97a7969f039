"""What new VMAs start with: of the process itself, of a child, and of a program that it executes.

Source: do_brk_flags(), setup_arg_pages(), and mm_init() for def_flags.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from conformance.abi import vm_flags as f
from conformance.model.address_space import AddressSpace
from conformance.program.call import HEIRS
from conformance.spec.cite import cite, met

_WORDS: Final = Struct(f"<{len(HEIRS)}Q")
# Of a private writable anonymous mapping; of a heap too, where data is not executable.
DATA: Final = f.RD | f.WR | f.MR | f.MW | f.ME | f.AC


def heirs(space: AddressSpace) -> bytes:
    """The flags of call.HEIRS, as they are read back."""
    heap = f.EX if space.facts.heap_exec else 0
    cite("default-future")
    own = DATA | space.default_flags
    cite("default-inherit")
    if space.default_flags & ~f.NH:
        met("default-not-inherited")
    child = DATA | space.default_flags & f.NH  # VM_INIT_DEF_MASK
    return _WORDS.pack(own | heap, child, child | heap, child, child | heap, child | f.GD)
