"""Native code: which files, when it is taken, and that it cannot be stale."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

from ci.compiled.build import BuildError, build
from ci.compiled.sources import CHECKOUT, COLD, compiles, hot_files, source_key

STRUCT = "import msgspec\n\nclass A(msgspec.Struct, frozen=True):\n    a: int\n"
WALK = "def steps(pages: int) -> int:\n    return sum([page * 2 for page in range(pages)])\n"
ASK = """
import sys
from pathlib import Path
from ci.compiled.activate import activate
print(activate(Path(sys.argv[1])))
sys.path.insert(0, sys.argv[1])
import conformance.model.walk as walk
print(walk.__file__)
print(walk.steps(4))
"""
needs_compiler = pytest.mark.skipif(
    not Path(sysconfig.get_path("include"), "Python.h").exists() or find_spec("mypyc") is None,
    reason="no Python.h (Debian: python3-dev) or no mypyc (extra: compiled): nothing is built here",
)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of one hot module."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    root = tmp_path / "checkout"
    for package in ("conformance", "conformance/model", "conformance/spec", "fuzz"):
        (root / package).mkdir(parents=True, exist_ok=True)
        (root / package / "__init__.py").write_text("")
    (root / "conformance/spec/cite.py").write_text("CITED: list[str] = []\n")
    (root / "conformance/model/walk.py").write_text(WALK)
    return root


def ask(tree: Path, **environment: str) -> list[str]:
    """What a fresh Python says: activate()'s answer, the module's file, its result."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(tree)],
        env={"PYTHONPATH": f"{tree}:{CHECKOUT}", "XDG_CACHE_HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_files_with_structs_stay_python() -> None:
    assert not compiles(STRUCT, Path("conformance/program/a.py"))
    assert not compiles("", Path("conformance/model/__init__.py"))
    assert compiles(WALK, Path("conformance/model/walk.py"))


def test_the_model_is_hot_and_the_structs_are_not() -> None:
    names = {str(path) for paths in hot_files().values() for path in paths}
    assert {"conformance/model/predict.py", "conformance/program/wire.py"} <= names
    assert not names & {"conformance/program/program.py", "conformance/program/call.py"}


def test_every_file_that_is_left_out_exists() -> None:
    assert [name for name in sorted(COLD) if not (CHECKOUT / name).is_file()] == []


def test_another_byte_is_another_key(tree: Path) -> None:
    before = source_key(tree)
    assert source_key(tree) == before
    (tree / "conformance/model/walk.py").write_text(WALK + "\n")
    assert source_key(tree) != before


@needs_compiler
def test_native_code_is_built_taken_and_dropped_when_its_source_changes(tree: Path) -> None:
    source = tree / "conformance/model/walk.py"
    assert ask(tree)[1:] == [str(source), "12"]
    folder, fresh = build(tree)
    assert fresh
    assert build(tree) == (folder, False)
    assert not list(tree.glob("conformance/**/*.so"))

    said, file, result = ask(tree)
    assert (said, Path(file).parent, result) == ("native code", folder, "12")
    assert ask(tree, MADVET_COMPILED="0")[1:] == [str(source), "12"]

    source.write_text(WALK.replace("* 2", "* 3"))
    assert ask(tree)[1:] == [str(source), "18"]


@needs_compiler
def test_a_file_that_does_not_compile_is_named(tree: Path) -> None:
    (tree / "conformance/model/walk.py").write_text("def broken(:\n")
    with pytest.raises(BuildError, match=r"walk\.py:1"):
        build(tree)
    assert not [path for path in (tree / ".cache/compiled").iterdir() if path.is_dir()]
