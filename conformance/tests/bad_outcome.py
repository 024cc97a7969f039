"""Wrong outcomes, made from what the model predicts by the changes that a TOML file lists.

    about = "what is wrong, and why it matters"
    program = '''...a program file...'''
    [[change]]
    what = "member"
    ...
    [verdict]
    kind = "divergence"
    field = "stats.nr_gaps"
    requirement = "gap-counted"
    words = "kernel 2, model 1"

Every file is also judged without its changes: that must be conformant, or the file proves
nothing.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
from msgspec.structs import replace

from conformance.abi import control_v1 as v1
from conformance.abi import errnos
from conformance.abi.advice import ADVICES
from conformance.abi.codec import pack_struct, unpack_struct
from conformance.abi.scalars import DataModel
from conformance.abi.vm_flags import BIT
from conformance.model.prediction import Prediction
from conformance.program import outcome as o
from conformance.program.kernel_facts import KernelFacts, RangesCall
from conformance.program.outcome import Outcome, Snapshot, Status
from conformance.program.places import PAGE, page_address
from conformance.program.program import Program
from conformance.program.text import loads
from conformance.program.text_places import address_value

FOLDER = Path(__file__).parent / "bad_outcomes"
FACTS = KernelFacts(
    release="6.18.44",
    advices=tuple(a.value for a in ADVICES if a.config != "MEMORY_FAILURE"),
    ranges_call=RangesCall.KERNEL,
    disk_fs="ext4",
    has_soft_dirty=True,
    hugetlb_pages_free=8,
    perf_flags=8440507,
    vvar_pages=4,
    vvar_flags=BIT["rd"] | BIT["mr"] | BIT["pf"] | BIT["io"] | BIT["de"] | BIT["dd"],
)
STATES = {
    "present": o.PAGE_PRESENT,
    "guard": o.PAGE_GUARD,
    "swap": o.PAGE_SWAP,
    "unreadable": o.PAGE_UNREADABLE,
    "read": o.PAGE_READ,
}


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """One change; which keys it has depends on `what`."""

    what: str
    step: int = -1  # of setup() + steps; -1: the last
    value: int | str = 0
    content: int = -1
    struct: str = "stats"
    element: int = 0
    member: str = ""
    byte: int = -1
    snapshot: int = -1
    vma: int = 0
    page: int = -1
    flags: list[str] = []
    set: list[str] = []
    clear: list[str] = []
    signal: int = 0


class Expected(msgspec.Struct, forbid_unknown_fields=True):
    """What the oracle must say."""

    kind: str
    field: str = ""
    requirement: str = ""
    words: str = ""
    reason: str = ""
    differences: int = -1
    unspecified: int = -1
    identity: str = ""


class BadOutcome(msgspec.Struct, forbid_unknown_fields=True):
    """One file."""

    about: str
    program: str
    change: list[Change]
    verdict: Expected

    def load(self) -> Program:
        """The program, which must be one that may be run."""
        return loads(self.program.encode(), "program").program


def read(path: Path) -> BadOutcome:
    """Strictly: an unknown key is an error."""
    return msgspec.convert(tomllib.loads(path.read_text()), BadOutcome)


def as_predicted(prediction: Prediction) -> Outcome:
    """The outcome of a kernel that does as the model says."""
    return Outcome(
        Status.DONE,
        tuple(prediction.results),
        tuple(prediction.peeks),
        tuple(
            Snapshot(s.step, s.child, tuple(s.vmas), tuple(s.pages)) for s in prediction.snapshots
        ),
    )


def changed(outcome: Outcome, change: Change, prediction: Prediction) -> Outcome:
    """The outcome with one change."""
    step = change.step if change.step >= 0 else len(prediction.results) - 1
    if change.what == "result":
        results = list(outcome.results)
        results[step] = _number(change.value)
        return replace(outcome, results=tuple(results))
    if change.what in ("member", "byte", "bytes-as-before", "readable"):
        return _peek(outcome, change, prediction, step)
    if change.what in ("killed", "hung"):
        status = Status.KILLED if change.what == "killed" else Status.HUNG
        return replace(
            outcome,
            status=status,
            signal=change.signal,
            step=step,
            results=outcome.results[:step],
            peeks=outcome.peeks[: sum(s < step for s in prediction.peek_steps)],
            snapshots=tuple(s for s in outcome.snapshots if s.step < step),
        )
    if change.what == "log":
        return replace(outcome, log=str(change.value))
    if change.what == "crashed":
        return replace(outcome, status=Status.CRASHED, step=step, results=outcome.results[:step])
    if change.what == "not-run":
        return Outcome(Status.NOT_RUN, (), reason=str(change.value))
    if change.what == "drop-result":
        return replace(outcome, results=outcome.results[:-1])
    if change.what == "drop-peek":
        return replace(outcome, peeks=outcome.peeks[:-1])
    if change.what == "drop-snapshot":
        return replace(outcome, snapshots=outcome.snapshots[:-1])
    if change.what == "twice-snapshot":
        return replace(outcome, snapshots=outcome.snapshots + outcome.snapshots[-1:])
    return _snapshot(outcome, change)


def _number(value: int | str) -> int:
    if isinstance(value, int):
        return value
    if value.startswith("-"):
        return -int(getattr(errnos, value[1:]))
    return address_value(value)


def _peek(outcome: Outcome, change: Change, prediction: Prediction, step: int) -> Outcome:
    index = next(
        i
        for i, name in enumerate(prediction.peek_names)
        if name == change.struct and prediction.peek_steps[i] == step
    )
    data = bytearray(outcome.peeks[index])
    if change.what == "byte":
        data[change.byte] = _number(change.value)
    elif change.what == "bytes-as-before":
        data[:] = bytes([_number(change.value)]) * len(data)
        if change.struct == "stats":  # the pointer in it is put in place over the fill
            at = v1.STATS.offset("per_range_stats", DataModel.LP64)
            data[at : at + 8] = outcome.peeks[index][at : at + 8]
    elif change.what == "readable":
        del data[_number(change.value) :]
    elif change.struct == "zone":
        data[:] = _number(change.value).to_bytes(8, "little")
    else:
        layout = {"stats": v1.STATS, "per_range": v1.RANGE_STATS, "ctl": v1.CONTROL}[change.struct]
        model = DataModel.LP64
        size = layout.size(model)
        at = change.element * size
        values = unpack_struct(layout, bytes(data[at : at + size]), model)
        values[change.member] = _number(change.value)
        data[at : at + size] = pack_struct(layout, values, model)
    peeks = list(outcome.peeks)
    peeks[index] = bytes(data)
    return replace(outcome, peeks=tuple(peeks))


def _snapshot(outcome: Outcome, change: Change) -> Outcome:
    snapshots = list(outcome.snapshots)
    snapshot = snapshots[change.snapshot]
    if change.what == "page":
        pages = list(snapshot.pages)
        word = pages[change.page]
        for name in change.set:
            word |= STATES[name]
        for name in change.clear:
            word &= ~STATES[name]
        if change.content >= 0:
            word = word & ~o.CONTENT_MASK | change.content
        pages[change.page] = word
        snapshots[change.snapshot] = replace(snapshot, pages=tuple(pages))
    elif change.what == "fewer-pages":
        snapshots[change.snapshot] = replace(snapshot, pages=snapshot.pages[:-1])
    elif change.what == "other-step":
        snapshots[change.snapshot] = replace(snapshot, step=snapshot.step - 1)
    else:
        vmas = [list(snapshot.vmas[i : i + 4]) for i in range(0, len(snapshot.vmas), 4)]
        _vma(vmas, change)
        flat = tuple(value for vma in vmas for value in vma)
        snapshots[change.snapshot] = replace(snapshot, vmas=flat)
    return replace(outcome, snapshots=tuple(snapshots))


def _vma(vmas: list[list[int]], change: Change) -> None:
    vma = vmas[change.vma]
    if change.what == "vma-flags":
        for flag in change.flags:
            vma[2] ^= BIT[flag]
    elif change.what == "vma-split":
        middle = page_address(change.page)
        pgoff = vma[3] + (middle - vma[0]) // PAGE if vma[3] >> 63 else 0
        vmas.insert(change.vma + 1, [middle, vma[1], vma[2], pgoff])
        vma[1] = middle
    elif change.what == "vma-merge":
        vma[1] = vmas.pop(change.vma + 1)[1]
    elif change.what == "vma-gone":
        vmas.remove(vma)
    elif change.what == "vma-longer":
        vma[1] += PAGE
    elif change.what == "vma-pgoff":
        vma[3] += 1
    elif change.what == "vma-file":
        vma[3] ^= 1 << 63
    else:
        raise ValueError(f"unknown change {change.what!r}")
