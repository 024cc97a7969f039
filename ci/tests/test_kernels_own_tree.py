"""A tree of the user's own: copied where it changed, never touched."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ci.cli import exit_codes
from ci.cli import kernels as kernels_cli
from ci.cli.main import run
from ci.kernels.own_tree import RECORD, NotASourceTree, copied_tree
from ci.kernels.trees import DIGEST, INSERTED, inserted

needs_git = pytest.mark.skipif(not shutil.which("git"), reason="no git on this machine")


@pytest.fixture
def given(tmp_path: Path) -> Path:
    tree = tmp_path / "linux"
    (tree / "mm").mkdir(parents=True)
    (tree / "Makefile").write_text("# SPDX\nVERSION = 7\nPATCHLEVEL = 3\n")
    (tree / "Kconfig").touch()
    (tree / "mm" / "madvise.c").write_text("one\n")
    (tree / "link").symlink_to("mm/madvise.c")
    (tree / "folder").symlink_to("mm")
    return tree


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def test_a_tree_is_copied_as_it_is(given: Path, tmp_path: Path) -> None:
    tree = copied_tree(tmp_path / "kernels", given, lambda _: None)
    assert tree.source.startswith(f"{given} 7.3 ")
    assert [name for name in names(tree.folder) if name != RECORD] == names(given)
    assert (tree.folder / "folder").readlink() == Path("mm")


def test_only_what_changed_is_copied_again(given: Path, tmp_path: Path) -> None:
    told: list[str] = []
    first = copied_tree(tmp_path / "kernels", given, told.append)
    # As the call is put in: an edit of the copy stays as long as the file itself does.
    (first.folder / "mm" / "madvise.c").write_text("one\nours\n")
    (first.folder / INSERTED).mkdir()
    (first.folder / INSERTED / DIGEST).write_text("ours")
    assert copied_tree(tmp_path / "kernels", given, told.append) == first
    assert (first.folder / "mm" / "madvise.c").read_text() == "one\nours\n"
    assert inserted(first.folder) == "ours"
    (given / "mm" / "madvise.c").write_text("two, longer\n")
    (given / "link").unlink()
    second = copied_tree(tmp_path / "kernels", given, told.append)
    assert second.folder == first.folder
    assert second.source != first.source
    assert (first.folder / "mm" / "madvise.c").read_text() == "two, longer\n"
    assert not (first.folder / "link").is_symlink()
    assert inserted(first.folder) == ""
    assert [words.partition(" that")[0] for words in told] == [
        "copied 5 files of 5",
        "copied 0 files of 5",
        "copied 2 files of 4",
    ]


def test_a_copy_that_was_not_finished_is_made_anew(given: Path, tmp_path: Path) -> None:
    folder = copied_tree(tmp_path / "kernels", given, lambda _: None).folder
    (folder / RECORD).unlink()
    (folder / "left_over.c").touch()
    copied_tree(tmp_path / "kernels", given, lambda _: None)
    assert not (folder / "left_over.c").exists()


@needs_git
def test_of_a_checkout_what_git_ignores_stays_behind(given: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", given], check=True)
    (given / ".gitignore").write_text("*.o\n.config\n")
    (given / "mm" / "madvise.o").touch()
    (given / ".config").touch()
    (given / "new.c").touch()
    copy = copied_tree(tmp_path / "kernels", given, lambda _: None).folder
    assert {"new.c", "mm/madvise.c"} < set(names(copy))
    assert not {"mm/madvise.o", ".config"} & set(names(copy))


def test_what_is_no_tree_is_refused(given: Path, tmp_path: Path) -> None:
    with pytest.raises(NotASourceTree, match="holds no kernel sources"):
        copied_tree(tmp_path / "kernels", given / "mm", lambda _: None)
    (given / ".config").touch()
    with pytest.raises(NotASourceTree, match="make mrproper"):
        copied_tree(tmp_path / "kernels", given, lambda _: None)


def test_a_wrong_tree_is_bad_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise NotASourceTree("no sources")

    monkeypatch.setattr(kernels_cli, "build", refuse)
    assert run(["kernels", "build", "uml", "--tree", str(tmp_path)]) == exit_codes.BAD_INPUT
    assert run(["kernels", "build", "uml", "--tree", "/no/such"]) == exit_codes.BAD_INPUT
    assert "--tree: no sources" in capsys.readouterr().err
