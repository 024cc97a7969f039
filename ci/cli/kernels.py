"""madvet kernels: the kernels that guests boot: built, listed, and their sources fetched."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from ci.cli import exit_codes
from ci.cli.arguments import Integer
from ci.cli.exit_codes import InputError
from ci.kernels.build import DEFAULT_RELEASE, Wanted, build, fetch
from ci.kernels.cache import size_bytes
from ci.kernels.catalogue import CATALOGUE, Flavour
from ci.kernels.own_tree import NotASourceTree
from conformance.target.guest_images import current_image, find_image, kernels_folder
from conformance.target.target import TargetError

JOBS_MAX: Final = 1024
MISSING_SHOWN: Final = 12

_release = click.option(
    "--release", default=DEFAULT_RELEASE, show_default=True, metavar="X.Y", help="Of Linux."
)
_install = click.option(
    "--install", is_flag=True, help="As root, install what is missing, with apt-get."
)


@click.group("kernels")
def command() -> None:
    """Build the kernels that guests boot, with madvise_ranges() in them.

    Sources are Debian's linux-source packages, fetched and verified by apt. Builds are kept in
    $MADVET_KERNELS, by default in the user's cache, and made again only when sources,
    configuration or compiler changed.
    """


@command.command("build")
@click.argument("names", nargs=-1, metavar="FLAVOUR...")
@_release
@_install
@click.option(
    "--tree",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Sources of your own, instead; they are copied, never changed.",
)
@click.option("--again", is_flag=True, help="Build even what is in the cache.")
@click.option(
    "--jobs", type=Integer(1, JOBS_MAX), help="Compilers at once.  [default: one per CPU]"
)
def build_command(
    names: tuple[str, ...],
    release: str,
    install: bool,
    tree: Path | None,
    again: bool,
    jobs: int | None,
) -> int:
    """Build kernels, or take them from the cache.

    FLAVOUR: uml, lean, debug, uml-mutants, debug-mutants; `madvet kernels list` says what each is.
    """
    flavours = [_flavour(name) for name in names]
    if not flavours:
        raise InputError(f"build which kernel? There are: {', '.join(CATALOGUE)}")
    wanted = Wanted(release=release, tree=tree, install=install, again=again)
    if jobs is not None:
        wanted = wanted._replace(jobs=jobs)
    for flavour in flavours:
        try:
            built = build(flavour, wanted, _teller(flavour.name))
        except NotASourceTree as error:
            raise InputError(f"--tree: {error}") from error
        manifest = built.image.manifest
        how = f"built in {manifest.seconds:.0f} s" if built.fresh else "taken from the cache"
        click.echo(f"{flavour.name}: Linux {manifest.release} {how}: {built.image.kernel}")
        if manifest.config_missing:
            click.echo(f"{flavour.name}: without {_shortened(manifest.config_missing)}")
    return exit_codes.CONFORMANT


@command.command("list")
def list_command() -> int:
    """Say what kernels there are, and which of them are built from this checkout's sources."""
    for flavour in CATALOGUE.values():
        click.echo(f"{flavour.name:<14} {_state(flavour)}")
        click.echo(f"{'':<14} {flavour.what}")
    kernels = kernels_folder()
    parts = {name: size_bytes(kernels / name) for name in ("trees", "objects", "ccache")}
    taken = ", ".join(f"{name} {size / 1e9:.1f} GB" for name, size in parts.items() if size)
    click.echo(f"in {kernels}" + (f": {taken}" if taken else ""))
    return exit_codes.CONFORMANT


@command.command("fetch")
@_release
@_install
def fetch_command(release: str, install: bool) -> int:
    """Fetch the newest sources of a release, for later builds."""
    tree = fetch(Wanted(release=release, install=install), _teller("sources"))
    click.echo(f"{tree.source}: {tree.folder}")
    return exit_codes.CONFORMANT


def _flavour(name: str) -> Flavour:
    try:
        return CATALOGUE[name]
    except KeyError:
        raise InputError(
            f"there is no kernel {name!r}; there are: {', '.join(CATALOGUE)}"
        ) from None


def _teller(name: str) -> Callable[[str], None]:
    """Prints lines of progress, each as it comes, even into a pipe."""

    def say(words: str) -> None:
        click.echo(f"{name}: {words}")

    return say


def _state(flavour: Flavour) -> str:
    build_it = f"madvet kernels build {flavour.name}"
    try:
        image, fresh = current_image(flavour.name), False
        if image is None:
            return f"not built: {build_it}"
        with contextlib.suppress(TargetError):  # says what to build, as we do
            image, fresh = find_image(flavour.name), True
    except TargetError as error:
        return f"damaged: {error}"
    manifest = image.manifest
    words = [
        "fresh" if fresh else f"stale, of other sources: {build_it}",
        f"Linux {manifest.release}",
        f"{image.kernel.stat().st_size / 1e6:.1f} MB",
        f"{manifest.source}",
        image.folder.name,
    ]
    if manifest.config_missing:
        words.append(f"without {_shortened(manifest.config_missing)}")
    return ", ".join(words)


def _shortened(symbols: tuple[str, ...]) -> str:
    more = len(symbols) - MISSING_SHOWN
    return ", ".join(symbols[:MISSING_SHOWN]) + (f" and {more} more" if more > 0 else "")
