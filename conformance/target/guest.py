"""Targets that are guests: `uml`, `qemu`, `qemu-debug`, and a kernel of the user's own.

A batch that costs the guest is run again program by program, each looked at alone, in a new
guest: the first that shows something gets the report as its outcome's log, and what follows goes
on as usual. If none shows it alone, the report stays with the first of the batch, with a note:
what was seen once is never lost, and triage says whether it is seen again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from conformance.program.outcome import Outcome, Status
from conformance.target import limits
from conformance.target.batches import Batch
from conformance.target.executor_build import ExecutorUnavailable, build_executor, build_guest_init
from conformance.target.executor_link import ExecutorLink, ExecutorLost
from conformance.target.executor_target import USUAL, ExecutorTarget, Options
from conformance.target.facts import Probed, parse_facts
from conformance.target.guest_images import find_image
from conformance.target.guest_initramfs import make_disk_blocks, make_initramfs
from conformance.target.guest_link import GuestLink, GuestLost, Pace
from conformance.target.guest_machine import Boot, Machine, machine_of, qemu, uml
from conformance.target.kernel_log import Report
from conformance.target.ring import Ring
from conformance.target.target import TargetError

TMP: Final = "/var/tmp"  # in the guest: a disk where it has one
SLABS: Final = "/sys/kernel/slab"  # in the guest: where the kernel counts its objects
NOT_ALONE: Final = "(met in a batch of {count}, and not when each program ran alone)"
SHARED_MEMORY: Final = Path("/dev/shm")


class Kind(NamedTuple):
    """A kind of guest. slow: its programs take about so many times as long as on a host, at the
    most; deadlines grow with it."""

    machine: Machine
    pace: Pace
    program_deadline_ms: int
    programs_per_s: float


# Boots took 0.3 s (uml), 0.9 s (lean) and 8 s (debug) on an idle machine; a loaded one is given
# twenty times that. A typical program takes 1 ms, 0.7 ms and 10 ms.
UML: Final = Kind(uml, Pace(boot=20.0, start=20.0, facts=60.0), 10_000, 50.0)
QEMU: Final = Kind(qemu, Pace(boot=40.0, start=20.0, facts=60.0), 10_000, 50.0)
QEMU_DEBUG: Final = Kind(qemu, Pace(boot=160.0, start=60.0, facts=240.0), 30_000, 5.0)
KINDS: Final[dict[str, tuple[str, Kind]]] = {
    "uml": ("uml", UML),
    "qemu": ("lean", QEMU),
    "qemu-debug": ("debug", QEMU_DEBUG),
}
HANGS_ALLOWED: Final = 2  # programs of one batch that run into their own deadline


class GuestTarget(ExecutorTarget):
    """A Target over a guest. Raises TargetError when it does not come up."""

    def __init__(self, name: str, kernel: Path, kind: Kind, options: Options = USUAL) -> None:
        self._kernel = kernel
        self._kind = kind
        root = options.tmp_root
        if root is None and os.access(SHARED_MEMORY, os.W_OK | os.X_OK):
            root = SHARED_MEMORY  # the ring must be memory, not a file that is written to a disk
        deadline_ms = kind.program_deadline_ms
        super().__init__(name, [], options._replace(tmp_root=root, program_deadline_ms=deadline_ms))

    def _link(self, command: Sequence[str], options: Options) -> tuple[ExecutorLink, Ring, Probed]:
        try:
            files = {
                "init": build_guest_init().read_bytes(),
                "executor": build_executor().read_bytes(),
                "disk.blocks": make_disk_blocks(),
            }
        except ExecutorUnavailable as error:
            raise TargetError(str(error)) from error
        initrd = self.folder / "initrd.gz"
        initrd.write_bytes(make_initramfs(files))
        ring_path = self.folder / "ring"
        ring = Ring(options.part_bytes, ring_path)
        arguments = [
            "executor", "--tmp", TMP, "--ring", "@ring", "--ring-bytes", str(ring.bytes),
            "--deadline-ms", str(self._deadline_ms), "--leak-check", SLABS,
        ]  # fmt: skip
        boot = Boot(self._kernel, initrd, -1, ring_path, ring.bytes, self.folder, options.append)
        link = GuestLink(self._kind.machine, boot, ring, arguments, self._kind.pace, options.cpu)
        try:
            link.boot()
            facts = link.facts(["executor", "--facts", "--tmp", TMP])
            return link, ring, parse_facts(facts)
        except TargetError:
            link.kill()
            ring.close()
            raise

    def _batch_deadline_s(self, programs: int) -> float:
        """Enough for all of them, and for some that hang. A kernel that stands still is found
        out sooner than if every program could have its own deadline."""
        hangs = min(programs, HANGS_ALLOWED) * self._deadline_ms / 1000
        return limits.ANSWER_SLACK_S + hangs + programs / self._kind.programs_per_s

    def _recover(self, lost: ExecutorLost) -> None:
        if not isinstance(lost, GuestLost):
            super()._recover(lost)
            return
        running = [batch for _, batch in self._running]
        guilty = running[0]
        self.process.kill()
        self._start()
        rest = self._examine(guilty, lost.report)
        self._waiting.extendleft(reversed([*rest, *running[1:]]))
        self._feed()

    def _examine(self, batch: Batch, report: Report) -> list[Batch]:
        """Find the program of a batch that costs the guest; what is still to be run of it."""
        if len(batch.encoded) == 1:
            batch.submission.fill(batch.first, _crashed(report))
            return []
        seen: list[Outcome] = []
        count = len(batch.encoded)
        again = count  # programs from here on go the usual way
        while len(seen) < count and again == count:
            at = len(seen)
            try:
                seen += self._run_one(batch.part(at, at + 1))
            except GuestLost as lost:
                seen.append(_crashed(lost.report))
                self.process.kill()
                again = at + 1
                self._start()
            except ExecutorLost:
                again = at  # the guest lives: a matter for the usual recovery
                self._start()
        if again == count and seen[-1].status is not Status.CRASHED:
            log = f"{report.title}\n{NOT_ALONE.format(count=count)}\n{report.excerpt}"
            seen[0] = msgspec.structs.replace(seen[0], log=log)
        for index, outcome in enumerate(seen, batch.first):
            batch.submission.fill(index, outcome)
        return [batch.part(again, count)] if again < count else []

    def _run_one(self, batch: Batch) -> list[Outcome]:
        size = self._ring.put(0, batch.encoded)
        self.process.ring_bell(0, size, len(batch.encoded))
        answer = self.process.answer(self._batch_deadline_s(len(batch.encoded)))
        return self._read(answer, 0, batch)


def _crashed(report: Report) -> Outcome:
    return Outcome(status=Status.CRASHED, results=(), reason=report.title, log=report.log)


def open_guest(name: str, options: Options = USUAL, mutant: int | None = None) -> GuestTarget:
    """The guest target of a name in KINDS; mutant: a kernel that has the planted faults, with one
    of them, 0 for none. TargetError."""
    flavour, kind = KINDS[name]
    if mutant is not None:
        flavour = {"uml": "uml-mutants", "qemu-debug": "debug-mutants"}[name]
        append = f"madvise_ranges.mutant={mutant} {options.append}".strip()
        options = options._replace(append=append)
        name = f"{name}:mutant={mutant}"
    return GuestTarget(name, find_image(flavour).kernel, kind, options)


def open_kernel(path: Path, options: Options = USUAL) -> GuestTarget:
    """A kernel of the user's own, by what kind of file it is. TargetError."""
    machine = machine_of(path)
    kind = UML if machine is uml else QEMU_DEBUG  # what it was built with is not known
    return GuestTarget(f"kernel:{path}", path, kind, options)
