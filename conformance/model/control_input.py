"""madvise_ranges(): reading and checking the arguments, in the specified order.

Nothing is changed here but what reading does to pages. Source: SPEC sections 1.1 to 1.3.
"""

from __future__ import annotations

from struct import unpack
from typing import Final

from conformance.abi import control_v1 as v1
from conformance.abi.errnos import EFAULT, EINVAL, ENOMEM, EPERM
from conformance.model.address_space import AddressSpace
from conformance.model.argument_checks import as_int, check_range
from conformance.model.policy import Policy
from conformance.model.process import Process
from conformance.model.remote_access import check_remote, resolve
from conformance.program.struct_shapes import LP64_SHAPE, Shape
from conformance.spec.cite import cite, met

_UNION: Final = 8  # bytes from the start of the control struct, on both data models
_SET_DEFAULT: Final = 12
RANGES_INLINE: Final = 8  # of an array, so many need no memory (MR_RANGES_INLINE)


class RangeIn:
    """One range as read: the struct's members, advice signed."""

    __slots__ = ("start", "length", "advice")

    def __init__(self, start: int, length: int, advice: int) -> None:
        self.start = start
        self.length = length
        self.advice = advice


class Request:
    """A call whose arguments passed every check up to its ranges. shape: of its structs."""

    __slots__ = ("shape", "kind", "ranges", "set_default", "stats_at", "per_range_at",
                 "ignore_errors", "single_mapping", "stop_on_gap", "space", "bad_range",
                 )  # fmt: skip

    def __init__(self, space: AddressSpace, shape: Shape) -> None:
        self.space = space
        self.shape = shape
        self.kind = 0
        self.ranges: list[RangeIn] = []
        self.set_default = False
        self.stats_at = 0
        self.per_range_at = 0
        self.ignore_errors = False
        self.single_mapping = False
        self.stop_on_gap = False
        self.bad_range = -1  # index of the first range that fails validation, or -1


def read_request(
    process: Process, ctl_at: int, policy: Policy, shape: Shape = LP64_SHAPE
) -> Request | int:
    """The request, or the positive errno of a failure before the ranges."""
    memory = process.memory
    if shape is not LP64_SHAPE:
        cite("abi-compat")
    raw = memory.read(ctl_at, 4)
    if raw is None:
        cite("version-first")
        return EFAULT
    if int.from_bytes(raw, "little") != v1.VERSION:
        cite("version-unknown")
        return policy.unknown_version_errno
    raw = memory.read(ctl_at, shape.control_size)
    if raw is None:
        cite("validation-order")
        met("control-unreadable")
        return EFAULT
    _, kind = unpack("<II", raw[:_UNION])
    behind = _UNION + shape.range_size
    stats_at = int.from_bytes(raw[behind : behind + shape.word], "little")
    pidfd, flags = unpack("<iI", raw[behind + shape.word :])
    if raw[behind - 1] and (kind or shape is LP64_SHAPE):  # padding, or beyond the arm
        met("abi-ignored-bytes")
    error = _check_options(kind, flags, raw[_SET_DEFAULT])
    if error:
        return error
    request = Request(process.space, shape)
    request.kind = kind
    request.stats_at = stats_at
    request.ignore_errors = bool(flags & v1.FLAG_IGNORE_ERRORS)
    request.single_mapping = bool(flags & v1.FLAG_SINGLE_MAPPING_ONLY)
    request.stop_on_gap = bool(flags & v1.FLAG_STOP_ON_GAP)
    request.set_default = kind == v1.TYPE_ALL and raw[_SET_DEFAULT] == 1
    if stats_at:
        stats = memory.read(stats_at, shape.stats_size)
        if stats is None:
            cite("validation-order")
            met("stats-unreadable")
            return EFAULT
        at = shape.pointer_at
        request.per_range_at = int.from_bytes(stats[at : at + shape.word], "little")
        if kind == v1.TYPE_ALL and request.per_range_at:
            cite("option-conflicts")
            met("all-without-per-range")
            return EINVAL
    if flags & v1.FLAG_IS_REMOTE:
        error = _find_target(process, request, pidfd)
        if error:
            return error
    else:
        cite("pidfd-ignored")
    return _read_ranges(process, request, raw, policy) or request


def _check_options(kind: int, flags: int, set_default: int) -> int:
    """Reserved bits, enum range, set_default byte, contradictions: all EINVAL."""
    if flags & ~v1.FLAGS_KNOWN:
        cite("abi-reserved-zero")
        if not flags & 0xFF & ~v1.FLAGS_KNOWN:
            met("abi-reserved-bytes")
        return EINVAL
    if kind > v1.TYPE_ALL or (kind == v1.TYPE_ALL and set_default > 1):
        cite("abi-enum-range")
        if kind == v1.TYPE_ALL:
            met("abi-set-default-byte")
        return EINVAL
    if kind == v1.TYPE_ALL:
        if flags & (v1.FLAG_STOP_ON_GAP | v1.FLAG_SINGLE_MAPPING_ONLY):
            cite("option-conflicts")
            if flags & v1.FLAG_STOP_ON_GAP:
                met("all-without-stop-on-gap")
            if flags & v1.FLAG_SINGLE_MAPPING_ONLY:
                met("all-without-single-mapping")
            return EINVAL
        if set_default and flags & v1.FLAG_IS_REMOTE:
            cite("option-conflicts")
            met("default-is-local")
            return EINVAL
    return 0


def _find_target(process: Process, request: Request, pidfd: int) -> int:
    """remote-access: 0 or a positive errno."""
    space = resolve(process, pidfd)
    if isinstance(space, int):
        cite("remote-access")
        return space
    if space is not process.space and not process.facts.cap_sys_nice:
        cite("remote-access")
        return EPERM
    request.space = space
    return 0


def _read_ranges(process: Process, request: Request, raw: bytes, policy: Policy) -> int:
    """Fill request.ranges and request.bad_range: 0 or a positive errno."""
    if request.kind == v1.TYPE_ALL:
        advice = as_int(int.from_bytes(raw[_UNION:_SET_DEFAULT], "little"))
        request.ranges.append(RangeIn(0, 0, advice))
        if not _whole_advice_good(process, request, advice, policy):
            request.bad_range = 0
        return 0
    shape = request.shape
    array = raw[_UNION : _UNION + shape.range_size]
    if request.kind == v1.TYPE_MULTI:
        at, count = shape.iovec.unpack(raw[_UNION : _UNION + shape.iovec_size])
        if count > policy.count_max:
            cite("multi-count")
            return EINVAL
        if count == 0:
            cite("multi-count")
            met("multi-empty")
            return 0
        if count > RANGES_INLINE and process.space.allocations.fail():
            cite("allocation-array")
            return ENOMEM
        whole = process.memory.read(at, count * shape.range_size)
        if whole is None:
            cite("validation-order")
            met("array-unreadable")
            return EFAULT
        array = whole
    for start, length, advice in shape.range_in.iter_unpack(array):
        request.ranges.append(RangeIn(start, length, advice))
    for i, entry in enumerate(request.ranges):
        if not _range_good(process, request, entry):
            request.bad_range = i
            break
    return 0


def _range_good(process: Process, request: Request, entry: RangeIn) -> bool:
    if entry.advice not in process.facts.advices:
        cite("version-absent")
        met("advice-absent")
        return False
    if request.space is not process.space and check_remote(process, request.space, entry.advice):
        cite("remote-advices")
        return False
    if check_range(entry.start, entry.length):
        cite("range-address")
        return False
    return True


def _whole_advice_good(process: Process, request: Request, advice: int, policy: Policy) -> bool:
    if advice not in process.facts.advices or advice not in policy.whole_advices:
        cite("all-advices")
        return False
    if request.space is not process.space and check_remote(process, request.space, advice):
        cite("remote-advices")
        met("all-remote-advices")
        return False
    if request.set_default and advice not in policy.default_advices:
        cite("default-advices")
        return False
    return True
