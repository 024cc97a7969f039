"""kernel/insert.py on small trees that have just the places, and on real ones where at hand.

MADVET_LINUX_TREES names unpacked source trees, separated by colons; they are only looked at.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kernel.insert import (
    Anchors,
    InsertError,
    NotATree,
    insert,
    main,
    read_anchors,
    release,
    remove,
)

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = "# SPDX\nVERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\n"
FILES = {
    "Makefile": MAKEFILE,
    "mm/madvise.c": (
        '#include "internal.h"\n'
        "static int madvise_vma_behavior(struct x *x)\n{\n}\n"
        "\tif (!is_discard(x->behavior))\n"
        "\t\tif ((!is_vm_hugetlb_page(vma) && (new_flags & VM_SPECIAL)) ||\n"
        "\trange->end = ALIGN_DOWN(range->end, huge_page_size(hstate_vma(vma)));\n"
        "\t\tif (ret == -ERESTARTNOINTR) {\n"
        "\tret = (total_len - iov_iter_count(iter)) ? : ret;\n"
        "#endif\n"
    ),
    "arch/x86/entry/syscalls/syscall_64.tbl": (
        "471\tcommon\ta\t\tsys_a\n472\tcommon\tb\t\tsys_b\n\n512\tx32\tc\t\tsys_c\n"
    ),
    "arch/x86/entry/syscalls/syscall_32.tbl": "471\ti386\ta\t\tsys_a\n472\ti386\tb\t\tsys_b\n",
    "kernel/sys_ni.c": "COND_SYSCALL(madvise);\nCOND_SYSCALL(process_madvise);\nCOND_SYSCALL(z);\n",
    "mm/Kconfig": 'config X\n\tbool\n\nsource "mm/damon/Kconfig"\n\nendmenu\n',
}


def make_tree(at: Path) -> Path:
    for name, text in FILES.items():
        path = at / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return at


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "linux")


def contents(tree: Path) -> dict[str, bytes]:
    return {str(p.relative_to(tree)): p.read_bytes() for p in tree.rglob("*") if p.is_file()}


def test_every_line_lands_in_its_place(tree: Path) -> None:
    insert(tree)
    table = (tree / "arch/x86/entry/syscalls/syscall_64.tbl").read_text().splitlines()
    assert table[2].split() == ["473", "common", "madvise_ranges", "sys_madvise_ranges"]
    assert table[1].startswith("472")
    table = (tree / "arch/x86/entry/syscalls/syscall_32.tbl").read_text().splitlines()
    assert table[2].split() == ["473", "i386", "madvise_ranges", "sys_madvise_ranges"]
    assert (tree / "mm/madvise.c").read_text().endswith('\n#include "madvise_ranges.c"\n')
    assert (tree / "kernel/sys_ni.c").read_text().splitlines()[2] == "COND_SYSCALL(madvise_ranges);"
    assert (tree / "mm/Kconfig").read_text().splitlines()[3:5] == [
        'source "mm/Kconfig.madvise_ranges"',
        'source "mm/damon/Kconfig"',
    ]


def test_only_lines_are_added_to_files_of_the_tree(tree: Path) -> None:
    insert(tree)
    for name, before in FILES.items():
        after = (tree / name).read_text().splitlines()
        left = [line for line in after if "madvise_ranges" not in line]
        assert left == before.splitlines(), name
        assert len(after) - len(left) == (0 if name == "Makefile" else 1), name


def test_everything_that_is_included_is_copied(tree: Path) -> None:
    insert(tree)
    for path in (tree / "mm").glob("madvise*.[ch]"):
        for line in path.read_text().splitlines():
            if line.startswith('#include "madvise'):
                assert (tree / "mm" / line.split('"')[1]).exists(), (path, line)
    assert (tree / "mm/Kconfig.madvise_ranges").read_bytes() == (
        ROOT / "kernel/Kconfig.in"
    ).read_bytes()


def test_a_second_run_writes_nothing(tree: Path) -> None:
    assert insert(tree)
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*")}
    assert insert(tree) == ()
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*")} == before


def test_a_changed_copy_is_renewed_and_a_stale_one_removed(tree: Path) -> None:
    insert(tree)
    copy = tree / "mm/madvise_ranges.c"
    good = copy.read_bytes()
    copy.write_bytes(b"older")
    (tree / "mm/madvise_ranges_gone.c").write_bytes(b"of an older checkout")
    assert insert(tree) == ("mm/madvise_ranges.c", "mm/madvise_ranges_gone.c")
    assert copy.read_bytes() == good
    assert not (tree / "mm/madvise_ranges_gone.c").exists()


def test_check_changes_nothing(tree: Path) -> None:
    before = contents(tree)
    assert insert(tree, dry=True)
    assert contents(tree) == before


def test_remove_gives_back_the_tree(tree: Path) -> None:
    before = contents(tree)
    insert(tree)
    assert contents(tree) != before
    remove(tree)
    assert contents(tree) == before
    assert remove(tree) == ()


@pytest.mark.parametrize(
    ("file", "text", "entry"),
    [
        ("mm/madvise.c", "int other;\n", "code"),
        ("mm/madvise.c", "madvise_vma_behavior(\n#endif", "code"),
        ("arch/x86/entry/syscalls/syscall_64.tbl", "# no entries\n", "system call table, 64 bit"),
        ("arch/x86/entry/syscalls/syscall_32.tbl", "472\ti386\ta\n473\ti386\tb\n", "32 bit"),
        ("kernel/sys_ni.c", "COND_SYSCALL(madvise);\n", "answer of a kernel built without"),
        ("kernel/sys_ni.c", "COND_SYSCALL(process_madvise);\n" * 2, "answer of a kernel"),
        ("mm/Kconfig", "endmenu\n", "configuration"),
        ("mm/Kconfig", None, "configuration"),
    ],
)
def test_a_lost_place_is_told_by_name_and_nothing_is_written(
    tree: Path, capsys: pytest.CaptureFixture[str], file: str, text: str | None, entry: str
) -> None:
    if text is None:
        (tree / file).unlink()
    else:
        (tree / file).write_text(text)
    before = contents(tree)
    assert main([str(tree)]) == 3
    told = capsys.readouterr().err
    assert file in told
    assert entry in told
    assert "anchors.toml" in told
    assert contents(tree) == before


def test_a_folder_that_is_no_tree_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    (tmp_path / "Makefile").write_text("all:\n")
    assert main([str(tmp_path), "--remove"]) == 2
    assert "no Linux source tree" in capsys.readouterr().err
    with pytest.raises(NotATree):
        insert(tmp_path)


def test_a_file_that_cannot_be_written_is_an_error_of_the_machine(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "mm/madvise_abi.h").mkdir()  # root may write anywhere, but not over a folder
    assert main([str(tree)]) == 3
    assert "madvise_abi.h" in capsys.readouterr().err


def test_an_unknown_release_is_tried_with_a_note(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "Makefile").write_text(MAKEFILE.replace("VERSION = 7", "VERSION = 9"))
    assert release(tree) == "9.3"
    assert main([str(tree)]) == 0
    assert "Linux 9.3 was not tried" in capsys.readouterr().err


def test_it_runs_as_a_program_from_anywhere(tree: Path) -> None:
    command = [sys.executable, "-I", str(ROOT / "kernel/insert.py"), str(tree)]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    again = subprocess.run([*command, "--check"], cwd="/", capture_output=True, check=False)
    assert again.returncode == 0
    assert b"is in place" in again.stdout


def test_broken_anchors_are_told(tmp_path: Path) -> None:
    path = tmp_path / "anchors.toml"
    for text in ("releases = [", "releases = []\n", '[[insertion]]\nname = "x"\nodd = 1\n'):
        path.write_text(text)
        with pytest.raises(InsertError, match=r"anchors\.toml"):
            read_anchors(path)


def test_the_number_is_that_of_the_abi() -> None:
    from conformance.abi.syscalls import X86_64

    anchors: Anchors = read_anchors()
    tables = [entry for entry in anchors.insertions if entry.file.endswith(".tbl")]
    assert len(tables) == 2
    for entry in tables:
        assert entry.line.split()[0] == str(X86_64["madvise_ranges"])


def real_trees() -> list[Path]:
    return [Path(name) for name in os.environ.get("MADVET_LINUX_TREES", "").split(":") if name]


@pytest.mark.skipif(not real_trees(), reason="MADVET_LINUX_TREES names no unpacked Linux trees")
def test_real_trees_have_all_places(tmp_path: Path) -> None:
    for number, tree in enumerate(real_trees()):
        copy = tmp_path / str(number)
        for name in (*FILES, "arch/um/kernel/stacktrace.c"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tree / name, copy / name)
        remove(copy)
        before = contents(copy)
        anchors = read_anchors(guest=True)
        assert insert(copy, anchors), tree
        assert insert(copy, anchors) == (), tree
        remove(copy)
        assert contents(copy) == before, tree
        assert release(copy) in read_anchors().releases


STACKS = "\twhile (((long) sp & (THREAD_SIZE-1)) != 0) {\n\t\taddr = READ_ONCE_NOCHECK(*sp);\n"


def test_what_guests_alone_need_is_put_in_for_them_alone(tree: Path) -> None:
    walker = tree / "arch/um/kernel/stacktrace.c"
    walker.parent.mkdir(parents=True)
    walker.write_text(STACKS)
    assert main([str(tree)]) == 0
    assert walker.read_text() == STACKS
    assert main([str(tree), "--guest"]) == 0
    first, added, *rest = walker.read_text().splitlines(keepends=True)
    assert "CONFIG_FRAME_POINTER" in added
    assert "".join((first, *rest)) == STACKS
    assert main([str(tree), "--remove"]) == 0
    assert walker.read_text() == STACKS


def test_a_guest_that_cannot_be_made_fast_is_an_error(tree: Path) -> None:
    with pytest.raises(InsertError, match="stacks of user mode Linux"):
        insert(tree, read_anchors(guest=True))


def test_a_line_for_some_releases_is_put_into_their_trees_alone(tree: Path) -> None:
    walker = tree / "arch/um/kernel/stacktrace.c"
    walker.parent.mkdir(parents=True)
    walker.write_text(STACKS)
    makefile = tree / "Makefile"
    newer = makefile.read_text()
    assert newer == MAKEFILE
    makefile.write_text(newer.replace("VERSION = 7", "VERSION = 6"))
    insert(tree, read_anchors(guest=True))
    assert "madvise_ranges_past.h" not in (tree / "mm/madvise.c").read_text()
    makefile.write_text(newer)
    insert(tree, read_anchors(guest=True))
    assert "madvise_ranges_past.h" in (tree / "mm/madvise.c").read_text()
    makefile.write_text(newer.replace("VERSION = 7", "VERSION = 6"))
    remove(tree)
    assert (tree / "mm/madvise.c").read_text() == FILES["mm/madvise.c"]
