"""POPULATE_READ and POPULATE_WRITE."""

from __future__ import annotations

import pytest

from conformance.abi.errnos import EFAULT, EINVAL
from conformance.cases.conftest import Kernel
from conformance.cases.layouts import MEMFD, anon, madvise, memfd, perf, read, single, span, written
from conformance.program.content import file_tag
from conformance.program.mapping import (
    Backing,
    FileSlot,
    Kind,
    Mapping,
    Prot,
    Sharing,
    Touch,
    Uffd,
)

SHORT = (FileSlot(Backing.MEMFD, 2),)


@pytest.mark.requirement("madvise-populate-present")
@pytest.mark.parametrize("name", ["POPULATE_READ", "POPULATE_WRITE"])
def test_every_page_is_there_with_what_it_held(kernel: Kernel, name: str) -> None:
    layout = (anon(0, 4, touches=(Touch(1),)), memfd(4, 2, touches=(Touch(0),)))
    seen = kernel.run(layout, read(1), read(4), madvise(0, 6, name), files=MEMFD)
    assert seen.results == (1, 1, 0)
    last, before = seen.after(2), seen.after(1)
    assert all(last.present(*range(6)))
    assert last.contents(0, 2, 3, 5) == [0, 0, 0, 0]
    assert last.contents(1, 4) == before.contents(1, 4)
    assert 0 not in last.contents(1, 4)


@pytest.mark.requirement("madvise-populate-copies")
def test_populate_write_makes_private_copies(kernel: Kernel) -> None:
    shared = Mapping(Kind.TMPFS, 0, 1, sharing=Sharing.SHARED)
    private = [Mapping(Kind.TMPFS, at, 1) for at in (2, 4)]
    files = (FileSlot(Backing.TMPFS, 1),)
    seen = kernel.run(
        (shared, *private),
        madvise(2, 1, "POPULATE_WRITE"),
        madvise(4, 1, "POPULATE_READ"),
        madvise(0, 1, "REMOVE"),
        read(2),
        read(4),
        files=files,
    )
    assert seen.results == (0, 0, 0, 1, 1)
    assert seen.after(4).contents(2, 4) == [file_tag(0, 0), 0]


@pytest.mark.requirement("madvise-populate-access")
def test_populate_wants_the_right_to_the_access(kernel: Kernel) -> None:
    seen = kernel.run(
        (anon(0, 1, prot=Prot.R), anon(2, 1, prot=Prot.NONE)),
        madvise(0, 1, "POPULATE_READ"),
        madvise(0, 1, "POPULATE_WRITE"),
        madvise(2, 1, "POPULATE_READ"),
    )
    assert seen.results == (0, -EINVAL, -EINVAL)


@pytest.mark.requirement("madvise-populate-kind")
def test_page_frames_and_secret_memory_cannot_be_populated(kernel: Kernel) -> None:
    frames = kernel.run((perf(0),), madvise(0, 1, "POPULATE_READ"))
    assert frames.results == (-EINVAL,)
    secret = Mapping(Kind.SECRETMEM, 0, 1, sharing=Sharing.SHARED)
    hidden = kernel.run((secret,), madvise(0, 1, "POPULATE_READ"), madvise(0, 1, "POPULATE_WRITE"))
    assert hidden.results == (-EINVAL, -EINVAL)


@pytest.mark.requirement("madvise-populate-fault")
def test_a_page_behind_the_end_of_the_file_is_efault(kernel: Kernel) -> None:
    seen = kernel.run((memfd(0, 4),), madvise(0, 4, "POPULATE_WRITE"), files=SHORT)
    assert seen.results == (-EFAULT,)


@pytest.mark.requirement("madvise-populate-fault", "error-partial-stays")
def test_pages_before_the_fault_stay(kernel: Kernel) -> None:
    seen = kernel.run((memfd(0, 4),), madvise(0, 4, "POPULATE_READ"), files=SHORT)
    assert seen.results == (-EFAULT,)
    assert seen.after(0).present(0, 1, 2) == [True, True, False]


@pytest.mark.requirement("madvise-populate-fault", "touch-uffd")
def test_what_userfaultfd_has_to_provide_is_efault(kernel: Kernel) -> None:
    layout = (written(0, 1), anon(1, 1, uffd=Uffd.MISSING))
    seen = kernel.run(layout, madvise(0, 2, "POPULATE_WRITE"), read(1))
    assert seen.results == (-EFAULT, -(7 << 16))


@pytest.mark.requirement("error-fatal", "error-partial-stays")
def test_a_fault_ends_madvise_ranges_in_spite_of_ignore_errors(ranges: Kernel) -> None:
    call = single(span(0, 6, "POPULATE_READ"), ignore_errors=True)
    seen = ranges.run((memfd(0, 4), anon(4, 2)), call, files=SHORT)
    assert seen.results == (-EFAULT,)
    assert seen.after(0).present(0, 1, 4) == [True, True, False]
    stats = seen.stats(0)
    assert (stats["err"], stats["nr_mappings_skipped"]) == (EFAULT, 0)
