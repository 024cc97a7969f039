"""What a system call sees beyond the address space: the caller, its files, the other process."""

from __future__ import annotations

from conformance.model.address_space import AddressSpace, File
from conformance.model.user_memory import UserMemory
from conformance.program.kernel_facts import KernelFacts


class Process:
    """The process that runs a program. remote: the second one, a fork taken before the steps."""

    __slots__ = ("facts", "space", "memory", "files", "zero", "remote")

    def __init__(self, facts: KernelFacts, pages: int) -> None:
        self.facts = facts
        self.space = AddressSpace(facts, pages)
        self.memory = UserMemory(self.space)
        self.files: list[File] = []
        self.zero = File("zero", 1 << 20, False)  # /dev/zero: one open file for all mappings
        self.zero.own_area = True
        self.zero.device = True
        self.remote: AddressSpace | None = None
