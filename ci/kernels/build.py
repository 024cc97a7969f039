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
    make_current,
    publish,
    remove_leftovers,
)
from ci.kernels.catalogue import Flavour
from ci.kernels.commands import KernelError
from ci.kernels.configuration import FragmentError, read_fragments
from ci.kernels.debian import package_name
from ci.kernels.locks import Lock, told
from ci.kernels.make import (
    Workshop,
    compile_kernel,
    compiler_version,
    configure,
    kernel_release,
)
from ci.kernels.own_tree import copied_tree, copy_name
from ci.kernels.provision import TO_BUILD, TO_FETCH, missing, provide
from ci.kernels.trees import (
    Tree,
    fetch_tree,
    insert_call,
    inserted,
    unpacked_tree,
)
from conformance.target.guest_images import (
    CHECKOUT,
    MANIFEST_FORMAT,
    Image,
    Manifest,
    kernel_digest,
    kernels_folder,
)

DEFAULT_RELEASE: Final = "7.3"
INSERTIONS_MAX: Final = 10  # into the same sources, until nobody else put another call in meanwhile
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

    Who takes it from the cache waits for nobody; flavours are built side by side. Raises
    KernelError, and NotASourceTree for wanted.tree; then whatever was in the cache is as it was.
    """
    kernels = kernels_folder()
    with told(kernels):
        if wanted.tree is None and not missing(TO_BUILD):
            tree = unpacked_tree(kernels, wanted.release)
            there = None if tree is None else _kept(flavour, wanted, tree, root)
            if there is not None:
                return Built(there, fresh=False)
        with (
            Lock(kernels, flavour.name, say) as one_builder,
            Lock(kernels, _tree_name(wanted), say) as sources,
        ):
            one_builder.alone()
            remove_leftovers(kernels)
            provide(TO_BUILD, wanted.install, say)
            tree = _tree(kernels, wanted, sources, say)
            there = _kept(flavour, wanted, tree, root)
            if there is not None:
                return Built(there, fresh=False)
            call = _with_call(tree, sources, say, root)
            return Built(_make(flavour, wanted, tree, call, say), fresh=True)


def fetch(wanted: Wanted, say: Say) -> Tree:
    """The newest sources of a release, without building anything. Raises KernelError."""
    kernels = kernels_folder()
    with told(kernels), Lock(kernels, _tree_name(wanted), say) as sources:
        sources.alone()
        remove_leftovers(kernels)
        provide(TO_FETCH, wanted.install, say)
        return fetch_tree(kernels, wanted.release, say)


def _tree_name(wanted: Wanted) -> str:
    return package_name(wanted.release) if wanted.tree is None else copy_name(wanted.tree)


def _tree(kernels: Path, wanted: Wanted, sources: Lock, say: Say) -> Tree:
    """The sources to build from; Debian's are fetched only if none are at hand."""
    if wanted.tree is not None:
        sources.alone()
        return copied_tree(kernels, wanted.tree, say)
    sources.together()
    tree = unpacked_tree(kernels, wanted.release)
    if tree is None:
        provide(TO_FETCH, wanted.install, say)
        sources.alone()  # somebody may have fetched them while this waited
        tree = unpacked_tree(kernels, wanted.release) or fetch_tree(kernels, wanted.release, say)
    return tree


def _kept(flavour: Flavour, wanted: Wanted, tree: Tree, root: Path) -> Image | None:
    """The build of exactly this from the cache, made the current one; None if there is none."""
    digest = build_digest(flavour, tree.source, kernel_digest(root), compiler_version())
    folder = build_folder(kernels_folder(), flavour, digest)
    there = None if wanted.again else cached(folder)
    if there is not None:
        make_current(folder)
    return there


def _with_call(tree: Tree, sources: Lock, say: Say, root: Path) -> str:
    """Put the call in, and keep others from changing the sources; the kernel_digest of it."""
    for _ in range(INSERTIONS_MAX):
        sources.together()
        call = kernel_digest(root)
        if inserted(tree.folder) == call:
            return call
        sources.alone()
        say(insert_call(tree.folder, root))
    raise KernelError(
        f"other checkouts put their own call into {tree.folder}, {INSERTIONS_MAX} times: wait for "
        "them, or set MADVET_KERNELS to a folder of this checkout's"
    )


def _make(flavour: Flavour, wanted: Wanted, tree: Tree, call: str, say: Say) -> Image:
    """Configure, compile, publish."""
    kernels = kernels_folder()
    began = time.monotonic()
    digest = build_digest(flavour, tree.source, call, compiler_version())
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
    folder = build_folder(kernels, flavour, digest)
    return publish(folder, image, shop.objects / ".config", manifest)
