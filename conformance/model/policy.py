"""Policy: the decisions that the proposal leaves open, as data (SPEC section 1.9).

A kernel author who decides otherwise changes one field here and the suite follows.
"""

from __future__ import annotations

from typing import Final

from conformance.abi.advice import ADVICES
from conformance.abi.errnos import EINVAL, ENOMEM


class Policy:
    """The defaults are the text of the specification."""

    __slots__ = (
        "unknown_version_errno", "padding_checked", "gap_is_error", "whole_advices",
        "default_advices", "count_max", "single_mapping_errno", "stop_on_gap_wins",
    )  # fmt: skip

    def __init__(self) -> None:
        self.unknown_version_errno = EINVAL
        self.padding_checked = False  # abi-ignored-bytes: holes may hold anything
        self.gap_is_error = False  # True: a deferred ENOMEM, as madvise(2) has it
        self.whole_advices = frozenset(a.value for a in ADVICES if a.whole)
        self.default_advices = frozenset(a.value for a in ADVICES if a.default)
        self.count_max = 1024
        self.single_mapping_errno = EINVAL  # more than one VMA, nothing unmapped
        self.stop_on_gap_wins = True  # over ignore_errors


DEFAULT_POLICY: Final = Policy()
GAP_ERRNO: Final = ENOMEM
