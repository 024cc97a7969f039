"""The page of what a campaign reached, written at its end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from ci.cli.output import OutputError
from ci.report.coverage_lines import by_line, read_reasons
from ci.report.coverage_page import Heading, coverage_page
from ci.report.coverage_sites import CoverageError, read_sites
from conformance.target.guest import KINDS
from conformance.target.guest_images import find_image
from conformance.target.target import TargetError
from fuzz.engine.budget import CampaignOptions
from fuzz.engine.loop import CampaignResult
from fuzz.findings.atomic_file import write_atomically

DEFAULT_PATH: Final = Path("madvet-coverage.html")
OWN: Final = "kernel:"  # and a file: a target


def prepare_coverage(path: Path | None) -> None:
    """Raises OutputError when a page could not be written there."""
    if path is None:
        return
    folder = path.absolute().parent
    if not folder.is_dir():
        raise OutputError(f"--coverage {path}: there is no folder {folder}; make it")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"--coverage {path}: no right to write to {folder}")


def write_coverage(path: Path | None, options: CampaignOptions, result: CampaignResult) -> None:
    """The page, for the first target whose kernel can tell; its path is printed. None: the usual
    place, of a campaign that did not ask for it. Raises OutputError if it did and there is none."""
    target = next((name for name, reached in result.reached.items() if reached.kcov), "")
    try:
        if not target:
            raise CoverageError(
                "no target has a kernel with KCOV: `madvet kernels build uml`, then --target uml"
            )
        page = _page(target, options, result)
        write_atomically(path or DEFAULT_PATH, page.encode())
    except (CoverageError, TargetError) as error:
        if path is not None:
            raise OutputError(f"--coverage {path}: {error}") from error
        if target:
            click.echo(f"  no page of coverage: {error}")
        return
    except OSError as error:
        where = path or DEFAULT_PATH
        raise OutputError(f"cannot write {where}: {error.strerror}; --coverage FILE") from error
    click.echo(f"  what was reached, line by line: {(path or DEFAULT_PATH).absolute()}")


def _page(target: str, options: CampaignOptions, result: CampaignResult) -> str:
    reached = result.reached[target]
    flavour, image, digest = image_of(target)
    files = by_line(read_sites(image), reached.places, read_reasons(flavour))
    heading = Heading(
        target,
        result.facts[target].release,
        options.engine,
        options.seed,
        result.tallies[target].programs,
        result.seconds,
        reached.seeds,
        len(reached.edges),
    )
    return coverage_page(heading, files, digest)


def image_of(target: str) -> tuple[str, Path, str]:
    """The flavour of a target's kernel, the file that was booted, and the digest of the call in it
    ("" if that is not known). Raises TargetError, CoverageError."""
    name, _, mutant = target.partition(":")
    if target.startswith(OWN):
        return name, Path(target.removeprefix(OWN)), ""
    if name not in KINDS:
        raise CoverageError(f"{target} is no guest: its lines are not known")
    flavour = KINDS[name][0] + ("-mutants" if mutant else "")
    image = find_image(flavour)
    return flavour, image.kernel, image.manifest.kernel_digest
