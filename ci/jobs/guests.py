"""Guests for jobs: taken if they are built, built if that was asked for, else one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from ci.cli import exit_codes
from ci.jobs.step import MADVET, Done, left_out, run_logged, run_step
from ci.kernels.commands import KernelError
from ci.kernels.provision import Need, provide

BUILD, IF_BUILT, NONE = "build", "if-built", "none"
CHOICES: Final = (BUILD, IF_BUILT, NONE)
FLAVOURS: Final = {"uml": "uml", "qemu": "lean"}  # which kernel a target boots
QEMU: Final = Need("qemu-system-x86_64", "qemu-system-x86")
BUILD_SECONDS_MAX: Final = 5400
PROBE_SECONDS_MAX: Final = 120
PROBE_PROGRAM: Final = "corpus/seeds/all-usual.toml"


def ready(target: str, choice: str, out: Path) -> tuple[bool, list[Done]]:
    """Can this guest be booted? And the steps that it took, or the one that is left out."""
    name = f"guest {target}"
    if choice == NONE:
        return False, [left_out(name, "--guest none")]
    flavour = FLAVOURS[target]
    steps: list[Done] = []
    if choice == BUILD:
        try:
            provide((QEMU,) if target == "qemu" else (), install=True, say=click.echo)
        except KernelError as error:
            return False, [Done(name, exit_codes.HARNESS_FAILED, str(error))]
        command = [*MADVET, "kernels", "build", flavour, "--install"]
        steps.append(run_step(f"kernel {flavour}", command, out / f"build-{flavour}.log",
                              BUILD_SECONDS_MAX))  # fmt: skip
        if steps[-1].code != exit_codes.CONFORMANT:
            return False, steps
    log = out / f"probe-{target}.log"
    command = [*MADVET, "replay", "--target", target, PROBE_PROGRAM]
    if run_logged(command, log, PROBE_SECONDS_MAX) == exit_codes.HARNESS_FAILED:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        why = said[0] if said else "it does not boot"
        if choice == IF_BUILT and "kernels build" in why:
            return False, [*steps, left_out(name, f"not built: madvet kernels build {flavour}")]
        steps.append(Done(name, exit_codes.HARNESS_FAILED, why))
        return False, steps
    return True, steps
