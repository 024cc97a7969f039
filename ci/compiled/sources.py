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
# What runs for every program, in two libraries that a compiler can work at side by side. abi is
# data, read once; the rest of spec reads files.
GROUPS: Final = {
    "madvet_model": ("conformance/spec/cite.py", "conformance/program", "conformance/model"),
    "madvet_campaign": ("conformance/oracle", "fuzz/generate"),
}
# Not worth the minutes: text for people, and what is not called for every program.
COLD: Final = frozenset(
    {
        "conformance/oracle/every_order.py",
        "conformance/oracle/expected_change.py",
        "conformance/oracle/explain.py",
        "conformance/oracle/identity.py",
        "conformance/oracle/interleave.py",
        "conformance/oracle/ledger.py",
        "conformance/oracle/ledger_values.py",
        "conformance/oracle/linear.py",
        "conformance/oracle/linear_words.py",
        "conformance/oracle/race_invariants.py",
        "conformance/program/step_words.py",
        "conformance/program/text.py",
        "conformance/program/text_read.py",
        "conformance/program/text_table.py",
        "conformance/program/wire_c.py",
        "fuzz/generate/bytes_chooser.py",
        "fuzz/generate/census.py",
        "fuzz/generate/exhaustive.py",
        "fuzz/generate/hypothesis_chooser.py",
        "fuzz/generate/hypothesis_reducer.py",
        "fuzz/generate/plainer.py",
        "fuzz/generate/small_programs.py",
    }
)


def python_files(root: Path, rooms: tuple[str, ...]) -> Iterator[Path]:
    """The Python files of rooms, sorted, as paths below `root`. A file is a room of one."""
    for room in rooms:
        if room.endswith(".py"):
            yield Path(room)
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


def hot_files(root: Path = CHECKOUT) -> dict[str, list[Path]]:
    """The files to compile, as paths below `root`, by the library that each goes into."""
    return {
        library: [
            path
            for path in python_files(root, rooms)
            if str(path) not in COLD and compiles((root / path).read_text(encoding="utf-8"), path)
        ]
        for library, rooms in GROUPS.items()
    }


def compiles(text: str, path: Path) -> bool:
    """Can a file be native? Not a package's own file; and not one that defines msgspec structs,
    whose class keywords (frozen, tag, omit_defaults) mypyc drops without a word."""
    if path.name == "__init__.py":
        return False
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return True  # the compiler says it better, with file and line
    return not any(
        isinstance(node, ast.ClassDef) and any("Struct" in ast.unparse(b) for b in node.bases)
        for node in ast.walk(tree)
    )


def module_name(path: Path) -> str:
    """conformance/model/walk.py -> conformance.model.walk."""
    return ".".join(path.with_suffix("").parts)


def cache_folders(root: Path = CHECKOUT) -> tuple[Path, Path]:
    """Where native code may lie: in the checkout, else in the user's own cache. Never in a
    folder that others can write to: what lies there is executed."""
    user = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return root / ".cache" / "compiled", Path(user) / "madvet" / "compiled"
