"""Mappings of page frames: which shapes they may have, and which kernels have them."""

from __future__ import annotations

import msgspec
import pytest

from conformance.abi.errnos import EINVAL, ENODEV
from conformance.model.missing import missing_feature
from conformance.model.predict import predict
from conformance.program.call import Madvise, Munmap, Step, TouchPages
from conformance.program.mapping import Kind, Mapping, Prot, Sharing
from conformance.program.places import ARENA_BASE, PAGE
from conformance.program.program import Program
from conformance.program.validate import validate
from conformance.tests.bad_outcome import FACTS

RING = Mapping(Kind.PERF, 0, 3, sharing=Sharing.SHARED)
DONTNEED, REMOVE = 4, 9


def program(mapping: Mapping, *steps: Step) -> Program:
    return Program((mapping,), steps or (TouchPages(0),))


@pytest.mark.parametrize(
    ("pages", "good"), [(1, False), (2, True), (4, False), (9, True), (17, False)]
)
def test_pages_are_1_and_a_power_of_2(pages: int, good: bool) -> None:
    ring = msgspec.structs.replace(RING, pages=pages)
    assert (not validate(program(ring))) == good


def test_it_is_shared_and_not_executable() -> None:
    for change in ({"sharing": Sharing.PRIVATE}, {"prot": Prot.RX}, {"prot": Prot.NONE}):
        assert validate(program(msgspec.structs.replace(RING, **change)))


def test_what_the_model_says() -> None:
    def advise(advice: int, pages: int = 3) -> Madvise:
        return Madvise(ARENA_BASE, pages * PAGE, advice)

    steps = (advise(DONTNEED), advise(REMOVE), Munmap(ARENA_BASE, PAGE), TouchPages(0, 3))
    assert predict(program(RING, *steps), FACTS).results[-4:] == [
        -EINVAL, -ENODEV, -EINVAL, -(7 << 16 | 1)
    ]  # fmt: skip


def test_a_kernel_that_lets_it_be_split_is_not_asked() -> None:
    assert "perf" in missing_feature(program(RING), msgspec.structs.replace(FACTS, perf_flags=0))
    assert missing_feature(program(RING), FACTS) == ""
