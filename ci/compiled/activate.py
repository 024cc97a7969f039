"""Puts native code in place of its sources, when it was made from exactly these sources."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

from ci.compiled.sources import CHECKOUT, cache_folders, source_key

SWITCH = "MADVET_COMPILED"  # 0 turns native code off


class NativeFinder(MetaPathFinder):
    """Finds the modules that lie in one folder, each in a file named after it."""

    def __init__(self, folder: Path) -> None:
        self.files = {path.stem: path for path in folder.glob("*.so")}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module that has native code here, else None."""
        file = self.files.get(fullname)
        if file is None:
            return None
        loader = ExtensionFileLoader(fullname, str(file))
        return spec_from_file_location(fullname, file, loader=loader)


def activate(root: Path = CHECKOUT) -> str:
    """Serve the hot modules from native code; to be called before any of them is imported.

    Returns what is used, in words. Without native code for exactly these sources, or with
    MADVET_COMPILED=0, everything is plain Python. Raises RuntimeError when a hot module was
    imported already: half of each would be neither.
    """
    if any(isinstance(finder, NativeFinder) for finder in sys.meta_path):
        return "native code"
    if os.environ.get(SWITCH) == "0":
        return f"plain Python ({SWITCH}=0)"
    folder = native_folder(root)
    if folder is None:
        return "plain Python (make compiled: about twice as fast)"
    finder = NativeFinder(folder)
    early = sorted(set(finder.files) & set(sys.modules))
    if early:
        raise RuntimeError(f"imported before ci.compiled.activate(): {', '.join(early)}")
    sys.meta_path.insert(0, finder)
    return "native code"


def native_folder(root: Path = CHECKOUT) -> Path | None:
    """The folder with native code of exactly the sources below `root`, or None."""
    key = source_key(root)
    for cache in cache_folders(root):
        if (cache / key).is_dir():
            return cache / key
    return None
