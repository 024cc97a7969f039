"""Where the stats of a call may lie that is refused."""

from __future__ import annotations

import pytest

from conformance.program.call import MadviseRanges
from conformance.program.control_struct import ControlBytes
from conformance.program.mapping import Kind, Mapping
from conformance.program.places import ZONE_BASE, ZONE_RO_WRITE_BASE
from conformance.program.program import Program
from conformance.program.validate import validate

MULTI = 1 << 32
TOO_MANY = 1 << 47


@pytest.mark.parametrize(
    ("version", "stats", "keys"),
    [
        (1, ZONE_RO_WRITE_BASE, ["stats_at"]),
        (1, ZONE_BASE, []),
        (2, ZONE_RO_WRITE_BASE, []),  # refused before they are read
    ],
)
def test_stats_are_read_before_the_number_of_ranges_is_refused(
    version: int, stats: int, keys: list[str]
) -> None:
    """Where the executor writes what programs find read-only, the kernel can read."""
    words = (version | MULTI, 0, TOO_MANY, 0, stats, 0)
    raw = b"".join(word.to_bytes(8, "little") for word in words).hex()
    program = Program((Mapping(Kind.ANON, 0, 1),), (MadviseRanges(ControlBytes(raw)),))
    assert [problem.key for problem in validate(program)] == keys
