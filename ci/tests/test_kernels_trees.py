"""Sources of kernels: whole or not there; the call put in, and taken out by what put it in."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import NamedTuple

import pytest

from ci.kernels import trees
from ci.kernels.commands import KernelError
from ci.kernels.debian import AptRoom, Archive, Package
from ci.kernels.trees import fetch_tree, insert_call, unpacked_tree
from ci.tests.fake_programs import put_programs
from conformance.target.guest_images import ABI_HEADER, kernel_digest

ROOT = Path(__file__).resolve().parents[2]
NEWEST = Package("linux-source-7.3", "7.3.5-1", "sid", 4)


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache, and an apt that has one package: its download is the tar in `dpkg-deb`'s hands."""
    source = tmp_path / "linux-source-7.3"
    source.mkdir()
    (source / "Kconfig").write_text("")
    (source / "Makefile").write_text("VERSION = 7\nPATCHLEVEL = 3\n")
    archive = tmp_path / "linux-source-7.3.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source, source.name)
    put_programs(
        tmp_path, monkeypatch,
        {"dpkg-deb": f'mkdir -p "$3/usr/src" && cp {archive} "$3/usr/src/"'},
    )  # fmt: skip
    monkeypatch.setattr(trees, "machine_archives", lambda: [Archive("file:/none", "")])
    monkeypatch.setattr(AptRoom, "find", lambda *_: NEWEST)
    monkeypatch.setattr(AptRoom, "download", download)
    monkeypatch.setattr(trees, "TREE_BYTES", 1 << 20)
    folder = tmp_path / "kernels"
    folder.mkdir()
    return folder


def download(self: AptRoom, package: Package, into: Path) -> Path:
    deb = into / f"{package.name}.deb"
    deb.write_bytes(b"deb\n")
    return deb


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_tree_is_fetched_once_and_kept(kernels: Path) -> None:
    told: list[str] = []
    assert unpacked_tree(kernels, "7.3") is None
    tree = fetch_tree(kernels, "7.3", told.append)
    assert tree.source == "linux-source-7.3 7.3.5-1"
    assert (tree.folder / "Makefile").is_file()
    assert unpacked_tree(kernels, "7.3") == tree
    assert names(kernels) == ["trees"]
    assert fetch_tree(kernels, "7.3", told.append) == tree
    assert "fetched in" in told[0]
    assert told[1:] == ["linux-source-7.3 7.3.5-1 is the newest in sid"]


def test_a_newer_one_takes_its_place(kernels: Path) -> None:
    folder = fetch_tree(kernels, "7.3", lambda _: None).folder
    stamp = folder / trees.STAMP
    stamp.write_bytes(stamp.read_bytes().replace(b"7.3.5", b"7.3.4"))
    (folder / "old").touch()
    assert fetch_tree(kernels, "7.3", lambda _: None).source.endswith("7.3.5-1")
    assert not (folder / "old").exists()
    assert names(kernels) == ["trees"]


@pytest.mark.parametrize(
    ("program", "script", "words"),
    [
        ("tar", "echo 'tar: x: No space left on device' >&2; exit 2", "No space left on device"),
        ("tar", "echo 'tar: xz: Cannot exec' >&2; exit 2", "xz: Cannot exec"),
        ("tar", "exit 0", "no tree of kernel sources"),
        ("dpkg-deb", "mkdir -p $3/usr/src", "holds 0 archives"),
        ("dpkg-deb", "echo 'dpkg-deb: error: unexpected end of file' >&2; exit 2", "end of file"),
    ],
)
def test_what_is_half_unpacked_is_never_taken_for_whole(
    kernels: Path, monkeypatch: pytest.MonkeyPatch, program: str, script: str, words: str
) -> None:
    put_programs(kernels.parent, monkeypatch, {program: script})
    with pytest.raises(KernelError, match=words):
        fetch_tree(kernels, "7.3", lambda _: None)
    assert unpacked_tree(kernels, "7.3") is None
    assert names(kernels) == ["trees"]
    assert names(kernels / "trees") == []


def test_a_full_disk_is_told_before_the_download(
    kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1000))
    with pytest.raises(KernelError, match=r"0\.0 GB free.*MADVET_KERNELS"):
        fetch_tree(kernels, "7.3", lambda _: None)


def test_a_damaged_stamp_is_told(kernels: Path) -> None:
    folder = fetch_tree(kernels, "7.3", lambda _: None).folder
    (folder / trees.STAMP).write_text("{")
    with pytest.raises(KernelError, match=r"damaged.*remove it"):
        unpacked_tree(kernels, "7.3")


def checkout(folder: Path, line: str) -> Path:
    """A checkout whose kernel/insert.py puts one line of anchors.toml into the tree's file."""
    (folder / "kernel").mkdir(parents=True)
    (folder / ABI_HEADER).parent.mkdir(parents=True)
    (folder / ABI_HEADER).touch()
    (folder / "kernel" / "anchors.toml").write_text(line)
    (folder / "kernel" / "insert.py").write_text(
        "import pathlib, sys\n"
        "line = pathlib.Path(__file__).with_name('anchors.toml').read_text()\n"
        "file = pathlib.Path(sys.argv[1]) / 'file'\n"
        "text = file.read_text().replace(line, '')\n"
        "file.write_text(text if '--remove' in sys.argv else text + line)\n"
        "print('changed file')\n"
    )
    return folder


def test_edits_of_another_checkout_are_taken_out_first(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("theirs\n")
    one, two = checkout(tmp_path / "1", "one\n"), checkout(tmp_path / "2", "two\n")
    for root, text in ((one, "one\n"), (one, "one\n"), (two, "two\n"), (one, "one\n")):
        assert insert_call(tree, root) == "madvise_ranges() put in, 1 files changed"
        assert (tree / "file").read_text() == f"theirs\n{text}"
        assert trees.inserted(tree) == kernel_digest(root)


def test_a_call_that_changes_meanwhile_is_not_said_to_be_in(tmp_path: Path) -> None:
    root = checkout(tmp_path / "1", "one\n")
    (root / "kernel" / "insert.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('edited.c').touch()\n"
    )
    (tmp_path / "tree").mkdir()
    with pytest.raises(KernelError, match="changed while it was put in"):
        insert_call(tmp_path / "tree", root)
    assert trees.inserted(tmp_path / "tree") == ""


def test_a_missing_anchor_is_named(tmp_path: Path) -> None:
    (tmp_path / "mm").mkdir()
    (tmp_path / "Makefile").write_text("VERSION = 7\nPATCHLEVEL = 3\n")
    (tmp_path / "mm" / "madvise.c").write_text("int nothing;\n")
    with pytest.raises(KernelError, match=r"cannot put madvise_ranges.*mm/madvise\.c: no place"):
        insert_call(tmp_path, ROOT)
    assert (tmp_path / "mm" / "madvise.c").read_text() == "int nothing;\n"
