"""From a flavour's name to an image in the cache: sources, the call, configuration, make."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from ci.kernels.cache import (
    build_digest,
    build_folder,
    cached,
    locked,
    make_current,
    publish,
    remove_leftovers,
)
from ci.kernels.catalogue import Flavour
from ci.kernels.commands import KernelError
from ci.kernels.configuration import FragmentError, read_fragments
from ci.kernels.make import (
    Workshop,
    compile_kernel,
    compiler_version,
    configure,
    kernel_release,
)
from ci.kernels.own_tree import copied_tree
from ci.kernels.provision import TO_BUILD, TO_FETCH, provide
from ci.kernels.trees import Tree, fetch_tree, insert_call, unpacked_tree
from conformance.target.guest_images import (
    CHECKOUT,
    MANIFEST_FORMAT,
    Image,
    Manifest,
    kernel_digest,
    kernels_folder,
)

DEFAULT_RELEASE: Final = "7.3"
Say = Callable[[str], None]


class Wanted(NamedTuple):
    """What to build from, and with how much of the machine."""

    release: str = DEFAULT_RELEASE
    tree: Path | None = None  # sources of the user's own, instead of a release of Debian's
    install: bool = False  # what is missing on the machine, with apt-get
    again: bool = False  # though it is in the cache
    jobs: int = os.cpu_count() or 1


class Built(NamedTuple):
    """What came of it. fresh: built just now, not taken from the cache."""

    image: Image
    fresh: bool


def build(flavour: Flavour, wanted: Wanted, say: Say, root: Path = CHECKOUT) -> Built:
    """A kernel with the system call of this checkout, from the cache or built now.

    Raises KernelError, and NotASourceTree for wanted.tree; then whatever was in the cache is as
    it was.
    """
    kernels = kernels_folder()
    with locked(kernels, say):
        remove_leftovers(kernels)
        provide(TO_BUILD, wanted.install, say)
        tree = _tree(kernels, wanted, say)
        call = kernel_digest(root)
        digest = build_digest(flavour, tree.source, call, compiler_version())
        folder = build_folder(kernels, flavour, digest)
        there = None if wanted.again else cached(folder)
        if there is not None:
            make_current(folder)
            return Built(there, fresh=False)
        return Built(_make(flavour, wanted, tree, folder, say, root), fresh=True)


def fetch(wanted: Wanted, say: Say) -> Tree:
    """The newest sources of a release, without building anything. Raises KernelError."""
    kernels = kernels_folder()
    with locked(kernels, say):
        remove_leftovers(kernels)
        provide(TO_FETCH, wanted.install, say)
        return fetch_tree(kernels, wanted.release, say)


def _tree(kernels: Path, wanted: Wanted, say: Say) -> Tree:
    """The sources to build from; Debian's are fetched only if none are at hand."""
    if wanted.tree is not None:
        return copied_tree(kernels, wanted.tree, say)
    tree = unpacked_tree(kernels, wanted.release)
    if tree is None:
        provide(TO_FETCH, wanted.install, say)
        tree = fetch_tree(kernels, wanted.release, say)
    return tree


def _make(
    flavour: Flavour, wanted: Wanted, tree: Tree, folder: Path, say: Say, root: Path
) -> Image:
    """Configure, compile, publish."""
    kernels = folder.parent
    began = time.monotonic()
    call = kernel_digest(root)
    say(insert_call(tree.folder, root))
    if kernel_digest(root) != call:
        raise KernelError(f"{root / 'kernel'} changed while it was put in: run it again")
    shop = Workshop(
        tree=tree.folder,
        objects=kernels / "objects" / f"{flavour.name}-{tree.folder.name}",
        ccache=kernels / "ccache",
        log=kernels / f"{flavour.name}.log",
        jobs=wanted.jobs,
    )
    try:
        unmet = configure(flavour, shop, read_fragments(flavour.fragment_paths))
    except FragmentError as error:
        raise KernelError(str(error)) from error
    say(f"configured after {time.monotonic() - began:.0f} s")
    image = compile_kernel(flavour, shop, say)
    manifest = Manifest(
        format=MANIFEST_FORMAT,
        flavour=flavour.name,
        arch=flavour.arch,
        release=kernel_release(shop),
        source=tree.source,
        kernel_digest=call,
        config_missing=tuple(one.symbol for one in unmet),
        seconds=round(time.monotonic() - began, 1),
    )
    return publish(folder, image, shop.objects / ".config", manifest)
