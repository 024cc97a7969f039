"""Calls of madvise_ranges(): well-formed, subtly wrong, and hostile."""

from __future__ import annotations

from typing import Final

from conformance.abi import control_v1 as v1
from conformance.program.call import PER_RANGE_USUAL, MadviseRanges
from conformance.program.control_struct import All, Arm, ControlFields, Multi, Range, Single
from conformance.program.places import FD_PIDFD_REMOTE, STATS_OFFSET, ZONE_BASE
from fuzz.generate.boundaries import (
    DEFAULT_ADVICES,
    INVALID_ADVICES,
    NOT_WHOLE_ADVICES,
    REMOTE_ADVICES,
    WHOLE_ADVICES,
)
from fuzz.generate.calls import FLAW_ONE_IN, LONG_SIZES, draw_size
from fuzz.generate.chooser import Chooser, table
from fuzz.generate.flaws import with_flaw, with_second_flaw
from fuzz.generate.layouts import Layout
from fuzz.generate.ranges import range_for
from fuzz.generate.swarm import Swarm

STATS_USUAL: Final = ZONE_BASE + STATS_OFFSET

# Options as bits of v1.FLAGS_KNOWN; is_remote is or-ed in apart.
OPTIONS: Final = table(
    (6, 0), (3, v1.FLAG_IGNORE_ERRORS), (2, v1.FLAG_SINGLE_MAPPING_ONLY), (2, v1.FLAG_STOP_ON_GAP),
    (1, v1.FLAG_IGNORE_ERRORS | v1.FLAG_SINGLE_MAPPING_ONLY),
    (2, v1.FLAG_IGNORE_ERRORS | v1.FLAG_STOP_ON_GAP),
    (1, v1.FLAG_SINGLE_MAPPING_ONLY | v1.FLAG_STOP_ON_GAP),
    (1, v1.FLAGS_KNOWN ^ v1.FLAG_IS_REMOTE),
)  # fmt: skip
RANGE_COUNTS: Final = table(
    (12, 1), (24, 2), (16, 3), (6, 0), (10, 4), (6, 5), (3, 7), (2, 9)
)  # fmt: skip
STATS_FILLS: Final = table((4, 0), (2, 0xFF), (1, 0xA5), (1, 1))
PADDINGS: Final = table((6, 0), (1, 0xFF), (1, 0xA5))
INT_SIGN: Final = 1 << 31
INT_MASK: Final = (1 << 32) - 1
SET_DEFAULTS: Final = table((8, 0), (6, 1), (1, 2), (1, 0xFF))


def draw_madvise_ranges(
    chooser: Chooser, layout: Layout, swarm: Swarm, whole: bool
) -> MadviseRanges:
    """madvise_ranges() of the program's own ranges; whole: most are of everything."""
    pick = chooser.pick
    options = pick(OPTIONS)
    pidfd = -1
    remote = False
    if len(swarm.pidfds) > 1 and chooser.chance(1, 2):
        pidfd = pick(swarm.pidfds)
        remote = not chooser.chance(1, 8)  # a pidfd that must be ignored
    arm: Arm
    if whole and chooser.chance(3, 4):
        arm = _draw_all(chooser)
        if chooser.chance(3, 4):
            options &= v1.FLAG_IGNORE_ERRORS  # the others contradict it
    else:
        arm = _draw_arm(chooser, layout, swarm, remote and pidfd == FD_PIDFD_REMOTE)
    control = ControlFields(
        arm,
        pidfd=pidfd,
        is_remote=remote,
        ignore_errors=bool(options & v1.FLAG_IGNORE_ERRORS),
        single_mapping_only=bool(options & v1.FLAG_SINGLE_MAPPING_ONLY),
        stop_on_gap=bool(options & v1.FLAG_STOP_ON_GAP),
        padding=pick(PADDINGS),
    )
    stats = 0 if chooser.chance(1, 5) else STATS_USUAL
    per_range = 0
    if chooser.chance(1, 16 if isinstance(arm, All) else 2):
        per_range = PER_RANGE_USUAL
    call = MadviseRanges(
        control,
        stats_at=stats,
        per_range_at=per_range,
        stats_fill=pick(STATS_FILLS),
        ilp32=swarm.ilp32,
    )
    if not chooser.chance(2, FLAW_ONE_IN[swarm.hostility]):
        return call
    call = with_flaw(chooser, layout, call, control, whole)
    return with_second_flaw(chooser, layout, call, whole) if chooser.chance(1, 3) else call


def _draw_all(chooser: Chooser) -> All:
    set_default = chooser.pick(SET_DEFAULTS)
    # One default says little: what the next one leaves of it is where mistakes hide.
    advice = chooser.pick(
        DEFAULT_ADVICES if set_default == 1 and chooser.chance(1, 2) else WHOLE_ADVICES
    )
    if chooser.chance(1, 6):
        advice = chooser.pick(NOT_WHOLE_ADVICES + INVALID_ADVICES)
    return All(advice, set_default)


def _draw_arm(chooser: Chooser, layout: Layout, swarm: Swarm, other: bool) -> Single | Multi:
    """other: for another process, which mostly takes the remote advices only."""
    advices = swarm.advices
    if other and chooser.chance(3, 4):
        advices = REMOTE_ADVICES
    if chooser.chance(1, 2):
        return Single(_draw_range(chooser, layout, swarm, advices))
    size = draw_size(chooser, RANGE_COUNTS)
    if size >= LONG_SIZES[0]:
        first = _draw_range(chooser, layout, swarm, advices)
        return Multi((first,) * (size - 1) + (_draw_range(chooser, layout, swarm, advices),))
    return Multi(tuple([_draw_range(chooser, layout, swarm, advices) for _ in range(size)]))


def _draw_range(chooser: Chooser, layout: Layout, swarm: Swarm, advices: tuple[int, ...]) -> Range:
    advice = chooser.pick(advices)
    start, length = range_for(chooser, layout, swarm, advice)
    return Range(start, length, (advice + INT_SIGN & INT_MASK) - INT_SIGN)
