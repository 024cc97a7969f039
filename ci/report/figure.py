"""Figure: one measured number beside what is required of it."""

from __future__ import annotations

from typing import Final, NamedTuple

AT_LEAST: Final = "at least"
AT_MOST: Final = "at most"


class Figure(NamedTuple):
    """A measured number. bound: AT_LEAST or AT_MOST `required`; "" for one that only informs.

    value is None when it could not be measured here; `note` then says why, and otherwise how.
    """

    name: str
    value: float | None
    unit: str
    bound: str = ""
    required: float = 0.0
    note: str = ""

    @property
    def meets(self) -> bool | None:
        """Is the requirement met? None without a requirement, or when nothing was measured."""
        if not self.bound or self.value is None:
            return None
        if self.bound == AT_LEAST:
            return self.value >= self.required
        return self.value <= self.required
