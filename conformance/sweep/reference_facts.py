"""Facts of two kernels that have most of what there is, for counting what programs exercise.

They are of no machine: what a kernel does is probed. Here only many branches of the model are to
be reached without one.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from conformance.abi import vm_flags as f
from conformance.abi.advice import ADVICES
from conformance.program.kernel_facts import KernelFacts, RangesCall

_MAY: Final = f.MR | f.MW | f.ME
NEWEST: Final = KernelFacts(
    release="7.3",
    advices=tuple(sorted(row.value for row in ADVICES)),
    ranges_call=RangesCall.KERNEL,
    hugetlb_pages_free=8,
    secretmem_flags=f.RD | f.WR | f.SH | f.MS | f.LO | f.DD | _MAY,
    perf_flags=f.RD | f.WR | f.SH | f.MS | f.DC | f.DE | f.DD | f.PF | f.IO | _MAY,
    vvar_pages=4,
    vvar_flags=f.RD | f.PF | f.IO | f.DE | f.DD | f.MR,
    dofork_refuses_special=True,
    collapse_below_pmd_ok=True,
    mremap_joins_source=False,
    mremap_splits_locked=True,
    mremap_merges_uffd=False,
    anon_pgoff_apart=True,
    has_soft_dirty=True,
    swap=True,
    disk_fs="ext4",
)
OLDEST: Final = replace(
    NEWEST,
    release="6.1",
    advices=tuple(value for value in NEWEST.advices if value not in (102, 103)),
    ranges_call=RangesCall.SHIM,
    self_any_advice=False,
    pidfd_self=False,
    has_mseal=False,
    has_droppable=False,
    guard_flag=False,
    guard_file=False,
    dofork_refuses_special=False,
    collapse_below_pmd_ok=False,
    collapse_passes_holes=False,
    populate_stops_at_gap=False,
    mremap_many=False,
    mremap_joins_source=True,
    mremap_splits_locked=False,
    mremap_merges_uffd=True,
    anon_pgoff_apart=False,
    swap=False,
    config_swap=False,
    disk_punch=False,
)
REFERENCE: Final = {"newest": NEWEST, "oldest": OLDEST}
