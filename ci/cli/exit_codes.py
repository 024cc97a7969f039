"""What `madvet` exits with. A closed list; the documents and --help say the same."""

from __future__ import annotations

from typing import Final

CONFORMANT: Final = 0  # all conformant, or known in the ledger
FOUND: Final = 1  # a divergence, crash, hang or mishandling
BAD_INPUT: Final = 2  # bad usage, or a file that cannot be read as what it must be
HARNESS_FAILED: Final = 3  # the harness or the environment: never to be read as a pass
NOTHING_RAN: Final = 4  # everything was skipped


class InputError(Exception):
    """Something that the user handed in is wrong. The message says what, where, and what is
    allowed."""
