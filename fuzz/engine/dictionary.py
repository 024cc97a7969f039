"""The words of a program's text, as libFuzzer reads a dictionary: corpus/programs.dict.

Its own mutations put them in, where a custom mutator hands them on. `python -m
fuzz.engine.dictionary` prints the file; a test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from conformance.abi.advice import ADVICES
from conformance.program.mapping import Backing, Kind, Lock, Prot, Sharing, Uffd
from conformance.program.program import Rights
from conformance.program.text_places import PIDFDS, PLACES
from conformance.program.validate import STEP_NAMES


def words() -> Iterator[str]:
    """Each once, in an order that does not change."""
    yield from (f'"{advice.name}"' for advice in ADVICES)
    yield from (f'call = "{name}"' for name in STEP_NAMES.values())
    for closed in (Kind, Prot, Sharing, Lock, Uffd, Backing, Rights):
        yield from (f'"{member.value}"' for member in closed)
    yield from (f'"{place.name}"' for place in PLACES)
    yield from (f'"{name}"' for name in PIDFDS)
    yield from (f'type = "{arm}"' for arm in ("single", "multi", "all"))
    yield from ("[[step]]\n", "[[mapping]]\n", "[[file]]\n", "ilp32 = true\n", "whole = true\n")
    yield from ("+1p", "+0x1", '"1p"', '"0xffffffffffffffff"')


def text() -> str:
    """The file. Bytes that are not plain are written as libFuzzer wants them."""
    lines = ["# Words of programs, for libFuzzer. Made by python -m fuzz.engine.dictionary."]
    for word in dict.fromkeys(words()):
        plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\x0A")
        lines.append(f'"{plain}"')
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
