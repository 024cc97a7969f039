"""Program: an address-space layout, and the steps taken in it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

import msgspec

from conformance.program.call import AnyStep, Step
from conformance.program.mapping import FileSlot, Mapping

if TYPE_CHECKING:
    from conformance.program.plan import Plan

MAPPINGS_MAX: Final = 16
STEPS_MAX: Final = 8  # that generators draw
# Programs that grow while the model watches (fuzz.guidance), and their files. Snapshots after each
# of the steps, and of as many children, must fit the ring: (2 + 2 * 256) * 8 * (1 + 5 * 128) bytes
# are 2.6 MiB of 4 MiB.
STEPS_LONG_MAX: Final = 256
STEP_PAGES_MAX: Final = 256 * 128  # steps times arena pages, of programs that are longer than usual


class Rights(str, Enum):
    """Under which rights the steps are taken. Whatever it says, the layout is made with all."""

    ALL = "all"  # those of the target
    NO_SYS_NICE = "no-sys-nice"  # no CAP_SYS_NICE
    NO_SYS_ADMIN = "no-sys-admin"  # no CAP_SYS_ADMIN
    OTHER_USER = "other-user"  # the second process is another user's, whom it may not look at


class Program(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The one value that is generated, written, run, judged and shrunk.

    whole: runs in a sacrificial process under ptrace, so that its calls may name addresses
    outside the arena. rights: what it may do, in a child of its own if less than all; not for
    `whole`. Equality and hash are of the whole value.
    """

    layout: tuple[Mapping, ...]
    steps: tuple[Step, ...]
    files: tuple[FileSlot, ...] = ()
    whole: bool = False
    rights: Rights = Rights.ALL

    def setup(self) -> tuple[AnyStep, ...]:
        """The layout as steps: every mmap in order, then each mapping's lock, touches, marks
        and registrations, then file seals, soft-dirty, and mseal last, since it forbids more."""
        return tuple(_plan(self).setup)

    def arena_pages(self) -> int:
        """How many pages of the arena a snapshot must cover, from its base."""
        return _plan(self).arena_pages

    def remote(self) -> bool:
        """Does any call name the second process?"""
        return _plan(self).remote

    def isolated(self) -> bool:
        """Must it run in a child of its own, which cannot be reset for the next program?"""
        return _plan(self).isolated


def _plan(program: Program) -> Plan:
    from conformance.program.plan import plan_of  # it knows Program, and is compiled

    return plan_of(program)
