"""Requirement: one rule of the specification, with an id that is kept for ever."""

from __future__ import annotations

from enum import Enum

import msgspec


class Surface(str, Enum):
    """What a requirement speaks of."""

    MADVISE = "madvise"
    PROCESS_MADVISE = "process_madvise"
    MADVISE_RANGES = "madvise_ranges"
    MEMORY = "memory"  # ordinary memory calls, faults and fork: what the three are judged by


class Requirement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A row of a chapter.

    id: words, never reused with another meaning. text: what must be, in the present tense.
    source: the paragraph, kernel function or page that says so. since, until: the first and
    the last release series of Linux it is true of, "" for always. held_by: what proves it
    where no branch of the model decides it; such an id is cited nowhere.
    """

    id: str
    text: str
    source: str
    surfaces: tuple[Surface, ...]
    since: str = ""
    until: str = ""
    held_by: str = ""
