"""The wire, on its way back: words -> Outcome. What the words are: see wire."""

from __future__ import annotations

from struct import unpack_from
from typing import Final

from conformance.program.outcome import Coverage, Outcome, Snapshot, Status
from conformance.program.wire import MAGIC_OUTCOME, Section

_CRASHED: Final = Status.CRASHED.value


def decode(data: bytes | memoryview, offset: int = 0) -> tuple[int, Outcome, int]:
    """One outcome at a byte offset: its id, the outcome, and the offset after it.

    Raises ValueError when the words are not an outcome (a corrupted ring).
    """
    head, ident, state, counts = unpack_from("<4Q", data, offset)
    total = head & 0xFFFF_FFFF
    if head >> 32 != MAGIC_OUTCOME or offset + total * 8 > len(data):
        raise ValueError(f"no outcome at byte {offset} of the ring: first word {head:#x}")
    end = offset + total * 8
    at = offset + 32
    n_results, n_snapshots = state >> 32 & 0xFFFF, state >> 48
    results: tuple[int, ...] = unpack_from(f"<{n_results}q", data, at)
    at += n_results * 8
    peeks = []
    for _ in range(counts & 0xFFFF_FFFF):
        (size,) = unpack_from("<Q", data, at)
        peeks.append(bytes(data[at + 8 : at + 8 + (size >> 32)]))
        at += 8 + ((size & 0xFFFF_FFFF) + 7 & ~7)
    snapshots = []
    for _ in range(n_snapshots):
        (what,) = unpack_from("<Q", data, at)
        at += 8
        n_vmas, n_pages = 4 * (what >> 32 & 0xFFFF), what >> 48
        vmas: tuple[int, ...] = unpack_from(f"<{n_vmas}Q", data, at)
        pages: tuple[int, ...] = unpack_from(f"<{n_pages}Q", data, at + n_vmas * 8)
        at += (n_vmas + n_pages) * 8
        snapshots.append(Snapshot(what & 0xFFFF, bool(what >> 16 & 1), vmas, pages))
    n_outside = 4 * (counts >> 32)
    outside: tuple[int, ...] = unpack_from(f"<{n_outside}Q", data, at)
    if state & 0xFF == _CRASHED:  # only who watches the kernel from outside can say so
        raise ValueError(f"status {state & 0xFF} at byte {offset} of the ring is none of its own")
    outcome = Outcome(
        status=Status(state & 0xFF),
        results=results,
        peeks=tuple(peeks),
        snapshots=tuple(snapshots),
        outside=outside,
        signal=state >> 8 & 0xFF,
        step=state >> 16 & 0xFFFF,
        coverage=_coverage(data, at + n_outside * 8, end),
    )
    return ident, outcome, end


def _coverage(data: bytes | memoryview, at: int, end: int) -> Coverage | None:
    """From the sections in [at, end), if there are any."""
    if at == end:
        return None
    edges: tuple[int, ...] = ()
    places: tuple[int, ...] = ()
    while at < end:
        (head,) = unpack_from("<Q", data, at)
        which, words = head & 0xFFFF_FFFF, head >> 32
        if which == Section.EDGES:
            (count,) = unpack_from("<Q", data, at + 8)
            edges = unpack_from(f"<{count}H", data, at + 16)
        elif which == Section.PLACES:
            places = unpack_from(f"<{words}Q", data, at + 8)
        else:
            raise ValueError(f"no section {which} of an outcome, at byte {at} of the ring")
        at += 8 + words * 8
    return Coverage(edges, places)
