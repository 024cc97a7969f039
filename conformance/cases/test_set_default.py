"""set_default: what later mappings start with, in the process, its children, and new programs."""

from __future__ import annotations

import pytest

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EINVAL
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import anon, whole
from conformance.program.call import HEIRS, ForkExec, Mmap
from conformance.program.kernel_facts import RangesCall
from conformance.program.mapping import Kind, Mapping
from conformance.target.target import Target

DATA = f.RD | f.WR | f.MR | f.MW | f.ME | f.AC
LATER = Mmap(Mapping(Kind.ANON, 4, 1))


@pytest.fixture
def kernel_call(target: Target) -> None:
    """Asked before a case has its kernel."""
    if target.facts.ranges_call is not RangesCall.KERNEL:
        pytest.skip(f"{target.name}: no kernel here takes set_default")


@pytest.mark.requirement("default-inherit")
def test_without_a_default_new_memory_is_plain(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 1),), ForkExec())
    assert seen.results == (0,)
    heap_exec = f.EX if kernel.target.facts.heap_exec else 0
    plain = {
        name: flags & ~(f.SD | (heap_exec if name.endswith("heap") else 0))
        for name, flags in seen.heirs().items()
    }
    assert plain == dict.fromkeys(HEIRS, DATA) | {"new program's stack": DATA | f.GD}


@pytest.mark.usefixtures("kernel_call")
@pytest.mark.requirement("default-future")
@pytest.mark.parametrize(
    ("name", "flag"),
    [("RANDOM", f.RR), ("SEQUENTIAL", f.SR), ("DONTDUMP", f.DD), ("NOHUGEPAGE", f.NH)],
)
def test_later_mappings_and_the_heap_start_with_it(ranges: Kernel, name: str, flag: int) -> None:
    if flag == f.NH and ranges.target.facts.thp == "absent":
        ranges.lacks("MADV_NOHUGEPAGE")
    seen = ranges.run((anon(0, 1),), whole(name, 1), LATER, ForkExec(), whole=True)
    assert seen.results[0] == 0
    assert seen.after(1).flags(4) & flag
    assert seen.heirs()["own heap"] & flag


@pytest.mark.usefixtures("kernel_call")
@pytest.mark.requirement("default-inherit")
def test_children_and_new_programs_inherit_nohugepage_alone(ranges: Kernel) -> None:
    seen = ranges.run(
        (anon(0, 1),), whole("RANDOM", 1), whole("NOHUGEPAGE", 1), ForkExec(), whole=True
    )
    inherited = f.NH if seen.results[1] == 0 else 0
    for name, flags in seen.heirs().items():
        if name != "own heap":
            assert flags & (f.NH | f.RR) == inherited, name


@pytest.mark.usefixtures("kernel_call")
@pytest.mark.requirement("default-advices")
def test_only_some_advices_can_be_a_default(ranges: Kernel) -> None:
    seen = ranges.run((anon(0, 1),), whole("MERGEABLE", 1), LATER, whole=True)
    assert seen.results[0] == -EINVAL
    assert not seen.after(1).flags(0) & f.MG


@pytest.mark.usefixtures("kernel_call")
@pytest.mark.requirement("default-cleared")
@pytest.mark.parametrize(
    ("name", "opposite", "flag"),
    [("RANDOM", "NORMAL", f.RR), ("SEQUENTIAL", "NORMAL", f.SR), ("DONTDUMP", "DODUMP", f.DD)],
)
def test_a_default_is_taken_back(ranges: Kernel, name: str, opposite: str, flag: int) -> None:
    seen = ranges.run((anon(0, 1),), whole(name, 1), whole(opposite, 1), LATER, whole=True)
    assert seen.results[:2] == (0, 0)
    assert not seen.after(2).flags(4) & flag


@pytest.mark.usefixtures("kernel_call")
@pytest.mark.requirement("default-not-inherited")
@pytest.mark.parametrize(("name", "flag"), [("RANDOM", f.RR), ("DONTDUMP", f.DD)])
def test_a_child_starts_without_it(ranges: Kernel, name: str, flag: int) -> None:
    seen = ranges.run((anon(0, 1),), whole(name, 1), ForkExec(), whole=True)
    heirs = seen.heirs()
    assert heirs["own heap"] & flag
    assert not any(flags & flag for who, flags in heirs.items() if who != "own heap")
