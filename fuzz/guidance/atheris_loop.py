"""The only file that knows atheris: libFuzzer's loop around programs, with counters of our own.

libFuzzer looks for new values in byte counters that code registers with it. Ours are no code's:
one for each edge of the kernel, hashed, and one for each mark of the model's; whoever runs an
input sets them. They are registered as instrumented C code registers its own, by two functions
that the extension exports; libFuzzer clears them before each input and reads them after it, with
no call of Python in between. -entropic=0: its schedule for rare features is made for hundreds of
them, and with the tens of thousands of a kernel fell to 15 inputs a second.
"""

from __future__ import annotations

import ctypes
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any, Final, NoReturn

import atheris

from fuzz.guidance.ahead import Counters

EDGES: Final = 1 << 16  # counters of the kernel's edges, as wire.Observe has them
COUNTERS: Final = 2 * EDGES  # then those of the model's marks
# mutate_depth: what a mutator is given after the first time would not be the fuzzer's choice.
# len_control: programs have their own idea of growing.
ARGUMENTS: Final = (
    "-entropic=0", "-len_control=0", "-mutate_depth=1", "-rss_limit_mb=0", "-handle_int=0",
    "-handle_term=0", "-print_final_stats=0",
)  # fmt: skip
INPUT_BYTES_MAX: Final = 1 << 16

EXTENSION: Final = "atheris.core_with_libfuzzer"
REMEDY: Final = "this way to give it counters was tried with atheris 3.0.0"

Mutate = Callable[[bytes, int, int], bytes]  # data, most bytes, a random number
Cross = Callable[[bytes, bytes, int, int], bytes]


class AtherisUnusable(Exception):
    """Another version of atheris than those that this file knows. str() says what is missing."""


class Map:
    """The counters. There is one in a process, for ever: libFuzzer keeps its address."""

    def __init__(self) -> None:
        self._bytes = (ctypes.c_uint8 * COUNTERS)()
        # A place in code for each, as the interface wants it: a number and flags, 8 bytes each.
        self._places = (ctypes.c_uint64 * (2 * COUNTERS))()
        self._places[::2] = list(range(1, COUNTERS + 1))
        self._view = memoryview(self._bytes).cast("B")
        try:
            extension = ctypes.CDLL(import_module(EXTENSION).__file__)
        except (ImportError, OSError) as error:
            raise AtherisUnusable(f"{EXTENSION}: {error}; {REMEDY}") from error
        for name, table in (
            ("__sanitizer_cov_8bit_counters_init", self._bytes),
            ("__sanitizer_cov_pcs_init", self._places),
        ):
            function = getattr(extension, name, None)
            if function is None:
                raise AtherisUnusable(f"{EXTENSION} exports no {name}; {REMEDY}")
            function.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
            start = ctypes.addressof(table)
            function(start, start + ctypes.sizeof(table))

    def set(self, counters: Counters) -> None:
        """What the input that runs has reached."""
        view = self._view
        for number in counters:
            view[number] = 1


def mutate_bytes(data: bytes, most: int) -> bytes:
    """libFuzzer's own mutation, with its dictionary."""
    mutated: bytes = atheris.Mutate(data, most)
    return mutated


def fuzz_programs(
    folders: Sequence[Path],
    counters_of: Callable[[bytes], Counters],
    mutate: Mutate,
    cross: Cross,
    options: Iterable[str] = (),
    check: Callable[[bytes], None] | None = None,
) -> NoReturn:
    """libFuzzer's loop, which ends with the process. folders: the first gets what reaches
    something new, all are read; the callbacks end the process when it is time to. check: what it
    raises is a finding, with which libFuzzer ends.

    What a callback raises is a failure of the harness: it is told on standard error, and the
    process ends with status 1, since libFuzzer would take it for a finding.
    """
    maps: list[Map] = []

    def one_input(data: bytes) -> None:
        if not maps:
            # Not before: Fuzz() loads the extension after what brings it the custom mutators, and
            # one that is loaded already goes without.
            maps.append(guarded(Map))
        maps[0].set(guarded(counters_of, data))
        if check is not None:
            check(data)

    arguments = ["madvet", *ARGUMENTS, f"-max_len={INPUT_BYTES_MAX}", *options]
    _setup(
        [*arguments, *map(str, folders)],
        one_input,
        enable_python_coverage=False,
        custom_mutator=lambda *given: guarded(mutate, *given),
        custom_crossover=lambda *given: guarded(cross, *given),
    )
    _fuzz()


def fuzz_property(
    test: Callable[[bytes], object], arguments: Sequence[str], packages: Sequence[str]
) -> NoReturn:
    """libFuzzer's loop around a property of Python code: what test() raises is a finding, kept by
    libFuzzer as a file. packages: whose functions are instrumented, as far as they are loaded."""
    for function in _functions(packages):
        atheris.instrument_func(function)

    def one_input(data: bytes) -> None:
        test(data)

    _setup(["madvet", *arguments], one_input)
    _fuzz()


def _setup(arguments: list[str], one_input: Callable[[bytes], None], **more: Any) -> None:
    atheris.Setup(arguments, one_input, internal_libfuzzer=True, **more)


def _fuzz() -> NoReturn:
    atheris.Fuzz()
    os._exit(0)  # not reached: libFuzzer ends the process


def guarded(function: Callable[..., Any], *given: Any) -> Any:
    """What a callback gives; the end of the process if it raises."""
    try:
        return function(*given)
    except BaseException:  # noqa: BLE001 - told, and nothing goes on after it
        traceback.print_exc()
        os._exit(1)


def _functions(packages: Sequence[str]) -> list[Any]:
    """The Python functions of packages that are loaded, each once."""
    found: dict[int, FunctionType] = {}
    for name, module in list(sys.modules.items()):
        if name.split(".", 1)[0] not in packages:
            continue
        for value in list(vars(module).values()):
            if isinstance(value, FunctionType) and value.__module__ == name:
                found[id(value)] = value
    return list(found.values())
