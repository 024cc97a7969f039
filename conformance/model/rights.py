"""What a program without some of its rights knows as facts.

Source: capable() in process_madvise() and madvise_inject_error(); may_access_mm().
"""

from __future__ import annotations

from msgspec.structs import replace

from conformance.program.kernel_facts import KernelFacts
from conformance.program.program import Rights


def facts_under(rights: Rights, facts: KernelFacts) -> KernelFacts:
    """The facts that hold for a program's steps."""
    if rights is Rights.NO_SYS_NICE:
        return replace(facts, cap_sys_nice=False)
    if rights is Rights.NO_SYS_ADMIN:
        return replace(facts, cap_sys_admin=False)
    if rights is Rights.OTHER_USER:
        return replace(facts, remote_readable=False, cap_sys_admin=False)
    return facts
