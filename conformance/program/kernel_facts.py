"""KernelFacts: what a target found out about the kernel it runs, and about its own rights.

The model reads nothing itself; these facts select its rules. Every fact is probed by doing
the thing and looking, never concluded from the release: stable kernels carry back-ports.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from conformance.program.places import TASK_SIZE


class RangesCall(str, Enum):
    """Who answers madvise_ranges()."""

    ABSENT = "absent"
    KERNEL = "kernel"
    SHIM = "shim"


class KernelFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One target's facts. A bool names what is true of the kernel when it is set."""

    release: str
    # What exists.
    advices: tuple[int, ...]  # madvise(0, 0, advice) answers 0
    ranges_call: RangesCall = RangesCall.ABSENT
    has_process_madvise: bool = True
    ilp32_calls: bool = True  # int $0x80 makes i386 calls, from a 64-bit process too
    self_any_advice: bool = True  # process_madvise() on oneself takes every advice (6.13)
    pidfd_self: bool = True  # PIDFD_SELF: -10000 is the calling thread (6.15)
    pidfd_self_group: bool = True  # -10001 is the one of the process (6.17; at first -20000)
    has_mseal: bool = True
    has_droppable: bool = True
    has_secretmem: bool = True
    has_uffd: bool = True
    has_uffd_wp: bool = True
    has_soft_dirty: bool = False
    has_mremap_dontunmap: bool = True
    hugetlb_pages_free: int = 0
    # How it behaves.
    guard_flag: bool = True  # VmFlags shows `gu` after GUARD_INSTALL
    guard_file: bool = True  # GUARD_INSTALL works on file mappings (6.15)
    secretmem_flags: int = 0  # VmFlags of a fresh writable shared secretmem mapping
    perf_flags: int = 0  # VmFlags of a writable ring buffer of perf; 0: none that refuses splits
    vvar_pages: int = 0
    vvar_flags: int = 0
    dofork_refuses_special: bool = False  # 7.0: VM_SPECIAL; before: VM_IO
    collapse_below_pmd_ok: bool = False  # COLLAPSE inside one PMD is 0 (7.x), else EINVAL
    collapse_needs_anon_vma: bool = True
    collapse_passes_holes: bool = True  # COLLAPSE goes on behind a huge page of nothing (7.x)
    merge_into_unfaulted: bool = True  # a written range joins a neighbour without pages (6.16)
    sealed_zero_refused: bool = True  # mseal guards read-only private /dev/zero too
    populate_stops_at_gap: bool = True  # 6.9
    remote_access_first: bool = True  # mm_access() before the advice check (6.13)
    self_needs_nice: bool = False  # process_madvise() on oneself needs CAP_SYS_NICE (6.1)
    iovec_whole: bool = False  # a vector is copied before any length is looked at (until 6.6)
    iovec_one_clamped: bool = True  # of one element, what is too long is cut before the check (6.4)
    lockonfault_shown: bool = True  # VmFlags has a name for it, `lf`
    offline_notrecoverable: bool = False  # SOFT_OFFLINE of the zero page; before 7.3: EIO
    mprotect_unaccounts: bool = True  # untouched memory made read-only is not charged for (6.4)
    mmap_next_first: bool = False  # new memory goes to the VMA behind, if not to both (6.1)
    mmap_seal_late: bool = False  # what was mapped is gone when a sealed file is refused (6.1)
    mmap_hides_why: bool = False  # mmap() that cannot unmap what is there: ENOMEM (6.1)
    mremap_vma_first: bool = False  # the source is looked at before the target (until 6.16)
    mremap_clears_first: bool = False  # the target is unmapped before that look (until 6.16)
    mremap_keep_unaccounts: bool = False  # what MREMAP_DONTUNMAP leaves is not charged for (6.16)
    mremap_many: bool = True  # mremap() moves a range of several VMAs (6.17)
    mremap_joins_source: bool = True  # MREMAP_DONTUNMAP may merge the copy with its source
    mremap_splits_locked: bool = False  # MREMAP_DONTUNMAP unlocks what is moved, and no more
    mremap_merges_uffd: bool = True  # a copy of what userfaultfd watches may merge (before 7.3)
    anon_pgoff_apart: bool = False  # a private file VMA keeps its anonymous offset when moved
    heap_exec: bool = False  # what a heap grows by is executable (VM_DATA_DEFAULT_FLAGS)
    noexec: tuple[str, ...] = ()  # kinds (program.mapping.Kind) whose mappings lack VM_MAYEXEC
    # State of the machine.
    swap: bool = False
    config_swap: bool = True
    thp: str = "madvise"  # always, madvise, never, or absent
    ksm_running: bool = False
    lru_gen: bool = False  # pages age by generations: the multi-generational LRU is on
    fault_around_pages: int = 16
    memcg_reclaim: bool = False  # memory.reclaim of the cgroup that programs run in
    fail_nth: bool = False  # the n-th allocation of a call can be made to fail
    max_map_count: int = 65530
    task_size: int = TASK_SIZE  # first address that is no user's: 5-level page tables raise it
    overcommit: int = 0  # /proc/sys/vm/overcommit_memory
    disk_fs: str = ""  # file system behind backing = "disk"; empty: none
    disk_punch: bool = True  # it can punch holes
    # Rights of the process that runs the programs.
    cap_sys_nice: bool = True
    cap_sys_admin: bool = True
    cap_ipc_lock: bool = True
    memlock_bytes: int = 8 << 20
    change_user: bool = True  # it may become another user, and take its capabilities along
    kthread_visible: bool = True
    remote_readable: bool = True  # PTRACE_MODE_READ on one's own child
