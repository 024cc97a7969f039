"""REMOVE: holes in files, and where none may be made."""

from __future__ import annotations

import pytest

from conformance.abi.errnos import EACCES, EINVAL, ENODEV, EOPNOTSUPP, EPERM
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import MEMFD, anon, madvise, memfd, perf, read, shared
from conformance.program.call import Fork
from conformance.program.content import file_tag
from conformance.program.mapping import (
    Backing,
    FileSlot,
    Kind,
    Lock,
    Mapping,
    Prot,
    Sharing,
    Touch,
)
from conformance.program.outcome import PAGE_GUARD

BOTH = (Touch(0, 2),)


@pytest.mark.requirement("madvise-remove-content")
def test_a_hole_reads_as_zero_and_the_file_keeps_its_size(kernel: Kernel) -> None:
    layout = (Mapping(Kind.TMPFS, 0, 3, sharing=Sharing.SHARED),)
    files = (FileSlot(Backing.TMPFS, 3),)
    seen = kernel.run(layout, read(0, 3), madvise(1, 1, "REMOVE"), read(0, 3), files=files)
    assert seen.results == (3, 0, 3)
    assert not seen.after(1).present(1)[0]
    assert seen.after(2).contents(0, 1, 2) == [file_tag(0, 0), 0, file_tag(0, 2)]


@pytest.mark.requirement("madvise-remove-content")
def test_shared_anonymous_memory_has_a_file_behind_it(kernel: Kernel) -> None:
    seen = kernel.run((shared(0, 2),), madvise(0, 1, "REMOVE"), read(0, 2), Fork())
    assert seen.results == (0, 2, 0)
    assert seen.after(1).contents(0) == [0] != seen.after(1).contents(1)


@pytest.mark.requirement("madvise-remove-aliases", "madvise-remove-private-copies")
def test_every_mapping_of_the_file_shows_the_hole_but_for_copies(kernel: Kernel) -> None:
    private = Mapping(Kind.MEMFD, 8, 2, touches=(Touch(0),))
    layout = (memfd(0, 2, touches=BOTH), memfd(4, 2), private)
    looks = (read(4, 2), read(8, 2))
    seen = kernel.run(layout, *looks, madvise(0, 2, "REMOVE"), *looks, files=MEMFD)
    before, after = seen.after(1), seen.after(4)
    assert 0 not in before.contents(4, 5, 8, 9)
    assert after.contents(4, 5, 9) == [0, 0, 0]
    assert after.contents(8) == before.contents(8)


@pytest.mark.requirement("madvise-remove-guards")
def test_guards_stay_when_the_file_below_them_goes(kernel: Kernel) -> None:
    if not kernel.target.facts.guard_file:
        kernel.lacks("guards in files (6.15)")
    calls = (madvise(1, 1, "GUARD_INSTALL"), madvise(0, 2, "REMOVE"))
    seen = kernel.run((memfd(0, 2, touches=BOTH),), *calls, files=MEMFD)
    assert seen.results == (0, 0)
    assert seen.after(1).page(1) & PAGE_GUARD


@pytest.mark.requirement("madvise-remove-locked")
def test_locked_memory_keeps_its_file(kernel: Kernel) -> None:
    layout = (memfd(0, 2, lock=Lock.LOCKED),)
    seen = kernel.run(layout, madvise(0, 2, "REMOVE"), files=MEMFD)
    assert seen.results == (-EINVAL,)
    assert seen.after(0).present(0, 1) == [True, True]


@pytest.mark.requirement("madvise-remove-file")
def test_without_a_file_there_is_nothing_to_punch(kernel: Kernel) -> None:
    seen = kernel.run((anon(0, 2),), madvise(0, 2, "REMOVE"))
    assert seen.results == (-EINVAL,)


@pytest.mark.requirement("madvise-remove-maywrite")
def test_a_file_that_was_opened_read_only_is_not_punched(kernel: Kernel) -> None:
    layout = (memfd(0, 2, prot=Prot.R, read_only_fd=True),)
    seen = kernel.run(layout, madvise(0, 2, "REMOVE"), files=MEMFD)
    assert seen.results == (-EACCES,)


@pytest.mark.requirement("madvise-remove-sealed")
def test_a_file_sealed_against_writing_is_not_punched(kernel: Kernel) -> None:
    files = (FileSlot(Backing.MEMFD, 2, sealed_write=True),)
    seen = kernel.run((memfd(0, 2, touches=BOTH),), madvise(0, 2, "REMOVE"), files=files)
    assert seen.results == (-EPERM,)
    assert 0 not in seen.after(0).contents(0, 1)


@pytest.mark.requirement("madvise-remove-unsupported")
def test_what_cannot_be_punched_says_so(kernel: Kernel) -> None:
    secret = Mapping(Kind.SECRETMEM, 0, 2, sharing=Sharing.SHARED)
    if kernel.target.facts.has_secretmem and kernel.target.facts.cap_ipc_lock:
        locked = kernel.run((secret,), madvise(0, 2, "REMOVE"))
        assert locked.results[0] in (-EINVAL, -EOPNOTSUPP)  # by whether it counts as locked
    frames = kernel.run((perf(0),), madvise(0, 5, "REMOVE"))
    assert frames.results == (-ENODEV,)
