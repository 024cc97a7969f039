"""Small programs, few enough to enumerate: every layout of up to three mappings.

With exhaustive.every() this is a proof by exhaustion that no arrangement of neighbours, gaps,
touched pages and range ends was forgotten; with a seed it is a very simple generator.
"""

from __future__ import annotations

from typing import Final

from conformance.abi.advice import BY_NAME
from conformance.program.call import Madvise
from conformance.program.mapping import Kind, Mapping, Prot, Sharing, Touch
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from fuzz.generate.chooser import Chooser

_UNTOUCHED: Final[tuple[Touch, ...]] = ()
_TOUCHES: Final = (_UNTOUCHED, (Touch(0),))
_BASES: Final = ((Prot.RW, Sharing.PRIVATE), (Prot.R, Sharing.PRIVATE), (Prot.RW, Sharing.SHARED))
FLAG_ADVICE: Final = BY_NAME["SEQUENTIAL"].value


def small_layout(chooser: Chooser, mappings_max: int) -> tuple[Mapping, ...]:
    """One to mappings_max anonymous mappings of one or two pages, with gaps of up to one page."""
    out: list[Mapping] = []
    at = 0
    for index in range(chooser.integer(1, mappings_max)):
        if index > 0:
            at += chooser.integer(0, 1)
        pages = chooser.integer(1, 2)
        prot, sharing = chooser.pick(_BASES)
        touches = chooser.pick(_TOUCHES) if prot is Prot.RW else _UNTOUCHED
        out.append(Mapping(Kind.ANON, at, pages, prot, sharing, touches=touches))
        at += pages
    return tuple(out)


def small_program(
    chooser: Chooser, mappings_max: int = 2, advices: tuple[int, ...] = (FLAG_ADVICE,)
) -> Program:
    """A small layout and one madvise() of any pages of it, or of one page after it."""
    layout = small_layout(chooser, mappings_max)
    end = layout[-1].at + layout[-1].pages
    first = chooser.integer(0, end - 1)
    pages = chooser.integer(1, end + 1 - first)
    call = Madvise(page_address(first), pages * PAGE, chooser.pick(advices))
    return Program(layout, (call,))
