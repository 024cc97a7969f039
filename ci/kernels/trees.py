"""Unpacked kernel sources at a constant path, and the system call put into them.

The path is constant because ccache takes it for part of what is compiled.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from ci.kernels.commands import KernelError, run
from ci.kernels.debian import SUITES, AptRoom, Package, machine_archives, package_name
from conformance.target.guest_images import CHECKOUT, kernel_digest

STAMP: Final = ".madvet-source.json"  # in the tree: what it is
INSERTED: Final = ".madvet-inserted"  # in the tree: what put the present edits there
INSERTER: Final = ("insert.py", "anchors.toml")
DIGEST: Final = "kernel_digest"  # beside them, once the call is in
TREE_BYTES: Final = 3 << 30  # package 0.2 GB, the archive in it 0.2 GB, unpacked 1.8 GB; and builds
UNPACK_SECONDS_MAX: Final = 900  # takes 20 s on a fast disk
INSERT_SECONDS_MAX: Final = 60
IN_PLACE: Final = "madvise_ranges() is in the sources"


class Tree(msgspec.Struct, frozen=True):
    """Kernel sources. source: the package and its version, as manifests call it."""

    folder: Path
    source: str


class Stamp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a tree was unpacked from."""

    package: str
    version: str


def unpacked_tree(kernels: Path, release: str) -> Tree | None:
    """The tree of this release that was unpacked before, if there is one."""
    name = package_name(release)
    folder = kernels / "trees" / name
    try:
        stamp = msgspec.json.decode((folder / STAMP).read_bytes(), type=Stamp)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise KernelError(f"the sources in {folder} are damaged ({error}): remove it") from error
    return Tree(folder, f"{stamp.package} {stamp.version}")


def fetch_tree(
    kernels: Path,
    release: str,
    say: Callable[[str], None],
    suites: tuple[str, ...] = SUITES,
) -> Tree:
    """The newest sources of a release, fetched and unpacked unless they are the ones at hand.

    A tree is put in its place when it is whole, never before. Raises KernelError.
    """
    name = package_name(release)
    apt = AptRoom(kernels / "apt" / name, machine_archives())
    package = apt.find(name, suites, say)
    there = unpacked_tree(kernels, release)
    if there is not None and there.source == package.words:
        say(f"{package.words} is the newest in {package.suite}")
        return there
    _check_space(kernels, TREE_BYTES)
    place = kernels / "trees" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=kernels) as work:
        began = time.monotonic()
        deb = apt.download(package, Path(work))
        fetched = time.monotonic()
        tree = _unpack(deb, Path(work), package)
        say(
            f"{package.words} from {package.suite} ({package.bytes / 1e6:.0f} MB): fetched in "
            f"{fetched - began:.0f} s, unpacked in {time.monotonic() - fetched:.0f} s"
        )
        _put(tree, place, Path(work))
    return Tree(place, package.words)


def inserted(tree: Path) -> str:
    """The kernel_digest of the call that is in a tree; "" for none."""
    try:
        return (tree / INSERTED / DIGEST).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def forget_inserted(tree: Path) -> None:
    """Files of the tree were replaced: who builds from it must put the call in again."""
    (tree / INSERTED / DIGEST).unlink(missing_ok=True)


def insert_call(tree: Path, root: Path = CHECKOUT) -> str:
    """Put the system call of this checkout into a tree; what was changed, in words.

    Edits that an older checkout made there are taken out first, by the script that made them.
    Raises KernelError, with the anchor that was not found.
    """
    digest = kernel_digest(root)
    script = root / "kernel" / INSERTER[0]
    saved = tree / INSERTED
    forget_inserted(tree)
    if saved.is_dir() and any(_differs(saved / name, root / "kernel" / name) for name in INSERTER):
        what = f"take out of {tree} what an older checkout put there"
        run([sys.executable, saved / INSERTER[0], tree, "--remove"], what, INSERT_SECONDS_MAX)
    try:
        saved.mkdir(exist_ok=True)
        for name in INSERTER:
            shutil.copyfile(root / "kernel" / name, saved / name)
    except OSError as error:
        raise KernelError(f"cannot write to {saved}: {error.strerror}") from error
    said = run(
        [sys.executable, script, tree, "--guest"],
        "put madvise_ranges() into the sources",
        INSERT_SECONDS_MAX,
    )
    if kernel_digest(root) != digest:
        raise KernelError(f"{root / 'kernel'} changed while it was put in: run it again")
    (saved / DIGEST).write_text(digest, encoding="utf-8")
    changed = sum(line.startswith("changed ") for line in said.splitlines())
    return f"madvise_ranges() put in, {changed} files changed" if changed else IN_PLACE


def _unpack(deb: Path, work: Path, package: Package) -> Path:
    """The tree out of a package, with its stamp. The package and what was in it are removed as
    soon as they are used up."""
    run(["dpkg-deb", "-x", deb, work / "package"], f"unpack {deb.name}", UNPACK_SECONDS_MAX)
    deb.unlink()
    archives = list((work / "package" / "usr" / "src").glob("linux-source-*.tar.*"))
    if len(archives) != 1:
        raise KernelError(f"{package.words} holds {len(archives)} archives of sources, not one")
    unpacked = work / "unpacked"
    unpacked.mkdir()
    what = f"unpack {archives[0].name}"
    run(["tar", "-x", "-f", archives[0], "-C", unpacked], what, UNPACK_SECONDS_MAX)
    shutil.rmtree(work / "package")
    trees = list(unpacked.iterdir())
    if len(trees) != 1 or not (trees[0] / "Kconfig").is_file():
        raise KernelError(f"{package.words} holds no tree of kernel sources")
    stamp = Stamp(package.name, package.version)
    (trees[0] / STAMP).write_bytes(msgspec.json.encode(stamp))
    return trees[0]


def _put(tree: Path, place: Path, work: Path) -> None:
    """Into its place, by renaming; an older tree there goes away with `work`."""
    try:
        if place.exists():
            place.rename(work / "older")
        tree.rename(place)
    except OSError as error:
        raise KernelError(f"cannot put the sources into {place}: {error.strerror}") from error


def _check_space(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise KernelError(
            f"{folder} has {free / 1e9:.1f} GB free, and sources with builds take "
            f"{wanted / 1e9:.1f} GB: free some, or set MADVET_KERNELS to a folder on another disk"
        )


def _differs(one: Path, other: Path) -> bool:
    try:
        return one.read_bytes() != other.read_bytes()
    except OSError as error:
        raise KernelError(f"cannot read {error.filename}: {error.strerror}") from error
