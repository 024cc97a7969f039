"""Bytes that a byte fuzzer keeps, as programs, and back.

A program is its text: what lies in the fuzzer's corpus is a program file like any other, which
`madvet replay` runs and people read, and every program has exactly one such form. Bytes that are
no program's text are the choices of the generator, so that every string of bytes is a program.
"""

from __future__ import annotations

from typing import Final

from conformance.program.program import Program
from conformance.program.text import dumps, loads
from conformance.program.text_table import ProgramTextError
from fuzz.generate.bytes_chooser import BytesChooser
from fuzz.generate.options import GenerateOptions
from fuzz.generate.programs import generate

# What every text begins with, a comment or its version: all else need not be parsed.
BEGINNINGS: Final = (b"format", b"#")
# Programs, 5 kB each. A fuzzer asks again and again for what it keeps; to parse one takes as long
# as to run it.
REMEMBERED: Final = 1 << 14


class ProgramBytes:
    """One campaign's way between both. guest: see validate()."""

    def __init__(self, options: GenerateOptions, guest: bool) -> None:
        self._options = options
        self._guest = guest
        self._remembered: dict[bytes, Program] = {}  # what was asked for last is last

    def data(self, program: Program) -> bytes:
        """The one form of a program."""
        data = dumps(program).encode()
        self._remember(data, program)
        return data

    def program(self, data: bytes) -> Program:
        """The program that any bytes are."""
        program = self._remembered.pop(data, None)
        if program is None:
            program = self._read(data)
        self._remember(data, program)
        return program

    def knows(self, data: bytes) -> bool:
        """Were they read or written not long ago?"""
        return data in self._remembered

    def _read(self, data: bytes) -> Program:
        if data.startswith(BEGINNINGS):
            try:
                return loads(data, "input", self._guest).program
            except ProgramTextError:
                pass  # cut or changed by a mutation of bytes: choices, then
        return generate(BytesChooser(data), self._options)

    def _remember(self, data: bytes, program: Program) -> None:
        self._remembered[data] = program
        if len(self._remembered) > REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
