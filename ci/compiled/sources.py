"""Which modules are compiled, and the key that ties native code to the sources it came from."""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[2]

# Everything whose types or constants can end up inside native code: hashed and type-checked.
ROOMS: Final = (
    "conformance/abi",
    "conformance/spec",
    "conformance/program",
    "conformance/model",
    "conformance/oracle",
    "fuzz/generate",
)
KEYED: Final = (*ROOMS, "ci/compiled")  # the driver of the compiler decides too
# What runs for every program. abi is data, read once; the rest of spec reads files.
HOT: Final = ("conformance/program", "conformance/model", "conformance/oracle", "fuzz/generate")
HOT_FILES: Final = ("conformance/spec/cite.py",)


def python_files(root: Path, rooms: tuple[str, ...]) -> Iterator[Path]:
    """The Python files of rooms, sorted, as paths below `root`."""
    for room in rooms:
        for path in sorted((root / room).glob("*.py")):
            yield path.relative_to(root)


def source_key(root: Path = CHECKOUT) -> str:
    """A hash of every source that the native code depends on, the compiler's driver included,
    and of the kind of Python it is for. Another byte anywhere: another key."""
    digest = hashlib.sha256(EXTENSION_SUFFIXES[0].encode())
    for path in python_files(root, KEYED):
        data = (root / path).read_bytes()
        digest.update(f"{path} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:32]


def hot_files(root: Path = CHECKOUT) -> list[Path]:
    """The files to compile, as paths below `root`."""
    wanted = [*python_files(root, HOT), *(Path(name) for name in HOT_FILES)]
    return [path for path in wanted if compiles((root / path).read_text(encoding="utf-8"), path)]


def compiles(text: str, path: Path) -> bool:
    """Can a file be native? Not a package's own file; not one that defines msgspec structs, whose
    class keywords (frozen, tag, omit_defaults) mypyc drops without a word; and not one that
    needs a library of the tests."""
    if path.name == "__init__.py":
        return False
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return True  # the compiler says it better, with file and line
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any("Struct" in ast.unparse(b) for b in node.bases):
            return False
        if isinstance(node, ast.ImportFrom):
            imported = [node.module or ""]
        elif isinstance(node, ast.Import):
            imported = [name.name for name in node.names]
        else:
            continue
        if any(name.partition(".")[0] == "hypothesis" for name in imported):
            return False
    return True


def module_name(path: Path) -> str:
    """conformance/model/walk.py -> conformance.model.walk."""
    return ".".join(path.with_suffix("").parts)


def cache_folders(root: Path = CHECKOUT) -> tuple[Path, Path]:
    """Where native code may lie: in the checkout, else in the user's own cache. Never in a
    folder that others can write to: what lies there is executed."""
    user = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return root / ".cache" / "compiled", Path(user) / "madvet" / "compiled"
