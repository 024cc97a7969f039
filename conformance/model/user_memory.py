"""The caller's memory as the kernel copies from and to it. Source: copy_from_user().

The zones hold poison where no struct was put; the arena holds what its pages hold, and
reading there maps pages as any read does.
"""

from __future__ import annotations

from typing import Final

from conformance.abi import vm_flags as f
from conformance.model.address_space import AddressSpace, Vma
from conformance.model.page_state import fault, grow_down, look, page_bytes
from conformance.model.pauses import WORD
from conformance.program.places import (
    ARENA_BASE,
    ARENA_END_MAX,
    PAGE,
    ZONE_BASE,
    ZONE_END,
    ZONE_POISON,
    ZONE_RO_BASE,
    ZONE_RO_END,
)

WORD_BYTES: Final = 8
ZONE_MARGIN: Final = 64  # bytes around a struct whose pages the executor looks at as well
STACK_REACH: Final = 512 * PAGE  # below the arena: where a MAP_GROWSDOWN mapping may grow to
POISON_PAGE: Final = bytes([ZONE_POISON]) * PAGE


def words_of(at: int, size: int) -> list[tuple[int, int]]:
    """(address, bytes) of the aligned 64-bit words that [at, at + size) is in."""
    out = []
    while size > 0:
        length = min(size, WORD_BYTES - at % WORD_BYTES)
        out.append((at, length))
        at += length
        size -= length
    return out


class UserMemory:
    """The memory of the calling process: the arena's through its AddressSpace, and the zones."""

    __slots__ = ("space", "zone", "poked", "changes", "doubtful")

    def __init__(self, space: AddressSpace) -> None:
        self.space = space
        self.zone: dict[int, bytearray] = {}  # page number -> bytes, where not all poison
        self.poked: set[int] = set()  # zone pages that this program ever put bytes into
        self.changes: list[tuple[int, bytes, bytes]] = []  # the call's: address, old, new
        self.doubtful = False  # the last peek read a page that may have been thrown away

    def place(self, at: int, data: bytes) -> bool:
        """The executor stores bytes before a call. False where a page refused."""
        if ARENA_BASE <= at < ARENA_END_MAX:
            self._cover(at, len(data))
            return self._arena_write(at, data, executor=True) == len(data)
        self._zone_write(at, data)
        first = max(at - ZONE_MARGIN, ZONE_BASE if at < ZONE_RO_BASE else ZONE_RO_BASE)
        self.poked.update(range(first // PAGE, (at + len(data) + ZONE_MARGIN - 1) // PAGE + 1))
        return True

    def begin_call(self) -> None:
        """From here on changes of the zone are the call's."""
        self.changes.clear()

    def forget_zone(self) -> None:
        """The executor poisons the zones again."""
        self.zone.clear()

    def first_change(self, peeked: list[tuple[int, int]]) -> int:
        """The first zone address that the call changed outside the structs read back, or 0."""
        first = 0
        for at, old, new in self.changes:
            if any(low <= at and at + len(new) <= low + size for low, size in peeked):
                continue
            for offset, byte in enumerate(new):
                address = at + offset
                if byte == old[offset] or address // PAGE not in self.poked:
                    continue
                if any(low <= address < low + size for low, size in peeked):
                    continue
                if not first or address < first:
                    first = address
        return first

    def read(self, at: int, size: int) -> bytes | None:
        """copy_from_user(): the bytes, or None for EFAULT. In a race, word by word."""
        if self.space.pause is None:
            return self._read(at, size)
        out = b""
        for part, length in words_of(at, size):
            self.space.pause(WORD, part, out)
            data = self._read(part, length)
            if data is None:
                return None
            out += data
        return out

    def _read(self, at: int, size: int) -> bytes | None:
        if (ZONE_BASE <= at and at + size <= ZONE_END) or (
            ZONE_RO_BASE <= at and at + size <= ZONE_RO_END
        ):
            return self._zone_read(at, size)
        if ARENA_BASE - STACK_REACH <= at < ARENA_END_MAX:
            data = self._arena_read(at, size, executor=False)
            return data if len(data) == size else None
        return None

    def peek(self, at: int, size: int) -> bytes:
        """What the executor reads back: as much as can be read."""
        self.doubtful = False
        if ARENA_BASE <= at < ARENA_END_MAX:
            return self._arena_read(at, size, executor=True)
        return self._zone_read(at, size)

    def write(self, at: int, data: bytes) -> bool:
        """copy_to_user(): False for EFAULT; what came before the fault is written."""
        if self.space.pause is None:
            return self._write(at, data)
        for part, length in words_of(at, len(data)):
            self.space.pause(WORD, part, data)
            if not self._write(part, data[part - at : part - at + length]):
                return False
        return True

    def store(self, at: int, data: bytes) -> None:
        """The program itself writes to a zone: no change that a call has made."""
        self._zone_write(at, data)

    def _write(self, at: int, data: bytes) -> bool:
        if ARENA_BASE - STACK_REACH <= at < ARENA_END_MAX:
            return self._arena_write(at, data, executor=False) == len(data)
        if not ZONE_BASE <= at < ZONE_END:
            return False
        room = data[: ZONE_END - at]
        self.changes.append((at, self._zone_read(at, len(room)), room))
        self._zone_write(at, room)
        return len(room) == len(data)

    def _zone_read(self, at: int, size: int) -> bytes:
        offset = at % PAGE
        if offset + size <= PAGE:
            page = self.zone.get(at // PAGE)
            return bytes(page[offset : offset + size]) if page else POISON_PAGE[:size]
        head = PAGE - offset
        return self._zone_read(at, head) + self._zone_read(at + head, size - head)

    def _zone_write(self, at: int, data: bytes) -> None:
        offset = at % PAGE
        if offset + len(data) > PAGE:
            head = PAGE - offset
            self._zone_write(at, data[:head])
            self._zone_write(at + head, data[head:])
            return
        page = self.zone.get(at // PAGE)
        if page is None:
            page = self.zone[at // PAGE] = bytearray(POISON_PAGE)
        page[offset : offset + len(data)] = data

    def _cover(self, at: int, size: int) -> None:
        """The executor leaves these words out of its look at pages, stored or not."""
        space = self.space
        while size > 0:
            page, offset = at // PAGE, at % PAGE
            take = min(PAGE - offset, size)
            if page - space.base < space.count:
                space.covered.setdefault(page - space.base, []).append((offset, take))
            at += take
            size -= take

    def _vma(self, page: int) -> Vma | None:
        """The VMA of an access, which may grow a stack."""
        return self.space.at(page) or grow_down(self.space, page)

    def _arena_read(self, at: int, size: int, executor: bool) -> bytes:
        out = bytearray()
        space = self.space
        while len(out) < size:
            address = at + len(out)
            page = address // PAGE
            vma = self._vma(page)
            if vma is None or not vma.flags & f.RD or page - space.base >= space.count:
                break
            if vma.special:
                space.unsure = "a struct that lies in memory of the kernel's"
                break
            if fault(space, vma, page, False):
                break
            if page >= space.base and space.lazy[page - space.base]:
                self.doubtful = True
            offset = address % PAGE
            take = min(PAGE - offset, size - len(out))
            out += look(space, vma, page)[offset : offset + take]
        return bytes(out)

    def _arena_write(self, at: int, data: bytes, executor: bool) -> int:
        done = 0
        space = self.space
        while done < len(data):
            address = at + done
            page = address // PAGE
            vma = self._vma(page)
            if vma is None or not vma.flags & f.WR or page - space.base >= space.count:
                break
            if vma.special:
                space.unsure = "a struct that lies in memory of the kernel's"
            if fault(space, vma, page, True):
                break
            offset = address % PAGE
            take = min(PAGE - offset, len(data) - done)
            page_bytes(space, vma, page)[offset : offset + take] = data[done : done + take]
            done += take
        return done
