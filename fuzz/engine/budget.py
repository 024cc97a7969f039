"""Budget: what a campaign was asked for, and when it has had enough."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from conformance.program.call import SURFACES

RANDOM: Final = "random"  # every program by itself
GUIDED: Final = "guided"  # from those that reached something new
FAIL_NTH: Final = "fail-nth"  # every allocation of every call in it fails once
SIGNALS: Final = "signals"  # signals come during every call of it
SEED_MAX: Final = (1 << 64) - 1


class CampaignOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides which programs a campaign runs, and how.

    targets: names for registry.open_target(); programs are dealt to them in turn. surfaces:
    names of call.SURFACES; advices: values to prefer, empty for all. programs, seconds: stop
    after either; both None means until interrupted. workers: processes, one CPU each.
    wrapper: "module:function" called with each target and these options; gives the target to
    use in its place. canary: for that wrapper, to lie about one call in this many; 0: never.
    shrink: reduce findings. measure: of the engine random, find out what programs reach.
    append: for the end of a guest kernel's command line.
    engine: where programs come from, see fuzz.engine.engines. database: of the engine hypothesis,
    a folder or the address of a Redis, "" for none. corpus: folder of the engines guided and
    atheris, "" for one that is thrown away. races: programs
    whose calls are made at the same time, and no others.
    """

    targets: tuple[str, ...]
    seed: int
    workers: int
    surfaces: tuple[str, ...] = tuple(SURFACES)
    advices: tuple[int, ...] = ()
    programs: int | None = None
    seconds: float | None = None
    wrapper: str = ""
    canary: int = 0
    shrink: bool = True
    append: str = ""
    races: bool = False
    engine: str = RANDOM
    database: str = ""
    corpus: str = ""
    measure: bool = False

    @property
    def guide(self) -> bool:
        """Is anything learnt from what programs reach?"""
        return self.engine == GUIDED or self.measure


class Clock:
    """Seconds since the start, and whether the time is up. Monotonic."""

    def __init__(self, seconds_max: float | None) -> None:
        self._start = time.monotonic()
        self._seconds_max = seconds_max

    def elapsed(self) -> float:
        """Seconds since the clock was made."""
        return time.monotonic() - self._start

    def is_up(self) -> bool:
        """Has the time passed? Never without a limit."""
        return self._seconds_max is not None and self.elapsed() >= self._seconds_max

    def left(self, most: float) -> float:
        """Seconds to wait for something else: at most `most`, and not beyond the end."""
        if self._seconds_max is None:
            return most
        return min(most, max(0.0, self._seconds_max - self.elapsed()))
