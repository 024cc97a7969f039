"""An executor may not say that the kernel went down: it would not be there to say it."""

import struct

import pytest

from conformance.program.outcome import Status
from conformance.program.wire import MAGIC_OUTCOME
from conformance.program.wire_outcome import decode


def outcome_words(status: int) -> bytes:
    return struct.pack("<4Q", 4 | MAGIC_OUTCOME << 32, 0, status, 0)


def test_a_status_from_the_ring_is_one_that_an_executor_can_know() -> None:
    for status in (Status.DONE, Status.KILLED, Status.HUNG, Status.NOT_RUN):
        assert decode(outcome_words(status.value), 0)[1].status is status
    for status_word in (Status.CRASHED.value, 5, 255):
        with pytest.raises(ValueError, match=r"status|Status"):
            decode(outcome_words(status_word), 0)
