"""Bytes that a byte fuzzer keeps, as programs, and back.

A program is its text: what lies in the fuzzer's corpus is a program file like any other, which
`madvet replay` runs and people read, and every program has exactly one such form. Bytes that are
no program's text are the choices of the generator, so that every string of bytes is a program.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from conformance.program.program import Program
from conformance.program.text import dumps, loads
from conformance.program.text_table import ProgramTextError
from fuzz.generate.bytes_chooser import BytesChooser
from fuzz.generate.options import GenerateOptions
from fuzz.generate.programs import generate

# What every text begins with, a comment or its version: all else need not be parsed.
BEGINNINGS: Final = (b"format", b"#")
REMEMBERED: Final = 4096  # programs; a fuzzer asks for the same few again and again


class ProgramBytes:
    """One campaign's way between both. guest: see validate()."""

    def __init__(self, options: GenerateOptions, guest: bool) -> None:
        self._options = options
        self._guest = guest
        self.program = lru_cache(maxsize=REMEMBERED)(self._program)

    def data(self, program: Program) -> bytes:
        """The one form of a program."""
        return dumps(program).encode()

    def _program(self, data: bytes) -> Program:
        """The program that any bytes are."""
        if data.startswith(BEGINNINGS):
            try:
                return loads(data, "input", self._guest).program
            except ProgramTextError:
                pass  # cut or changed by a mutation of bytes: choices, then
        return generate(BytesChooser(data), self._options)
