"""Debian's own kernels as targets: `debian:6.12` is the newest cloud kernel of that release,
fetched and verified by apt, unpacked, never installed."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ci.kernels.cache import cached, make_current, publish, remove_leftovers
from ci.kernels.commands import KernelError, run
from ci.kernels.debian import AptRoom, Archive, Package, machine_archives
from ci.kernels.locks import Lock, told
from ci.kernels.provision import TO_UNPACK, provide
from conformance.target.guest_images import (
    DIGEST_LENGTH,
    MANIFEST_FORMAT,
    Image,
    Manifest,
    current_image,
    kernels_folder,
    stock_flavour,
)
from conformance.target.guest_machine import is_bzimage
from conformance.target.target import TargetError

# The first suite that has a release is asked for it: back-ports keep many releases side by side,
# each stable suite has its own one, sid and experimental have what comes next.
SUITES: Final = (
    "trixie-backports", "trixie", "bookworm-backports", "bookworm", "sid", "experimental",
)  # fmt: skip
STOCK_BYTES: Final = 400 << 20  # package 50 MB, unpacked 150 MB with its modules; and some room
UNPACK_SECONDS_MAX: Final = 300  # takes 2 s
# What Debian has packed kernels into: one package with everything until 6.18, since then
# linux-binary with the kernel alone, beside a linux-image of the same version that is empty.
KERNEL_FILES: Final = ("usr/lib/modules/*/vmlinuz", "boot/vmlinuz-*")
CONFIG_FILES: Final = ("usr/lib/modules/*/config", "boot/config-*")
_PREFIX: Final = "linux-"
Say = Callable[[str], None]


def fetch_stock(releases: Sequence[str], install: bool, say: Say) -> list[Image]:
    """The newest cloud kernel of each release, in the cache and current from now on.

    Each is published when it is whole; what was there before stays if a later one fails. Raises
    KernelError: a release that no suite has, a download that is not what the signed lists say, a
    full disk.
    """
    kernels = kernels_folder()
    with told(kernels):
        kernels.mkdir(parents=True, exist_ok=True)
        remove_leftovers(kernels)
        provide(TO_UNPACK, install, say)
        rooms = _rooms(kernels)
        images = []
        for release in releases:
            with Lock(kernels, stock_flavour(release), say) as one_fetcher:
                one_fetcher.alone()
                images.append(_fetch(kernels, release, rooms, say))
        return images


def _rooms(kernels: Path) -> dict[str, list[AptRoom]]:
    """One for each suite and mirror, so that lists are read once and kept for the next time."""
    archives = machine_archives()

    def room(suite: str, archive: Archive) -> AptRoom:
        mirror = hashlib.sha256(archive.uri.encode()).hexdigest()[:DIGEST_LENGTH]
        return AptRoom(kernels / "apt" / f"{suite}-{mirror}", [archive])

    return {suite: [room(suite, archive) for archive in archives] for suite in SUITES}


def _fetch(kernels: Path, release: str, rooms: dict[str, list[AptRoom]], say: Say) -> Image:
    apt, package = _find(release, rooms)
    there = _at_hand(release, package)
    if there is not None:
        say(f"{package.words} is the newest in {package.suite}")
        return there
    free = shutil.disk_usage(kernels).free
    if free < STOCK_BYTES:
        raise KernelError(
            f"{kernels} has {free / 1e9:.1f} GB free, and fetching a kernel takes "
            f"{STOCK_BYTES / 1e9:.1f} GB: free some, or set MADVET_KERNELS to a folder on "
            "another disk"
        )
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=kernels) as work:
        deb = apt.download(package, Path(work))
        image = _unpack(deb, Path(work) / "package", release, package, began)
    say(
        f"{package.words} from {package.suite} ({package.bytes / 1e6:.0f} MB): fetched and "
        f"unpacked in {image.manifest.seconds:.0f} s"
    )
    return image


def _find(release: str, rooms: dict[str, list[AptRoom]]) -> tuple[AptRoom, Package]:
    """The newest package of a release in the first suite that has any."""
    name = re.compile(rf"linux-(binary|image)-{re.escape(release)}(?![0-9])\S*-cloud-amd64")
    reasons: dict[str, None] = {}
    for suite, mirrors in rooms.items():
        for apt in mirrors:
            try:
                found = apt.newest(suite, _PREFIX, name)
            except KernelError as error:
                reasons[f"{suite}: {error}"] = None
                continue
            if found is not None:
                return apt, found
            reasons[f"none in {suite}"] = None
    raise KernelError(f"no cloud kernel of Linux {release} to be had: {'; '.join(reasons)}")


def _at_hand(release: str, package: Package) -> Image | None:
    """The current kernel of a release if it came out of this very package and is whole."""
    try:
        there = current_image(stock_flavour(release))
    except TargetError:
        return None  # damaged: fetched again
    if there is None or there.manifest.source != package.words or cached(there.folder) is None:
        return None
    make_current(there.folder)
    return there


def _unpack(deb: Path, place: Path, release: str, package: Package, began: float) -> Image:
    """The kernel out of a package, published under a name made of its bytes."""
    run(["dpkg-deb", "-x", deb, place], f"unpack {deb.name}", UNPACK_SECONDS_MAX)
    kernels = [path for pattern in KERNEL_FILES for path in place.glob(pattern)]
    if len(kernels) != 1 or not is_bzimage(kernels[0]):
        raise KernelError(f"{package.words} holds {len(kernels)} kernels that can be booted, not 1")
    kernel = kernels[0]
    inside = kernel.parent.name  # modules/<release>/vmlinuz
    uname = inside if inside != "boot" else kernel.name.removeprefix("vmlinuz-")
    configs = [path for pattern in CONFIG_FILES for path in place.glob(pattern)]
    manifest = Manifest(
        format=MANIFEST_FORMAT,
        flavour=stock_flavour(release),
        arch="x86_64",
        release=uname,
        source=package.words,
        kernel_digest="",  # no call of ours in it
        config_missing=(),
        seconds=round(time.monotonic() - began, 1),
    )
    digest = hashlib.sha256(kernel.read_bytes()).hexdigest()[:DIGEST_LENGTH]
    folder = kernels_folder() / f"{manifest.flavour}-{digest}"
    return publish(folder, kernel, configs[0] if configs else None, manifest)
