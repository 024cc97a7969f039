"""What a system call sees beyond the address space: the caller, its files, the other process."""

from __future__ import annotations

from conformance.abi.vm_flags import SPECIAL
from conformance.model.address_space import AddressSpace, File, Vma
from conformance.model.user_memory import UserMemory
from conformance.program.kernel_facts import KernelFacts
from conformance.program.places import PAGE


class Process:
    """The process that runs a program. remote: the second one, a fork taken before the steps;
    gone: it has ended."""

    __slots__ = ("facts", "space", "memory", "files", "_zero", "remote", "gone")

    def __init__(self, facts: KernelFacts, pages: int) -> None:
        self.facts = facts
        self.space = AddressSpace(facts, pages)
        self.memory = UserMemory(self.space)
        self.files: list[File] = []
        self._zero: File | None = None
        self.remote: AddressSpace | None = None
        self.gone = False

    def second(self) -> Process:
        """The second process as one that makes calls; files are the same. There must be one."""
        assert self.remote is not None, "plan.remote is asked first"
        other = Process(self.facts, self.space.count)
        other.space = self.remote
        other.memory = UserMemory(self.remote)
        other.files = self.files
        other._zero = self.zero_file()
        return other

    def zero_file(self) -> File:
        """/dev/zero: one open file behind all its private mappings."""
        if self._zero is None:
            self._zero = File("zero", 1 << 20, False)
            self._zero.own_area = True
            self._zero.device = True
        return self._zero

    def add_outside(self, flat: tuple[int, ...]) -> None:
        """VMAs outside the arena that the process has anyway, flat as in Outcome.outside."""
        for i in range(0, len(flat), 4):
            start, end, flags, pgoff = flat[i : i + 4]
            file = bool(pgoff >> 63)
            vma = Vma(start // PAGE, end // PAGE, flags, pgoff & ~(1 << 63), None, not file)
            vma.special = not file and bool(flags & SPECIAL)
            vma.anonymous = not file and not vma.special
            if file:
                vma.file = self.zero_file()
            self.space.insert(vma)
