"""One step of a program as the call that makes it, in C."""

from __future__ import annotations

from typing import Final

from conformance.abi.vm_flags import names
from conformance.oracle.compare_effects import COMPARED_FLAGS
from conformance.program import call as c
from conformance.program.control_memory import pokes_of
from conformance.program.mapping import FILE_KINDS, Kind, Mapping, Sharing
from conformance.program.outcome import NOT_PLACED
from conformance.program.places import PAGE
from conformance.program.race import placed
from fuzz.findings import c_words as w
from fuzz.findings.c_structs import in_arena, pidfd_words

HEIR_RULES: Final = ("default-future", "default-inherit")


def call_expression(step: c.AnyStep, serial: int, used: set[str]) -> tuple[str, list[str], str]:
    """A step as a call: what stands before its arguments, the arguments, what stands behind.
    Its value is the result as outcomes have it. used: the parts it needs are added.

    The three calls with structs expect them in place.
    """
    if isinstance(step, c.Mmap):
        return _mmap(step.mapping, used)
    if isinstance(step, c.TouchPages):
        used.add("touch")
        words = [str(step.page), str(step.pages), str(int(step.write)), str(serial)]
        return "touch(", words, ")"
    if isinstance(step, c.Madvise):
        return _madvise(step)
    if isinstance(step, c.ProcessMadvise):
        return _syscall("440 /* process_madvise */", process_madvise_words(step))
    if isinstance(step, c.MadviseRanges):
        return _syscall("__NR_madvise_ranges", [w.pointer(step.ctl_at)])
    return _other(step, serial, used)


def places_in_arena(step: c.AnyStep) -> bool:
    """Do structs of this call lie where storing them may fault?"""
    if isinstance(step, c.Race):
        return any(in_arena(one.poke.at) for one in placed(step))
    if isinstance(step, c.ProcessMadvise | c.MadviseRanges):
        return any(in_arena(poke.at) for poke in pokes_of(step))
    return False


def result_words(step: object, value: int) -> str:
    """A result as an expression, also that of a call that was not made."""
    return "NOT_PLACED" if value == NOT_PLACED else w.result(step, value)


def _syscall(number: str, words: list[str]) -> tuple[str, list[str], str]:
    return "RETURNED(syscall(", [number, *words], "))"


def _long(words: str) -> str:
    """An argument without a prototype: as wide as a register."""
    return f"{words}UL" if words.isdigit() else words


def _madvise(step: c.Madvise) -> tuple[str, list[str], str]:
    words = [w.pointer(step.start), w.length(step.length), w.advice(step.advice)]
    if w.plain_int(step.advice):
        return "RETURNED(madvise(", words, "))"
    return _syscall("SYS_madvise", [words[0], _long(words[1]), words[2]])


def _mmap(m: Mapping, used: set[str]) -> tuple[str, list[str], str]:
    at, size, prot = f"AT({m.at})", w.length(m.pages * PAGE), w.prot(m.prot)
    if m.kind is Kind.VVAR:
        used.add("vvar")
        return "move_vvar(", [at], ")"
    if m.kind is Kind.PERF:
        used.add("perf")
        return "map_perf(", [at, size, prot], ")"
    if m.kind is Kind.SECRETMEM:
        used.add("secret")
        flags = "MAP_SHARED" if m.sharing is Sharing.SHARED else "MAP_PRIVATE"
        return "map_secret(", [at, size, prot, f"{flags} | MAP_FIXED"], ")"
    return "RETURNED(mmap(", mmap_words(m), "))"


def mmap_words(m: Mapping) -> list[str]:
    """The arguments of mmap()."""
    fd = "-1"
    if m.kind in FILE_KINDS:
        fd = f"read_only_files[{m.file}]" if m.read_only_fd else f"files[{m.file}]"
    elif m.kind is Kind.ZERO:
        fd = "zero"
    size, offset = w.length(m.pages * PAGE), w.length(m.offset * PAGE)
    return [f"AT({m.at})", size, w.prot(m.prot), w.mapping_flags(m), fd, offset]


def process_madvise_words(step: c.ProcessMadvise) -> list[str]:
    """The arguments of process_madvise(), each as wide as a register."""
    count = len(step.vec) if step.count is None else step.count
    return [
        pidfd_words(step.pidfd), w.pointer(step.vec_at), _long(w.number(count)),
        _long(w.advice(step.advice)), _long(w.number(step.flags)),
    ]  # fmt: skip


def _other(step: c.AnyStep, serial: int, used: set[str]) -> tuple[str, list[str], str]:
    if isinstance(step, c.Munmap):
        return "RETURNED(munmap(", [w.pointer(step.start), w.length(step.length)], "))"
    if isinstance(step, c.Mprotect):
        words = [w.pointer(step.start), _long(w.length(step.length)), w.prot(step.prot)]
        return _syscall("SYS_mprotect", words)  # some C libraries round what they are given
    if isinstance(step, c.Mremap):
        return "RETURNED(mremap(", mremap_words(step), "))"
    if isinstance(step, c.Mlock):
        flags = "MLOCK_ONFAULT" if step.onfault else "0UL"
        words = [w.pointer(step.start), _long(w.length(step.length)), flags]
        return _syscall("SYS_mlock2", words)
    if isinstance(step, c.Mseal):
        words = [w.pointer(step.start), _long(w.length(step.length)), "0UL"]
        return _syscall("462 /* mseal */", words)
    if isinstance(step, c.SealFile):
        words = [f"files[{step.file}]", "F_ADD_SEALS", "F_SEAL_FUTURE_WRITE"]
        return "RETURNED(fcntl(", words, "))"
    if isinstance(step, c.UffdRegister):
        used.add("uffd")
        mode = "UFFDIO_REGISTER_MODE_WP" if step.wp else "UFFDIO_REGISTER_MODE_MISSING"
        return "watch_faults(", [w.pointer(step.start), w.length(step.length), mode], ")"
    if isinstance(step, c.Fork):
        used.add("fork")
        return "fork_and_look(", [f"child_looks_{serial}"], ")"
    if isinstance(step, c.ForkExec):
        used.add("heirs")
        return "fork_and_exec(", [], ")"
    if isinstance(step, c.Reclaim):
        used.add("reclaim")
        return "reclaim(", [], ")"
    used.add("clear_soft_dirty")
    return "clear_soft_dirty(", [], ")"


def mremap_words(step: c.Mremap) -> list[str]:
    """The arguments of mremap()."""
    words = [w.pointer(step.start), w.length(step.old_length), w.length(step.new_length)]
    flags = ["MREMAP_MAYMOVE", "MREMAP_FIXED"] if step.target is not None else []
    flags += ["MREMAP_DONTUNMAP"] if step.dont_unmap else []
    if step.target is None:
        return [*words, " | ".join(flags) or "0"]
    return [*words, " | ".join(flags), w.pointer(step.target)]


def heir_lines(expected: bytes) -> list[str]:
    """What a ForkExec must read back: the VmFlags of new mappings."""
    out = []
    for index, what in enumerate(c.HEIRS):
        flags = int.from_bytes(expected[8 * index : 8 * index + 8], "little")
        words = [w.quoted(what), w.quoted(names(flags & COMPARED_FLAGS))]
        out += w.call_lines("expect_heir(", [*words, w.quoted(HEIR_RULES[bool(index)])], ");")
    return out
