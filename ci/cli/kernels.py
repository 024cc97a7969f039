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
from ci.kernels.stock import fetch_stock
from conformance.target.guest_images import (
    STOCK,
    Image,
    current_image,
    find_image,
    find_stock,
    kernels_folder,
    stock_releases,
)
from conformance.target.registry import stock_release
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
    """Build or fetch the kernels that guests boot.

    Built ones have madvise_ranges() in them; Debian's own are what people run.

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
    """Say what kernels there are: built, from which sources; and Debian's that were fetched."""
    for flavour in CATALOGUE.values():
        click.echo(f"{flavour.name:<14} {_state(flavour)}")
        click.echo(f"{'':<14} {flavour.what}")
    releases = stock_releases()
    for release in releases:
        click.echo(f"{f'debian:{release}':<14} {_stock_state(release)}")
    if not releases:
        click.echo(f"{'debian:REL':<14} not fetched: madvet kernels fetch debian:7.3")
    kernels = kernels_folder()
    parts = {name: size_bytes(kernels / name) for name in ("trees", "objects", "ccache")}
    taken = ", ".join(f"{name} {size / 1e9:.1f} GB" for name, size in parts.items() if size)
    click.echo(f"in {kernels}" + (f": {taken}" if taken else ""))
    return exit_codes.CONFORMANT


@command.command("fetch")
@click.argument("names", nargs=-1, metavar="[debian:REL]...")
@_release
@_install
def fetch_command(names: tuple[str, ...], release: str, install: bool) -> int:
    """Fetch Debian's own kernels, such as debian:6.12; without a name, sources for builds.

    A kernel is the newest cloud kernel of its release, verified by the archive's signatures, and
    becomes the target of that name. Sources are the newest of --release.
    """
    if names:
        releases = [_stock_release(name) for name in names]
        for image in fetch_stock(releases, install, _teller("kernels")):
            click.echo(f"{_target(image)}: Linux {image.manifest.release}: {image.kernel}")
        return exit_codes.CONFORMANT
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


def _stock_release(name: str) -> str:
    release = stock_release(name)
    if release is None:
        raise InputError(f"{name!r} is no kernel of Debian's: debian:6.12 is one")
    return release


def _target(image: Image) -> str:
    return f"debian:{image.manifest.flavour.removeprefix(STOCK)}"


def _stock_state(release: str) -> str:
    try:
        image = find_stock(release)
    except TargetError as error:
        return f"damaged: {error}"
    manifest = image.manifest
    size = f"{image.kernel.stat().st_size / 1e6:.1f} MB"
    return f"Linux {manifest.release}, {size}, {manifest.source}, {image.folder.name}"


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
