"""What a kernel did, in a few words."""

from __future__ import annotations

import msgspec

from ci.report.observed import observed
from ci.tests.sample_run import PROGRAM, outcome
from conformance.abi import vm_flags
from conformance.abi.errnos import EINVAL
from conformance.program.outcome import PAGE_GUARD, Snapshot, Status
from conformance.program.places import page_address

TIMES = "\N{MULTIPLICATION SIGN}"


def test_results_then_vmas_with_their_pages() -> None:
    assert observed(PROGRAM, outcome()) == "0 [www]"


def test_an_errno_stands_for_itself() -> None:
    failed = (0,) * len(PROGRAM.setup()) + (-EINVAL,)
    assert observed(PROGRAM, msgspec.structs.replace(outcome(), results=failed)) == "EINVAL [www]"


def test_flags_walls_runs_and_a_child_are_told() -> None:
    vmas = (
        page_address(0), page_address(1), vm_flags.RD | vm_flags.DD, 0,
        page_address(1), page_address(12), vm_flags.RD, 0,
    )  # fmt: skip
    pages = (PAGE_GUARD, *([0] * 11))
    snapshots = (Snapshot(1, False, vmas, pages), Snapshot(1, True, vmas[4:], pages))
    seen = msgspec.structs.replace(outcome(), snapshots=snapshots)
    assert observed(PROGRAM, seen) == f"0 [dd G][.{TIMES}11] child [.{TIMES}11]"


def test_a_run_that_did_not_end_says_how() -> None:
    assert observed(PROGRAM, msgspec.structs.replace(outcome(), status=Status.NOT_RUN)) == "not run"
