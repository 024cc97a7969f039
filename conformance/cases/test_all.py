"""madvise_ranges(ALL): every mapping of a process."""

from __future__ import annotations

import pytest

from conformance.abi import vm_flags as f
from conformance.abi.errnos import EINVAL, EOPNOTSUPP
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import advice, anon, droppable, perf, vvar, whole, written
from conformance.program.call import Mmap
from conformance.program.kernel_facts import RangesCall
from conformance.program.mapping import Kind, Mapping, Mark
from conformance.program.places import page_address

LATER = Mmap(Mapping(Kind.ANON, 20, 1))


@pytest.mark.requirement("all-walk", "all-no-gaps")
def test_every_mapping_is_advised_and_the_space_between_is_no_gap(ranges: Kernel) -> None:
    seen = ranges.run((anon(0, 2), written(6, 2)), whole("DONTDUMP"), whole=True)
    assert seen.results == (0,)
    assert seen.after(0).flags(0) & seen.after(0).flags(6) & f.DD
    stats = seen.stats(0)
    assert stats["nr_gaps"] == 0
    assert stats["nr_mappings_advised"] > 4  # program, heap, stack, and these two


@pytest.mark.requirement("all-special")
def test_special_mappings_are_passed_over(ranges: Kernel) -> None:
    seen = ranges.run((perf(0), vvar(8), anon(20, 1)), whole("RANDOM"), whole=True)
    assert seen.results == (0,)
    assert not (seen.after(0).flags(0) | seen.after(0).flags(8)) & f.RR
    assert seen.after(0).flags(20) & f.RR
    assert seen.stats(0)["nr_mappings_skipped"] >= 2
    assert seen.stats(0)["err"] == 0


@pytest.mark.requirement("all-walk", "error-ends")
def test_all_ends_at_the_first_error(ranges: Kernel) -> None:
    marked = (Mark(0, 1, advice("DONTDUMP")),)
    layout = (anon(0, 1, marks=marked), droppable(2, 1), anon(4, 1, marks=marked))
    seen = ranges.run(layout, whole("DODUMP"), whole=True)
    assert seen.results == (-EINVAL,)
    assert [seen.after(0).flags(page) & f.DD for page in (0, 4)] == [0, f.DD]
    assert seen.stats(0)["failed_address"] == page_address(2)


@pytest.mark.requirement("error-ends", "default-on-failure")
def test_a_walk_that_fails_sets_no_default(ranges: Kernel) -> None:
    if ranges.target.facts.ranges_call is not RangesCall.KERNEL:
        ranges.lacks("a kernel that takes set_default")
    layout = (anon(0, 1), droppable(2, 1))
    seen = ranges.run(layout, whole("DONTDUMP", 1), whole("DODUMP", 1), LATER, whole=True)
    assert seen.results[:2] == (0, -EINVAL)
    assert seen.after(2).flags(20) & f.DD
    assert not seen.after(1).flags(0) & f.DD


@pytest.mark.requirement("default-unsupported")
def test_a_library_cannot_set_defaults(ranges: Kernel) -> None:
    if ranges.target.facts.ranges_call is not RangesCall.SHIM:
        ranges.lacks("a madvise_ranges() in user space")
    seen = ranges.run((anon(0, 1),), whole("DONTDUMP", 1), whole=True)
    assert seen.results == (-EOPNOTSUPP,)
    assert not seen.after(0).flags(0) & f.DD
    assert seen.stats(0)["err"] == EOPNOTSUPP
