"""What each fact of a kernel means to a comparison: something that exists or not, a way to behave,
or the state of the machine, which is no change of a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final

from conformance.oracle.expected_change import (
    FLAT_NAMES,
    FactValue,
    differing_facts,
    flat_facts,
    with_facts,
)
from conformance.program.kernel_facts import KernelFacts, RangesCall


class FactKind(Enum):
    """A closed list; a test holds it against KernelFacts."""

    EXISTS = "exists"  # a call, an advice, an ability: there or not
    BEHAVES = "behaves"  # the same call does something else
    MACHINE = "machine"  # set by configuration, memory, rights; each kernel is judged with its own


_EXISTS: Final = frozenset(
    {
        "ranges_call", "has_process_madvise", "ilp32_calls", "self_any_advice", "pidfd_self",
        "pidfd_self_group",
        "has_mseal", "has_droppable", "has_secretmem", "has_uffd", "has_uffd_wp",
        "has_soft_dirty", "has_mremap_dontunmap", "guard_file", "mremap_many",
    }
)  # fmt: skip
_MACHINE: Final = frozenset(
    {
        "hugetlb_pages_free", "swap", "config_swap", "thp", "ksm_running", "lru_gen",
        "fault_around_pages", "max_map_count", "task_size", "overcommit", "disk_fs", "disk_punch",
        "cap_sys_nice", "cap_sys_admin", "cap_ipc_lock", "memlock_bytes", "change_user",
        "kthread_visible", "remote_readable", "heap_exec", "fail_nth",
    }
)  # fmt: skip


def kind_of(name: str) -> FactKind:
    """Of a flat fact. What nobody thought of is behaviour: such a change must be explained."""
    if name in _EXISTS or name.startswith("advices."):
        return FactKind.EXISTS
    return FactKind.MACHINE if name in _MACHINE else FactKind.BEHAVES


def named_kinds() -> frozenset[str]:
    """The facts that are named here, for the test."""
    return _EXISTS | _MACHINE


def is_there(value: FactValue) -> bool:
    """Is a thing that may exist there, by the value of its fact?"""
    return value not in (False, 0, "", RangesCall.ABSENT.value)


def gained(name: str, base: KernelFacts, head: KernelFacts) -> bool:
    """Is it something that head has and base lacks?"""
    values = [flat_facts(facts)[name] for facts in (base, head)]
    return kind_of(name) is FactKind.EXISTS and not is_there(values[0]) and is_there(values[1])


def lost(name: str, base: KernelFacts, head: KernelFacts) -> bool:
    """Is it something that base has and head lacks?"""
    return gained(name, head, base)


def kernel_changes(base: KernelFacts, head: KernelFacts) -> tuple[str, ...]:
    """The facts in which two kernels differ as kernels, not as machines."""
    return tuple(
        name for name in differing_facts(base, head) if kind_of(name) is not FactKind.MACHINE
    )


def machine_changes(base: KernelFacts, head: KernelFacts) -> Iterator[tuple[str, str, str]]:
    """Name, value in base, value in head, of what differs for other reasons."""
    old, new = flat_facts(base), flat_facts(head)
    for name in sorted(FLAT_NAMES):
        if old[name] != new[name] and kind_of(name) is FactKind.MACHINE:
            yield name, str(old[name]), str(new[name])


def as_base_would(base: KernelFacts, head: KernelFacts, but: str = "") -> KernelFacts:
    """The kernel of base on the machine of head. but: a fact that is left as head has it."""
    old = flat_facts(base)
    return with_facts(head, {name: old[name] for name in kernel_changes(base, head) if name != but})


def without(base: KernelFacts, head: KernelFacts, name: str) -> KernelFacts:
    """head, with one fact as base has it."""
    return with_facts(head, {name: flat_facts(base)[name]})
