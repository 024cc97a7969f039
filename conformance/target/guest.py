"""Targets that are guests: `uml`, `qemu`, `qemu-debug`, Debian's kernels (`debian:6.12`), and a
kernel of the user's own.

What a guest answered for a batch counts only if its kernel had nothing against itself. Otherwise
the guest is thrown away, and which program it was is found out in new ones (guest_suspects).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from conformance.program.outcome import Outcome
from conformance.target import limits
from conformance.target.batches import Batch
from conformance.target.executor_link import ExecutorLost
from conformance.target.executor_target import USUAL, ExecutorTarget, Options
from conformance.target.facts import Probed, parse_facts
from conformance.target.guest_images import find_image, find_stock
from conformance.target.guest_initramfs import guest_initramfs, make_initramfs
from conformance.target.guest_link import GuestLink, GuestLost
from conformance.target.guest_machine import (
    Boot,
    Machine,
    machine_of,
    qemu_checked,
    qemu_plain,
    qemu_plain_counted,
    qemu_plain_two,
    qemu_two,
    uml,
)
from conformance.target.guest_suspects import Trial, settle
from conformance.target.kernel_log import LOST, made_report
from conformance.target.limits import Pace
from conformance.target.ring import Ring
from conformance.target.target import TargetError

TMP: Final = "/var/tmp"  # in the guest: a disk where it has one
SLABS: Final = "/sys/kernel/slab"  # in the guest: where the kernel counts its objects
BINARY: Final = "binary"  # in the guest: what run_binary() runs
LEAK: Final = "leak"  # the row in kernel_log_formats of what the executor says
# Swap: MiB of compressed memory, four times what programs can map. VMAs: few enough for a program
# to reach the limit (16 mappings, cut into 65 each), many more than programs have by chance.
WORDS: Final = "madvet.swap=32 sysctl.vm.max_map_count=700"


class Kind(NamedTuple):
    """A kind of guest. words: of its command line. deadline_ms: of a program. pinned: to one CPU,
    whichever it is, even if nobody asks for it. spread: never to one, even if somebody asks."""

    machine: Machine
    pace: Pace
    deadline_ms: int
    words: str = ""
    pinned: bool = False
    spread: bool = False

    def cpu(self, wanted: int | None) -> int | None:
        """Which one to pin it to; None: none."""
        if self.spread:
            return None
        if wanted is not None or not self.pinned:
            return wanted
        cpus = sorted(os.sched_getaffinity(0))
        return cpus[os.getpid() % len(cpus)]


UML: Final = Kind(uml, limits.UML_PACE, limits.UML_DEADLINE_MS, WORDS, pinned=True)
QEMU: Final = Kind(qemu_plain, limits.LEAN_PACE, limits.LEAN_DEADLINE_MS, WORDS)
QEMU_STOCK: Final = Kind(qemu_plain, limits.STOCK_PACE, limits.LEAN_DEADLINE_MS, WORDS)
QEMU_DEBUG: Final = Kind(qemu_checked, limits.DEBUG_PACE, limits.DEBUG_DEADLINE_MS, WORDS)
# With two processors, which run at the same time where the host has as many.
QEMU_SMP: Final = QEMU._replace(machine=qemu_plain_two, spread=True)
QEMU_DEBUG_SMP: Final = QEMU_DEBUG._replace(machine=qemu_two, spread=True)
QEMU_ICOUNT: Final = QEMU._replace(machine=qemu_plain_counted)
KINDS: Final[dict[str, tuple[str, Kind]]] = {
    "uml": ("uml", UML),
    "qemu": ("lean", QEMU),
    "qemu-debug": ("debug", QEMU_DEBUG),
    "qemu-smp": ("lean", QEMU_SMP),
    "qemu-debug-smp": ("debug", QEMU_DEBUG_SMP),
    "qemu-icount": ("lean", QEMU_ICOUNT),
}
MUTANTS: Final = {
    "uml": "uml-mutants", "qemu-debug": "debug-mutants", "qemu-debug-smp": "debug-mutants",
}  # fmt: skip


class GuestTarget(ExecutorTarget):
    """A Target over a guest. Raises TargetError when it does not come up."""

    process: GuestLink
    pairs = 1  # one batch at a time: what the console says is then of the batch that is out

    def __init__(self, name: str, kernel: Path, kind: Kind, options: Options = USUAL) -> None:
        self._kernel = kernel
        self._kind = kind
        deadline_ms = options.program_deadline_ms or kind.deadline_ms
        super().__init__(name, [], options._replace(program_deadline_ms=deadline_ms))

    def _link(self, command: Sequence[str], options: Options) -> tuple[GuestLink, Ring, Probed]:
        initrd = guest_initramfs()
        ring = Ring(options.part_bytes)
        arguments = [
            "executor", "--guest", "--tmp", TMP, "--ring", "@ring",
            "--ring-bytes", str(ring.bytes), "--deadline-ms", str(self._deadline_ms),
            "--leak-check", SLABS, "--poison",
        ]  # fmt: skip
        boot = self._boot = Boot(
            self._kernel, initrd, -1, ring.fd, ring.bytes, self.folder,
            f"{self._kind.words} {options.append}",
        )  # fmt: skip
        cpu = self._kind.cpu(options.cpu)
        link = GuestLink(self._kind.machine, boot, arguments, self._kind.pace, cpu)
        try:
            if options.probed is not None:
                return link, ring, options.probed
            link.boot()
            return (
                link,
                ring,
                parse_facts(link.facts(["executor", "--facts", "--tmp", TMP, "--poison"])),
            )
        except TargetError:
            link.kill()
            ring.close()
            raise

    def run_binary(self, binary: Path) -> tuple[int, bytes]:
        """Run a program that needs no file of its own in a new guest: its wait status, and what
        it printed. The guest of the target itself is ended, and no batch may follow. Raises
        TargetError, and GuestLost when the kernel went down or said something against itself."""
        self.process.kill()
        initrd = self.folder / "initrd"
        # A kernel unpacks one archive after the other.
        added = make_initramfs({BINARY: binary.read_bytes()})
        initrd.write_bytes(self._boot.initrd.read_bytes() + added)
        boot = self._boot._replace(initrd=initrd)
        link = GuestLink(self._kind.machine, boot, [], self._kind.pace)
        try:
            link.boot()
            return link.output_of([f"/{BINARY}"], self._kind.pace.facts)
        finally:
            link.kill()

    def _batch_deadline_s(self, programs: int) -> float:
        """Every program may run into its own deadline, in a guest that is slow, as long as it
        gives signs of life: a kernel that stands still gives none."""
        return self._kind.pace.start + super()._batch_deadline_s(programs)

    def _recover(self, lost: ExecutorLost) -> None:
        if not isinstance(lost, GuestLost):
            super()._recover(lost)  # the executor's own death: its programs may have killed it
            return
        running = [batch for _, batch in self._running]
        self._running.clear()
        self.process.kill()
        quick = lost.report.format != LEAK
        settled = settle(running[0], lost.report, lambda batch: self._try(batch, quick))
        for index, outcome in enumerate(settled.outcomes, running[0].first):
            running[0].submission.fill(index, outcome)
        self._deaths_in_a_row = 0
        rest = [] if settled.rest is None else [settled.rest]
        self._waiting.extendleft(reversed([*rest, *running[1:]]))
        if not self.process.serving:
            self._start()
        self._free_pairs = [0]
        self._feed()

    def _try(self, batch: Batch, quick: bool) -> Trial:
        """Run a batch by itself, in a guest that nothing is held against; quick: whether it leaks
        is of no interest. Raises TargetError."""
        for _ in range(limits.DEATHS_ALONE_MAX):
            if not self.process.serving:
                self.process.start()
            size = self._ring.put(0, batch.encoded)
            self.process.ring_bell(0, size, len(batch.encoded), quick)
            try:
                answer = self.process.answer(self._batch_deadline_s(len(batch.encoded)))
                return Trial(self._read(answer, 0, batch), None)
            except GuestLost as lost:
                self.process.kill()
                return Trial(self._answered(lost, batch), lost.report)
            except ExecutorLost:
                continue  # only the executor ended: once more
        return Trial([], made_report(LOST, "the executor in the guest ended again and again"))

    def _answered(self, lost: GuestLost, batch: Batch) -> list[Outcome]:
        """The outcomes of a batch after which the guest was given up, if it gave any."""
        if lost.answer is None:
            return []
        try:
            return self._read(lost.answer, 0, batch)
        except ExecutorLost:
            return []


def open_guest(name: str, options: Options = USUAL, mutant: int | None = None) -> GuestTarget:
    """The guest target of a name in KINDS; mutant: of the kernel that has planted faults, with
    this one, 0 for none. TargetError."""
    flavour, kind = KINDS[name]
    if mutant is not None:
        flavour = MUTANTS[name]
        append = f"madvise_ranges.mutant={mutant} {options.append}".strip()
        options = options._replace(append=append)
        name = f"{name}:mutant={mutant}"
    return GuestTarget(name, find_image(flavour).kernel, kind, options)


def open_stock(release: str, options: Options = USUAL) -> GuestTarget:
    """Debian's kernel of a release, such as 6.12. TargetError."""
    return GuestTarget(f"debian:{release}", find_stock(release).kernel, QEMU_STOCK, options)


def open_kernel(path: Path, options: Options = USUAL) -> GuestTarget:
    """A kernel of the user's own, by what kind of file it is. TargetError."""
    machine = machine_of(path)
    kind = UML if machine is uml else QEMU_DEBUG  # what it was built with is not known
    return GuestTarget(f"kernel:{path}", path, kind, options)
