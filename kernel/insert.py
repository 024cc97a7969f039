#!/usr/bin/env python3
"""Puts madvise_ranges() into an unpacked Linux source tree, or takes it out again.

    python kernel/insert.py TREE [--guest] [--check | --remove]

Files of this folder and the generated ABI header are copied into mm/, and one line is added to
each of the files that anchors.toml names. Running it again copies what has changed since and
touches nothing else, so that make builds little. It needs nothing but Python's own library.

Exit codes: 0 done; 2 bad usage, or TREE is no kernel source; 3 a place was not found, or a file
could not be read or written.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

HERE: Final = Path(__file__).resolve().parent
ABI_HEADER: Final = HERE.parent / "conformance/abi/generated/madvise_abi.h"
ANCHORS: Final = HERE / "anchors.toml"
_KCONFIG: Final = "mm/Kconfig.madvise_ranges"
_OURS: Final = ("mm/madvise_ranges*.[ch]", "mm/madvise_abi.h", _KCONFIG)  # what copies are called


class InsertError(Exception):
    """A place was not found or a file could not be read or written; str() says what to do."""


class NotATree(Exception):
    """The folder holds no Linux source tree; str() says what was missing."""


class Insertion(NamedTuple):
    """One line to add, as anchors.toml describes it; an empty pattern is one not given."""

    name: str
    file: str
    line: str
    after: str = ""
    before: str = ""
    last: bool = False
    at_end: bool = False
    needs: str = ""
    taken: str = ""
    guest: bool = False
    only: Sequence[str] = ()


class Anchors(NamedTuple):
    """anchors.toml as read. releases: "7.3" and the like, where this was built and run."""

    releases: tuple[str, ...]
    insertions: tuple[Insertion, ...]


def read_anchors(path: Path = ANCHORS, guest: bool = False) -> Anchors:
    """guest: those for guests alone, too. Raises InsertError when the file is missing or not of
    the form it describes."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        insertions = tuple(Insertion(**entry) for entry in table["insertion"])
        wanted = tuple(entry for entry in insertions if guest or not entry.guest)
        return Anchors(tuple(table["releases"]), wanted)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise InsertError(f"{path}: cannot be used: {error!r}") from error


def release(tree: Path) -> str:
    """VERSION.PATCHLEVEL of a source tree, from its Makefile. Raises NotATree."""
    try:
        text = (tree / "Makefile").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotATree(f"{tree}: no Linux source tree: its Makefile: {error}") from error
    found = re.match(r"(?:#.*\n)*VERSION = (\d+)\nPATCHLEVEL = (\d+)\n", text)
    if found is None:
        raise NotATree(f"{tree}: no Linux source tree: its Makefile does not begin with VERSION =")
    return f"{found[1]}.{found[2]}"


def insert(tree: Path, anchors: Anchors | None = None, dry: bool = False) -> tuple[str, ...]:
    """Put the call into the tree: the names of the files that changed, in order.

    Every place is looked for before the first file is written. dry: write nothing, tell what
    would change. Raises NotATree, InsertError.
    """
    texts = _edited(tree, _for_release(anchors or read_anchors(), release(tree)), _with_line)
    copies = _copies()
    changed = [name for name, data in copies.items() if _read(tree / name, "copy") != data]
    changed += [name for name in texts if texts[name] != _read(tree / name, "anchor")]
    stale = [name for name in _present(tree) if name not in copies]
    if not dry:
        for name in changed:
            _write(tree / name, copies.get(name) or texts[name])
        for name in stale:
            _unlink(tree / name)
    return tuple(sorted(changed + stale))


def remove(tree: Path, anchors: Anchors | None = None) -> tuple[str, ...]:
    """Take the call out again: the names of the files that changed. Raises as insert()."""
    release(tree)
    known = anchors or read_anchors(guest=True)
    there = (entry for entry in known.insertions if not entry.guest or (tree / entry.file).exists())
    texts = _edited(tree, known._replace(insertions=tuple(there)), _without_line)
    changed = [name for name, data in texts.items() if data != _read(tree / name, "anchor")]
    present = list(_present(tree))
    for name in changed:
        _write(tree / name, texts[name])
    for name in present:
        _unlink(tree / name)
    return tuple(sorted(changed + present))


def _for_release(anchors: Anchors, found: str) -> Anchors:
    wanted = (entry for entry in anchors.insertions if not entry.only or found in entry.only)
    return anchors._replace(insertions=tuple(wanted))


def _copies() -> Mapping[str, bytes]:
    """What goes into mm/: name in the tree and bytes."""
    sources = {f"mm/{path.name}": path for path in sorted(HERE.glob("*.[ch]"))}
    sources["mm/madvise_abi.h"] = ABI_HEADER
    sources[_KCONFIG] = HERE / "Kconfig.in"
    found = {name: _read(path, "source") for name, path in sources.items()}
    missing = [str(sources[name]) for name, data in found.items() if data is None]
    if missing:
        raise InsertError(f"{', '.join(missing)}: missing in this checkout: restore it with git")
    return {name: data for name, data in found.items() if data is not None}


def _present(tree: Path) -> Iterator[str]:
    """Copies that lie in the tree, those of an older checkout included."""
    for pattern in _OURS:
        for path in sorted(tree.glob(pattern)):
            yield str(path.relative_to(tree))


def _edited(
    tree: Path, anchors: Anchors, edit: Callable[[str, Insertion], str]
) -> dict[str, bytes]:
    texts: dict[str, bytes] = {}
    for entry in anchors.insertions:
        data = texts.get(entry.file) or _read(tree / entry.file, "anchor")
        if data is None:
            raise InsertError(_lost(entry, "there is no such file"))
        try:
            texts[entry.file] = edit(data.decode("utf-8"), entry).encode("utf-8")
        except UnicodeDecodeError as error:
            raise InsertError(_lost(entry, f"the file is not text: {error}")) from error
    return texts


def _with_line(text: str, entry: Insertion) -> str:
    lines = text.splitlines(keepends=True)
    if entry.needs and not _matches(lines, entry.needs):
        raise InsertError(_lost(entry, f"no line matches needs = '{entry.needs}'"))
    if f"{entry.line}\n" in lines:
        return text
    taken = _matches(lines, entry.taken) if entry.taken else []
    if taken:
        raise InsertError(_lost(entry, f"line {taken[0] + 1} is there: {lines[taken[0]].strip()}"))
    lines.insert(_place(lines, entry), f"{entry.line}\n")
    return "".join(lines)


def _without_line(text: str, entry: Insertion) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if line != f"{entry.line}\n")


def _place(lines: Sequence[str], entry: Insertion) -> int:
    """The index at which the new line is put in."""
    if entry.at_end:
        if lines and not lines[-1].endswith("\n"):
            raise InsertError(_lost(entry, "the last line of the file does not end"))
        return len(lines)
    pattern = entry.after or entry.before
    found = _matches(lines, pattern)
    if not found or (len(found) > 1 and not entry.last):
        how = "after" if entry.after else "before"
        raise InsertError(_lost(entry, f"{len(found)} lines match {how} = '{pattern}'"))
    return found[-1] + (1 if entry.after else 0)


def _matches(lines: Sequence[str], pattern: str) -> list[int]:
    return [number for number, line in enumerate(lines) if re.search(pattern, line)]


def _lost(entry: Insertion, why: str) -> str:
    return (
        f"{entry.file}: no place for '{entry.name}': {why}. "
        f"Look where this release has it, and change the entry in {ANCHORS.name}"
    )


def _read(path: Path, what: str) -> bytes | None:
    """The bytes of a file, or None if there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InsertError(f"{path}: cannot be read ({what}): {error.strerror}") from error


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: whoever is interrupted leaves the old file or the new one."""
    handle, name = -1, ""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        if path.exists():
            shutil.copymode(path, name)
        else:
            os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as error:
        if name:
            Path(name).unlink(missing_ok=True)
        raise InsertError(f"{path}: cannot be written: {error.strerror}") from error


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise InsertError(f"{path}: cannot be removed: {error.strerror}") from error


def _say(tree: Path, options: argparse.Namespace) -> None:
    if options.remove:
        done = remove(tree)
        print(*(f"restored {name}" for name in done), sep="\n", end="\n" if done else "")
        return
    anchors = read_anchors(guest=options.guest)
    done = insert(tree, anchors, dry=options.check)
    word = "would change" if options.check else "changed"
    for name in done:
        print(f"{word} {name}")
    if not done:
        print(f"{tree}: madvise_ranges() is in place")
    found = release(tree)
    if found not in anchors.releases:
        known = ", ".join(anchors.releases)
        print(f"note: Linux {found} was not tried; it works with {known}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="insert.py", description="Puts madvise_ranges() into an unpacked Linux source tree."
    )
    parser.add_argument("tree", type=Path, metavar="TREE", help="the top of the source tree")
    guest = "also what makes guests fast that are to be fuzzed"
    parser.add_argument("--guest", action="store_true", help=guest)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--check", action="store_true", help="change nothing, tell what would be")
    which.add_argument("--remove", action="store_true", help="take it out again")
    options = parser.parse_args(arguments)
    try:
        _say(options.tree, options)
    except NotATree as error:
        print(f"insert.py: {error}", file=sys.stderr)
        return 2
    except InsertError as error:
        print(f"insert.py: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
