"""What a campaign wants of the generator."""

from __future__ import annotations

from typing import Final, NamedTuple

from conformance.program.call import SURFACES


class GenerateOptions(NamedTuple):
    """surfaces: names of call.SURFACES to call; the ordinary mm steps come in any case.
    advices: values to prefer; empty: the whole table. mappings_max, steps_max: upper bounds.
    whole: allow programs that need a sacrificial process (madvise_ranges ALL). poison: let memory
    be poisoned, which only a disposable kernel survives for long. reclaim: let the kernel reclaim
    memory. races: programs whose calls are made at the same time, and no others."""

    surfaces: frozenset[str] = frozenset(SURFACES)
    advices: tuple[int, ...] = ()
    mappings_max: int = 16
    steps_max: int = 8
    whole: bool = True
    poison: bool = False
    reclaim: bool = False
    races: bool = False


DEFAULT: Final = GenerateOptions()
