"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_SECONDS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|m|min|h)?")
SECONDS_MAX: Final = 366 * 24 * 3600.0
INTEGER_MAX: Final = (1 << 64) - 1


class Duration(click.ParamType):  # type: ignore[type-arg] # generic since click 8.5
    """A length of time: seconds, or with s, m or h behind it."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds. Fails with what is allowed."""
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        seconds = float(match[1]) * _SECONDS[match[2] or ""] if match else 0.0
        if not 0 < seconds <= SECONDS_MAX:
            self.fail(f"{value!r} is no time: write seconds, or 90s, 5m, 8h", param, ctx)
        return seconds


class Integer(click.ParamType):  # type: ignore[type-arg] # generic since click 8.5
    """A whole number, decimal or hexadecimal, at least `low`."""

    name = "integer"

    def __init__(self, low: int = 0, high: int = INTEGER_MAX) -> None:
        self.low = low
        self.high = high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number. Fails with what is allowed."""
        if isinstance(value, int):
            return value
        try:
            number = int(str(value).strip().replace("_", ""), 0)
        except ValueError:
            number = self.low - 1
        if not self.low <= number <= self.high:
            self.fail(f"{value!r} is no whole number from {self.low} to {self.high}", param, ctx)
        return number


class Names(click.ParamType):  # type: ignore[type-arg] # generic since click 8.5
    """Names with commas between them, from a closed list that is loaded when it is needed."""

    name = "names"

    def __init__(self, allowed: Callable[[], tuple[str, ...]], what: str) -> None:
        self.allowed = allowed
        self.what = what

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """The names, each once, in the order given. Fails with the list of those there are."""
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(part.strip() for part in str(value).split(",")))
        allowed = self.allowed()
        for name in names:
            if name not in allowed:
                self.fail(
                    f"there is no {self.what} {name!r}; there are: {', '.join(allowed)}",
                    param,
                    ctx,
                )
        return names


class TargetNames(click.ParamType):  # type: ignore[type-arg] # generic since click 8.5
    """Names of targets with commas between them."""

    name = "targets"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """The names, each once. Fails with the list of the targets there are."""
        if isinstance(value, tuple):
            return value
        from conformance.target.registry import opener
        from conformance.target.target import TargetNameError

        names = tuple(dict.fromkeys(part.strip() for part in str(value).split(",")))
        try:
            for name in names:
                opener(name)
        except TargetNameError as error:
            self.fail(str(error), param, ctx)
        return names


def target_option(default: str) -> Callable[[F], F]:
    """--target, for commands that run programs."""
    return click.option(
        "--target",
        "targets",
        type=TargetNames(),
        default=default,
        show_default=True,
        help="What runs the programs, with commas between several: host, shim, guests such as uml.",
    )


def append_option() -> Callable[[F], F]:
    """--append, for commands that boot guests."""
    return click.option(
        "--append",
        default="",
        help="Words for the end of a guest kernel's command line. Nothing to host and shim.",
    )


def canary_option() -> Callable[[F], F]:
    """--canary, for commands that judge programs."""
    return click.option(
        "--canary",
        is_flag=True,
        help="Falsify some outcomes on purpose, to see that the falsification is found.",
    )


def surface_names() -> tuple[str, ...]:
    """The names that --surface takes."""
    from conformance.program.call import SURFACES

    return tuple(SURFACES)


def advice_names() -> tuple[str, ...]:
    """The names that --advice takes."""
    from conformance.abi.advice import ADVICES

    return tuple(advice.name for advice in ADVICES)
