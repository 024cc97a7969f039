"""process_madvise(2). Source: the system call's definition, import_iovec(), vector_madvise()."""

from __future__ import annotations

from typing import Final

from conformance.abi.advice import BY_VALUE
from conformance.abi.errnos import EFAULT, EINVAL, ENOMEM
from conformance.model.address_space import AddressSpace
from conformance.model.argument_checks import access_ok, as_int, check_range
from conformance.model.call_madvise import advise
from conformance.model.pauses import TELL
from conformance.model.process import Process
from conformance.model.remote_access import access, check_remote, find_task
from conformance.program.call import ProcessMadvise
from conformance.program.kernel_facts import KernelFacts
from conformance.program.places import PAGE
from conformance.program.struct_shapes import LP64_SHAPE, Shape, shape_of
from conformance.spec.cite import cite, met

UIO_MAXIOV: Final = 1024
UIO_FASTIOV: Final = 8  # elements that need no memory
MAX_RW_COUNT: Final = 0x7FFF_F000  # bytes; INT_MAX rounded down to a page


def process_madvise(process: Process, call: ProcessMadvise) -> int:
    """Bytes advised, or -errno when not even one element was."""
    if call.flags & 0xFFFF_FFFF:
        cite("process-madvise-flags")
        return -EINVAL
    count = len(call.vec) if call.count is None else call.count
    if count >> 32:
        cite("process-madvise-count-truncated")  # import_iovec() takes an unsigned int
    shape = shape_of(call.ilp32)
    if call.ilp32:
        cite("process-madvise-compat")
    vec = _import(process, call.vec_at & shape.mask, count & 0xFFFF_FFFF, shape)
    if isinstance(vec, int):
        return -vec
    space = _target(process, as_int(call.pidfd), as_int(call.advice))
    if isinstance(space, int):
        return -space
    return _vector(space, vec, as_int(call.advice))


def _target(process: Process, pidfd: int, advice: int) -> AddressSpace | int:
    """Whose memory it is, if that may be advised so; else a positive errno."""
    facts = process.facts
    error = find_task(process, pidfd)
    if not error and not facts.remote_access_first:
        error = _check_advice(facts, advice)
        if error:
            return error
    space = error or access(process, pidfd)
    if isinstance(space, int):
        if advice not in facts.advices:
            met("process-madvise-pidfd-first")
        return space
    error = _check_advice(facts, advice) or check_remote(process, space, advice)
    if error:
        return error
    if space is process.space and not _remote(advice):
        met("process-madvise-self-any")
    return space


def _check_advice(facts: KernelFacts, advice: int) -> int:
    """madvise_behavior_valid(), before 6.13 process_madvise_behavior_valid(): 0 or an errno."""
    if advice not in facts.advices:
        cite("process-madvise-advice-invalid")
        return EINVAL
    if not facts.self_any_advice and not _remote(advice):
        cite("process-madvise-self-any")
        return EINVAL
    return 0


def _remote(advice: int) -> bool:
    """Is it one that other processes take?"""
    row = BY_VALUE.get(advice)
    return row is not None and row.remote


def _import(process: Process, at: int, count: int, shape: Shape) -> list[tuple[int, int]] | int:
    """import_iovec(): the elements, clamped to MAX_RW_COUNT in all, or a positive errno. Of an
    ILP32 caller: copy_compat_iovec_from_user()."""
    if count > UIO_MAXIOV:
        cite("process-madvise-count")
        return EINVAL
    if count > UIO_FASTIOV and process.space.allocations.fail():  # iovec_from_user()
        cite("allocation-array")
        return ENOMEM
    out: list[tuple[int, int]] = []
    word, size = shape.word, shape.iovec_size
    if count and not access_ok(process.facts, at, count * size):
        cite("process-madvise-vec-fault")
        return EFAULT
    if process.facts.iovec_whole and count and shape is LP64_SHAPE:
        if process.memory.read(at, count * size) is None:  # copy_iovec_from_user() of 6.1
            cite("process-madvise-vec-fault")
            return EFAULT
    for i in range(count):
        # The length is read before the base: a fault at the base has mapped the length's page.
        tail = process.memory.read(at + i * size + word, word)
        head = process.memory.read(at + i * size, word) if tail is not None else None
        if tail is None or head is None:
            cite("process-madvise-vec-fault")
            return EFAULT
        start, length = shape.iovec.unpack(head + tail)
        if length > shape.mask >> 1:
            cite("process-madvise-negative-length")
            return EINVAL
        out.append((start, length))
    total = 0
    for i, (start, length) in enumerate(out):
        checked = length
        if count == 1 and length > MAX_RW_COUNT and process.facts.iovec_one_clamped:
            met("process-madvise-one-clamped")
            checked = MAX_RW_COUNT
        if not access_ok(process.facts, start, checked):
            cite("process-madvise-access-ok")
            return EFAULT
        if length > MAX_RW_COUNT - total:
            cite("process-madvise-clamped")
            length = MAX_RW_COUNT - total
            out[i] = (start, length)
        total += length
    return out


def _vector(space: AddressSpace, vec: list[tuple[int, int]], advice: int) -> int:
    """vector_madvise(): elements in order until one fails; only whole ones count."""
    left = sum(length for _, length in vec)
    total = left
    if not left:
        met("process-madvise-empty")
    error = 0
    first = True
    for start, length in vec:
        if space.pause is not None:  # what came of the element before
            space.pause(TELL, 0, left)
        if left == 0:
            break
        if length == 0 and not first:
            cite("process-madvise-zero-later")
            continue
        if not length:
            met("process-madvise-zero-first")
        if not first:
            met("process-madvise-order")
        first = False
        error = check_range(start, length)
        if not error and length:
            met("process-madvise-as-madvise")
            error = advise(space, start, length, advice)
        if error:
            break
        left -= length
    done = total - left
    if done:
        if done % PAGE:
            met("process-madvise-unrounded")
        cite("process-madvise-partial" if error else "process-madvise-bytes")
        return done
    if error:
        met("process-madvise-error-first")
    return -error
