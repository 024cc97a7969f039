"""A source tree of the user's own: copied, so that it is never changed, and copied again only
where it changed, so that make builds little."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from ci.kernels.commands import KernelError, run
from ci.kernels.trees import Tree, forget_inserted

RECORD: Final = ".madvet-copied.json"  # in the copy: what each file was when it was copied
LIST_SECONDS_MAX: Final = 300
BUILT_IN: Final = (".config", "include/config", "vmlinux")  # marks of a build inside the sources
_VERSION: Final = re.compile(r"^VERSION = (\d+)\nPATCHLEVEL = (\d+)\n", re.MULTILINE)

# By name: size in bytes, time of change in ns, mode. What make goes by, too.
Record = dict[str, tuple[int, int, int]]


class NotASourceTree(Exception):
    """The folder that was named holds no kernel sources that can be copied: exit code 2."""


def copy_name(given: Path) -> str:
    """What the copy of a tree is called, among trees and locks."""
    return f"own-{hashlib.sha256(str(given.resolve()).encode()).hexdigest()[:12]}"


def forget_copy(kernels: Path, given: Path) -> None:
    """Remove the copy of a tree that will not be built again, if there is one."""
    shutil.rmtree(kernels / "trees" / copy_name(given), ignore_errors=True)


def copied_tree(kernels: Path, given: Path, say: Callable[[str], None]) -> Tree:
    """A copy of a tree, brought up to date. Of a git checkout, all that git does not ignore.

    Raises NotASourceTree, KernelError.
    """
    given = given.resolve()
    release = _release(given)
    copy = kernels / "trees" / copy_name(given)
    try:
        now = _record(given)
        before = _read_record(copy)
        if before is None:
            shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir(parents=True, exist_ok=True)
        changed = _update(given, copy, before or {}, now)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise KernelError(f"cannot copy {given} to {copy}: {error.strerror}{where}") from error
    if changed:
        forget_inserted(copy)
    say(f"copied {changed} files of {len(now)} that changed in {given}")
    digest = hashlib.sha256(repr(sorted(now.items())).encode()).hexdigest()[:12]
    return Tree(copy, f"{given} {release} {digest}")


def _release(given: Path) -> str:
    try:
        found = _VERSION.search((given / "Makefile").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise NotASourceTree(f"{given} holds no kernel sources: its Makefile: {error}") from error
    if found is None or not (given / "Kconfig").is_file():
        raise NotASourceTree(f"{given} holds no kernel sources")
    return f"{found[1]}.{found[2]}"


def _record(given: Path) -> Record:
    """What is there now: of a git checkout what git does not ignore, else everything."""
    if (given / ".git").exists():
        command = ["git", "-c", "safe.directory=*", "-C", str(given), "ls-files", "-z"]
        said = run(
            [*command, "--cached", "--others", "--exclude-standard"],
            f"list the files of {given}",
            LIST_SECONDS_MAX,
        )
        names = {name for name in said.split("\0") if name}
    else:
        built = [mark for mark in BUILT_IN if (given / mark).exists()]
        if built:
            raise NotASourceTree(
                f"{given} was built in ({built[0]} is there) and is no git checkout, so what is "
                "source cannot be told: make mrproper there, or name an unpacked tree"
            )
        names = set(_walk(given))
    record: Record = {}
    for name in names:
        path = given / name
        if path.is_symlink() or path.is_file():  # not one that was deleted, nor a submodule
            status = path.lstat()
            record[name] = (status.st_size, status.st_mtime_ns, status.st_mode)
    return record


def _walk(given: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(given):
        for name in [*names, *(f for f in folders if os.path.islink(os.path.join(folder, f)))]:
            yield os.path.relpath(os.path.join(folder, name), given)


def _read_record(copy: Path) -> Record | None:
    """None: there is no copy, or one that was not finished."""
    try:
        return msgspec.json.decode((copy / RECORD).read_bytes(), type=Record)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _update(given: Path, copy: Path, before: Record, now: Record) -> int:
    """Make the copy what the tree is; how many files that took. Without a record meanwhile, so
    that a copy which is not finished is made anew."""
    (copy / RECORD).unlink(missing_ok=True)
    for name in before.keys() - now.keys():
        (copy / name).unlink(missing_ok=True)
    changed = [name for name, state in now.items() if before.get(name) != state]
    for name in changed:
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copy2(given / name, target, follow_symlinks=False)
    (copy / RECORD).write_bytes(msgspec.json.encode(now))
    return len(changed) + len(before.keys() - now.keys())
