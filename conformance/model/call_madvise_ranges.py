"""madvise_ranges(): the walk, its options and its report. Source: SPEC sections 1.3 to 1.7."""

from __future__ import annotations

from conformance.abi import control_v1 as v1
from conformance.abi import vm_flags as f
from conformance.abi.errnos import EFAULT, EINTR, EINVAL, ENOMEM, ENOSYS, EOPNOTSUPP
from conformance.model.address_space import Vma, page_of, pages_up
from conformance.model.advice_flags import new_flags
from conformance.model.call_madvise import advise
from conformance.model.call_process_madvise import MAX_RW_COUNT
from conformance.model.control_input import RangeIn, Request, read_request
from conformance.model.memory_failure import POISON
from conformance.model.policy import GAP_ERRNO, Policy
from conformance.model.process import Process
from conformance.model.statistics import Statistics, pack_per_range
from conformance.model.walk import (
    POPULATE_READ,
    POPULATE_WRITE,
    apply_part,
    drop_lock,
    dropped_between,
    may_start_over,
    take_lock,
)
from conformance.program.kernel_facts import RangesCall
from conformance.program.places import PAGE
from conformance.program.struct_shapes import LP64_SHAPE, Shape
from conformance.spec.cite import cite, last_cited, met


def madvise_ranges(process: Process, ctl_at: int, policy: Policy, shape: Shape = LP64_SHAPE) -> int:
    """0 or -errno. ctl_at: the register; shape: of the caller's structs."""
    if process.facts.ranges_call is RangesCall.ABSENT:
        cite("version-absent")
        return -ENOSYS
    request = read_request(process, ctl_at & shape.mask, policy, shape)
    if isinstance(request, int):
        return -request
    stats = Statistics()
    report: list[bytes] = []
    if request.bad_range >= 0:
        bad = request.ranges[request.bad_range]
        cite("validation-order")
        met("bad-range-told")
        if request.ignore_errors:
            met("validation-not-ignored")
        stats.fail(EINVAL, bad.start, request.bad_range)
        return -_deliver(process, request, stats, report, EINVAL)
    if request.set_default and process.facts.ranges_call is RangesCall.SHIM:
        cite("default-unsupported")
        stats.fail(EOPNOTSUPP, 0, 0)
        return -_deliver(process, request, stats, report, EOPNOTSUPP)
    run = _Run(request, stats, policy)
    error = 0
    if request.kind == v1.TYPE_ALL:
        error = run.whole(request.ranges[0].advice)
        if request.set_default and error:
            met("default-on-failure")
        elif request.set_default:
            _set_default(process, request.ranges[0].advice)
    else:
        for i, entry in enumerate(request.ranges):
            cite("walk-order")
            error = run.range(entry, i)
            report.append(
                pack_per_range(
                    entry.start, entry.length, entry.advice, run.success, run.partial, shape
                )
            )
            if error:
                if i + 1 < len(request.ranges):
                    met("stats-unreached")
                break
    if policy.gap_is_error and stats.gaps and not error:
        error = GAP_ERRNO
    return -_deliver(process, request, stats, report, error)


def _deliver(
    process: Process, request: Request, stats: Statistics, report: list[bytes], error: int
) -> int:
    """Write what is to be reported, once, at the end: the errno to return, EFAULT first.

    What is cited last is told as the rule behind the result: reporting has its own only when
    it fails.
    """
    decided = last_cited() if error else "walk-as-madvise"
    if not request.stats_at:
        met("stats-null")
        cite(decided)
        return error
    fault = False
    if request.per_range_at:
        cite("stats-per-range")
        at = request.per_range_at
        for element in report:
            if not process.memory.write(at, element):
                met("stats-per-range-fault")
                fault = True
                break
            at += len(element)
    cite("stats-when")
    if not process.memory.write(request.stats_at, stats.pack(request.per_range_at, request.shape)):
        fault = True
    if fault:
        cite("stats-fault")
        return EFAULT
    cite(decided)
    return error


def _set_default(process: Process, advice: int) -> None:
    """default-future: later mappings start with the advice's flags."""
    cite("default-future")
    before = process.space.default_flags
    bare = Vma(0, 0, before, 0, None, True)
    process.space.default_flags = new_flags(process.space, bare, advice)
    if before & ~process.space.default_flags:
        met("default-cleared")


class _Run:
    """The walk of one call. success, partial: of the range walked last."""

    __slots__ = ("request", "stats", "policy", "success", "partial", "advised", "failed")

    def __init__(self, request: Request, stats: Statistics, policy: Policy) -> None:
        self.request = request
        self.stats = stats
        self.policy = policy
        self.success = False
        self.partial = False
        self.advised = 0
        self.failed = 0

    def range(self, entry: RangeIn, offset: int) -> int:
        """One range, under one lock: 0, or the errno that ends the call."""
        space = self.request.space
        if space.pause is None:
            return self._range(entry, offset)
        if entry.advice in (POPULATE_READ, POPULATE_WRITE):
            space.unsure = "madvise_ranges() that populates in a race"
        take_lock(space, entry.advice, (self.stats.pack(0), self.success, self.partial))
        error = self._range(entry, offset)
        drop_lock(space)
        return error

    def _range(self, entry: RangeIn, offset: int) -> int:
        self.success = self.partial = False
        self.advised = self.failed = 0
        start = page_of(entry.start)
        end = start + pages_up(entry.length)
        if start == end:
            met("range-empty")
            self.success = True
            return 0
        if entry.length > MAX_RW_COUNT:
            met("range-unclamped")
        if self.request.single_mapping:
            error, where = self._not_single(start, end)
            if error:
                cite("single-mapping")
                if error == ENOMEM:
                    met("single-mapping-unmapped")
                self.stats.fail(error, where * PAGE, offset)
                if self.request.ignore_errors:
                    met("single-mapping-ignored")
                    return 0
                return error
        error = self._pages(start, end, entry.advice, offset)
        self.success = not error and not self.failed
        self.partial = self.advised > 0 and self.failed > 0
        if self.partial:
            met("stats-partial")
        return error

    def _not_single(self, start: int, end: int) -> tuple[int, int]:
        """single_mapping_only: (0, 0) if [start, end) lies in one VMA, else errno and page."""
        space = self.request.space
        vma = space.at(start)
        if vma is None:
            return ENOMEM, start
        if vma.end >= end:
            return 0, 0
        page = vma.end
        while page < end:
            after = space.at(page)
            if after is None:
                return ENOMEM, page
            page = after.end
        return self.policy.single_mapping_errno, vma.end

    def _pages(self, start: int, end: int, advice: int, offset: int) -> int:
        space = self.request.space
        page = start
        over = -1  # a page from which a part has started over
        while page < end:
            index = space.find(page)
            vma = space.vmas[index] if index < len(space.vmas) else None
            if vma is None or vma.start > page:
                self.stats.gaps += 1
                cite("gap-counted")
                met("stats-gaps")
                if page == start:
                    met("gap-at-start")
                elif vma is None or vma.start >= end:
                    met("gap-at-end")
                if self.request.stop_on_gap:
                    cite("gap-stop")
                    if self.request.ignore_errors:
                        met("gap-stop-not-ignored")
                    self.stats.fail(ENOMEM, page * PAGE, offset)
                    if self._mapped_after(page, end):
                        self.failed += 1
                    return ENOMEM
                if vma is None or vma.start >= end:
                    return 0
                page = vma.start
            part_end = min(vma.end, end)
            if over != page and may_start_over(space, page, part_end, advice):
                over = page
                error = self._start_over(vma, page, part_end, start, end, advice, offset)
                if error >= 0:
                    return error
                continue
            error = self._part(vma, page, part_end, advice, offset)
            if error:
                return error
            page = part_end
            if page < end:
                dropped_between(space, advice, self.stats.pack(0))
        return 0

    def _start_over(
        self, vma: Vma, page: int, part_end: int, start: int, end: int, advice: int, offset: int
    ) -> int:
        """A part is done, and to be looked up again with the lock dropped and taken: -1, or what
        the range ends with, since single_mapping_only is judged again. See mr_relock()."""
        space = self.request.space
        apply_part(space, vma, page, part_end, advice)
        drop_lock(space)
        take_lock(space, advice, self.stats.pack(0))
        if not self.request.single_mapping:
            return -1
        error, where = self._not_single(start, end)
        if not error:
            return -1
        self.stats.fail(error, where * PAGE, offset)
        self.failed += 1
        return 0 if self.request.ignore_errors else error

    def _mapped_after(self, page: int, end: int) -> bool:
        """Is any of [page, end) mapped? Then a stop there left mapped parts unadvised."""
        space = self.request.space
        index = space.find(page)
        return index < len(space.vmas) and space.vmas[index].start < end

    def _part(self, vma: Vma, start: int, end: int, advice: int, offset: int) -> int:
        """One VMA part: 0 to go on, or the errno that ends the call."""
        space = self.request.space
        if advice in POISON:
            error = advise(space, start * PAGE, (end - start) * PAGE, advice)
        else:
            error = apply_part(space, vma, start, end, advice)
        if not error:
            cite("stats-advised")
            self.advised += 1
            self.stats.advised(end - start)
            return 0
        self.failed += 1
        self.stats.fail(error, start * PAGE, offset)
        if self.request.ignore_errors and error not in (EINTR, EFAULT):
            cite("error-ignored")
            met("stats-skipped")
            self.stats.skipped(end - start)
            return 0
        cite("error-ends")
        met("stats-ending-part")
        if self.request.ignore_errors:
            met("error-fatal")
        if self.advised:
            met("error-keeps")
        return error

    def whole(self, advice: int) -> int:
        """ALL: every VMA from the lowest up; special ones are skipped."""
        space = self.request.space
        cite("all-walk")
        met("all-no-gaps")
        page = 0
        while True:
            index = space.find(page)
            if index == len(space.vmas):
                return 0
            vma = space.vmas[index]
            start, end = max(vma.start, page), vma.end
            if vma.flags & f.SPECIAL or vma.flags & f.HT:
                cite("all-walk")
                met("all-special")
                self.stats.skipped(end - start)
            else:
                error = self._part(vma, start, end, advice, 0)
                if error:
                    return error
            page = end
