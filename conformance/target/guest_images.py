"""Where the kernels of guests lie, what each was built from, and whether it is this checkout's.

`madvet kernels build` (ci/kernels) puts them there: one folder for each build, and a file
`current-<flavour>` that names the newest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from conformance.target.target import TargetError

CHECKOUT: Final = Path(__file__).resolve().parents[2]
FLAVOURS: Final = ("uml", "lean", "debug", "uml-mutants", "debug-mutants")
STOCK: Final = "debian-"  # and the release: a flavour that is fetched, not built
FOLDER_VARIABLE: Final = "MADVET_KERNELS"
MANIFEST_FORMAT: Final = 1
DIGEST_LENGTH: Final = 12  # of what went into a build, in its folder's name

IMAGE_FILE: Final = "image"  # an ELF executable (um) or a bzImage (x86_64)
CONFIG_FILE: Final = "config"  # the whole .config
MANIFEST_FILE: Final = "manifest.json"

# What decides how the system call in an image behaves.
KERNEL_SOURCES: Final = ("*.c", "*.h", "*.py", "*.toml", "*.in")
ABI_HEADER: Final = Path("conformance/abi/generated/madvise_abi.h")


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an image is. arch: um or x86_64. release: as uname says it. source: package and
    version. kernel_digest: of the kernel/ sources in it. config_missing: symbols that were
    wanted and that this kernel does not have. seconds: what the build took."""

    format: int
    flavour: str
    arch: str
    release: str
    source: str
    kernel_digest: str
    config_missing: tuple[str, ...]
    seconds: float


class Image(NamedTuple):
    """One kernel that was built."""

    folder: Path
    manifest: Manifest

    @property
    def kernel(self) -> Path:
        """The file to boot."""
        return self.folder / IMAGE_FILE

    @property
    def config(self) -> Path:
        """The whole .config that it was built with."""
        return self.folder / CONFIG_FILE


def kernels_folder() -> Path:
    """$MADVET_KERNELS, or kernels/ in the user's cache of madvet. It need not exist.

    Raises TargetError for a user who has neither a home nor one of the variables.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or ""
    if Path(base).is_absolute():
        return Path(base) / "madvet" / "kernels"
    try:
        return Path.home() / ".cache" / "madvet" / "kernels"
    except RuntimeError as error:
        raise TargetError(
            f"no folder for kernels: this user has no home; set {FOLDER_VARIABLE} to a folder"
        ) from error


def kernel_digest(root: Path = CHECKOUT) -> str:
    """sha256 of names and bytes of what goes into a kernel tree and of what puts it there."""
    paths = [path for pattern in KERNEL_SOURCES for path in (root / "kernel").glob(pattern)]
    digest = hashlib.sha256()
    for path in sorted([*paths, root / ABI_HEADER]):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(root)} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def current_image(flavour: str) -> Image | None:
    """The newest image of a flavour, fresh or not; None if none was built.

    Raises TargetError when what lies there is damaged, or could have been put there by
    somebody else: an image is executed.
    """
    folder = kernels_folder()
    pointer = folder / f"current-{flavour}"
    try:
        name = pointer.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(f"cannot read {pointer}: {error}; {_build(flavour)} anew") from error
    if not name or Path(name).name != name or not name.startswith(f"{flavour}-"):
        raise TargetError(
            f"{pointer} names no build of {flavour}: {name!r}; {_build(flavour)} anew"
        )
    _check_owner(folder)
    return read_image(folder / name)


def read_image(folder: Path) -> Image:
    """The image in a folder of its own. Raises TargetError if it is not whole."""
    flavour = folder.name.rpartition("-")[0]
    try:
        data = (folder / MANIFEST_FILE).read_bytes()
        manifest = msgspec.json.decode(data, type=Manifest)
        if not (folder / IMAGE_FILE).stat().st_size:
            raise ValueError(f"{IMAGE_FILE} is empty")
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise TargetError(
            f"the kernel in {folder} is damaged ({error}); remove that folder and {_build(flavour)}"
        ) from error
    if manifest.format != MANIFEST_FORMAT or manifest.flavour != flavour:
        raise TargetError(
            f"{folder / MANIFEST_FILE} is of format {manifest.format} and flavour "
            f"{manifest.flavour}, not {MANIFEST_FORMAT} and {flavour}; {_build(flavour)} anew"
        )
    return Image(folder, manifest)


def find_image(flavour: str, root: Path = CHECKOUT) -> Image:
    """The image of a flavour with the system call of this checkout in it: the current one, or
    the newest that was kept when another checkout built its own.

    Raises TargetError, with the command that builds it, when there is none, or only ones from
    other sources: a stale kernel would be judged by rules that it never knew.
    """
    image = current_image(flavour)
    if image is None:
        raise TargetError(f"no kernel {flavour} in {kernels_folder()}: {_build(flavour)}")
    digest = kernel_digest(root)
    if image.manifest.kernel_digest == digest:
        return image
    builds = image.folder.parent.glob(f"{flavour}-{'[0-9a-f]' * DIGEST_LENGTH}")
    for folder in sorted(builds, key=lambda path: path.stat().st_mtime, reverse=True):
        with contextlib.suppress(TargetError):  # a damaged one is none
            kept = read_image(folder)
            if kept.manifest.kernel_digest == digest:
                return kept
    raise TargetError(
        f"the kernel {flavour} in {image.folder} was built from other sources than "
        f"{root / 'kernel'} has now: {_build(flavour)}"
    )


def stock_flavour(release: str) -> str:
    """What the cache calls Debian's kernel of a release, such as 6.12."""
    return f"{STOCK}{release}"


def stock_releases() -> list[str]:
    """The releases of which a kernel of Debian's was fetched, oldest first."""
    found = kernels_folder().glob(f"current-{STOCK}*")
    releases = [path.name.removeprefix(f"current-{STOCK}") for path in found]
    return sorted(releases, key=lambda release: [int(part) for part in release.split(".")])


def find_stock(release: str) -> Image:
    """Debian's kernel of a release, byte for byte as it was fetched.

    Raises TargetError, with the command that fetches it, when there is none or it is damaged.
    """
    flavour = stock_flavour(release)
    image = current_image(flavour)
    if image is None:
        raise TargetError(f"no kernel of Debian's {release}: {_build(flavour)}")
    digest = hashlib.sha256(image.kernel.read_bytes()).hexdigest()[:DIGEST_LENGTH]
    if image.folder.name != f"{flavour}-{digest}":
        raise TargetError(
            f"the kernel in {image.folder} is damaged (its bytes are not those that were "
            f"fetched); remove that folder and {_build(flavour)}"
        )
    return image


def _check_owner(folder: Path) -> None:
    """Raises TargetError when another user could have written there."""
    status = folder.stat()
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise TargetError(
            f"{folder} can be written by others, and what lies there is executed: "
            f"chmod go-w it, or set {FOLDER_VARIABLE} to a folder of your own"
        )


def _build(flavour: str) -> str:
    if flavour.startswith(STOCK):
        return f"run `madvet kernels fetch debian:{flavour.removeprefix(STOCK)}`"
    return f"run `madvet kernels build {flavour}`"
