"""What memory pressure may take from a file, whoever maps it."""

from __future__ import annotations

import pytest

from conformance.abi.advice import ADVICES
from conformance.cases.layouts import MEMFD
from conformance.model.predict import begin
from conformance.model.prediction import Prediction
from conformance.program.call import Reclaim
from conformance.program.kernel_facts import KernelFacts
from conformance.program.mapping import Kind, Lock, Mapping, Sharing, Touch
from conformance.program.program import Program

FACTS = KernelFacts(release="7.3", advices=tuple(a.value for a in ADVICES), memcg_reclaim=True)


@pytest.mark.parametrize(
    ("sharing", "write", "lock", "dropped"),
    [
        # Copied from the file's page, which nobody has written.
        (Sharing.PRIVATE, True, Lock.NO, {0}),
        (Sharing.PRIVATE, False, Lock.NO, {0}),
        (Sharing.SHARED, False, Lock.NO, {0}),
        (Sharing.SHARED, False, Lock.LOCKED, set()),
        (Sharing.PRIVATE, True, Lock.LOCKED, {0}),  # it is the copy that is locked
        (Sharing.SHARED, True, Lock.NO, set()),  # written: it goes to swap, and comes back
    ],
)
def test_a_page_that_a_file_would_give_again_may_go(
    sharing: Sharing, write: bool, lock: Lock, dropped: set[int]
) -> None:
    mapping = Mapping(Kind.MEMFD, 0, 1, sharing=sharing, touches=(Touch(0, 1, write),), lock=lock)
    program = Program((mapping,), (Reclaim(),), MEMFD)
    run = begin(program, FACTS, Prediction(), 1, False)
    run.step(program.steps[0])
    (file,) = run.process.files
    assert file.cached == {0}
    assert file.dropped == dropped
