"""Builds: what they are keyed by, published whole, found again; every failure told."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from ci.kernels import build as build_module
from ci.kernels import catalogue, trees
from ci.kernels.build import Built, Wanted, build
from ci.kernels.cache import (
    KEPT,
    build_digest,
    builds,
    make_current,
    remove_leftovers,
    size_bytes,
)
from ci.kernels.catalogue import CATALOGUE, Flavour
from ci.kernels.commands import KernelError
from ci.kernels.locks import Lock
from ci.kernels.make import telling
from ci.kernels.provision import Need, missing, provide
from ci.kernels.trees import STAMP, Stamp
from ci.tests.fake_programs import put_programs
from conformance.target.guest_images import ABI_HEADER, find_image, kernel_digest

# A kernel tree in small: Kconfig drops CONFIG_LOST, and the image is its configuration.
MAKEFILE = """\
tinyconfig:
	@printf 'CONFIG_A=n\\n# CONFIG_B is not set\\n' > $(O)/.config
olddefconfig:
	@sed -i /CONFIG_LOST/d $(O)/.config
linux:
	@echo '  CC      a.o'
	@test ! -e $(O)/broken || { echo 'a.c:7: error: no such thing'; false; }
	@mkdir -p $(O)/include/config
	@echo 7.3.4-madvet > $(O)/include/config/kernel.release
	@cp $(O)/.config $(O)/linux
"""
FLAVOUR = Flavour("uml", "um", "a kernel in small", "linux", "linux", ("small",))


class Small:
    """A cache, a checkout and a flavour that build within milliseconds."""

    def __init__(self, folder: Path) -> None:
        self.kernels = folder / "kernels"
        self.root = folder / "checkout"
        self.fragment = folder / "small.config"
        self.fragment.write_text("# Essential\nCONFIG_A=y\n# Wanted\nCONFIG_LOST=y\n")
        (self.root / "kernel").mkdir(parents=True)
        (self.root / ABI_HEADER).parent.mkdir(parents=True)
        (self.root / ABI_HEADER).write_text("")
        (self.root / "kernel" / "anchors.toml").write_text("")
        self.write_call("")
        tree = self.kernels / "trees" / "linux-source-7.3"
        tree.mkdir(parents=True)
        (tree / "Makefile").write_text(MAKEFILE)
        self.stamp = tree / STAMP
        self.stamp.write_bytes(msgspec.json.encode(Stamp("linux-source-7.3", "7.3.4-1")))
        self.told: list[str] = []

    def write_call(self, text: str) -> None:
        (self.root / "kernel" / "insert.py").write_text(f"{text}\nprint('changed a')\n")

    def build(self, *, again: bool = False) -> Built:
        return build(FLAVOUR, Wanted(again=again, jobs=1), self.told.append, self.root)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    monkeypatch.setenv("MADVET_KERNELS", str(tmp_path / "kernels"))
    monkeypatch.setenv("MAKEFLAGS", "--no-such-option")  # of a make above: not for this one
    monkeypatch.setattr(catalogue, "CONFIGS", tmp_path)
    monkeypatch.setattr(build_module, "provide", lambda *_: None)
    monkeypatch.setattr(build_module, "missing", lambda _: ())
    return Small(tmp_path)


def test_a_build_is_published_and_found_again(small: Small) -> None:
    built = small.build()
    assert built.fresh
    assert find_image("uml", small.root) == built.image
    manifest = built.image.manifest
    assert (manifest.flavour, manifest.arch, manifest.release) == ("uml", "um", "7.3.4-madvet")
    assert manifest.source == "linux-source-7.3 7.3.4-1"
    assert manifest.config_missing == ("CONFIG_LOST",)
    assert built.image.config.read_text() == "# CONFIG_B is not set\nCONFIG_A=y\n"
    assert built.image.kernel.stat().st_mode & 0o111
    again = small.build()
    assert not again.fresh
    assert again.image == built.image
    assert small.build(again=True).fresh
    assert not [path for path in small.kernels.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("what", ["call", "fragment", "source"])
def test_what_changed_is_built_anew(small: Small, what: str) -> None:
    first = small.build().image
    if what == "call":
        small.write_call("1")
    elif what == "fragment":
        small.fragment.write_text("# Wanted\nCONFIG_A=m\n")
    else:
        small.stamp.write_bytes(msgspec.json.encode(Stamp("linux-source-7.3", "7.3.5-1")))
    second = small.build()
    assert second.fresh
    assert second.image.folder != first.folder
    assert find_image("uml", small.root) == second.image


def test_an_essential_symbol_that_was_not_met_is_an_error(small: Small) -> None:
    small.fragment.write_text("# Essential\nCONFIG_A=y\nCONFIG_LOST=y\n")
    with pytest.raises(KernelError, match=r"of no use without CONFIG_LOST=y \(got n\)"):
        small.build()
    assert not builds(small.kernels, "uml")


def test_what_the_compiler_complained_of_is_told(small: Small) -> None:
    first = small.build().image
    (small.kernels / "objects" / "uml-linux-source-7.3" / "broken").touch()
    with pytest.raises(KernelError, match=r"cannot build uml: a\.c:7: error: no such thing"):
        small.build(again=True)
    assert find_image("uml", small.root) == first
    assert "a.c:7: error" in (small.kernels / "uml.log").read_text()


def test_who_takes_it_from_the_cache_waits_for_nobody(small: Small) -> None:
    small.build()
    with Lock(small.kernels, "uml", lambda _: None) as builder:
        builder.alone()
        assert not small.build().fresh
    assert not [words for words in small.told if "waiting" in words]


def test_a_call_put_in_by_another_checkout_is_replaced(small: Small) -> None:
    small.build()
    (small.stamp.parent / trees.INSERTED / trees.DIGEST).write_text("another")
    assert small.build(again=True).fresh
    assert small.told.count("madvise_ranges() put in, 1 files changed") == 2
    assert trees.inserted(small.stamp.parent) == kernel_digest(small.root)


def test_checkouts_that_never_agree_are_told(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "inserted", lambda _: "another")
    with pytest.raises(KernelError, match="other checkouts put their own call"):
        small.build()


def test_a_damaged_build_is_built_anew(small: Small) -> None:
    image = small.build().image
    image.kernel.write_bytes(b"")
    assert small.build().fresh
    assert find_image("uml", small.root).kernel.stat().st_size


def test_a_failing_insertion_builds_nothing(small: Small) -> None:
    small.write_call("import sys; sys.exit('mm/madvise.c: no place')")
    with pytest.raises(KernelError, match=r"mm/madvise\.c: no place"):
        small.build()


def test_old_builds_go_and_the_newest_stay(small: Small) -> None:
    folders = []
    for number in range(KEPT + 2):
        small.write_call(str(number))
        folders.append(small.build().image.folder)
    assert set(builds(small.kernels, "uml")) == set(folders[-KEPT:])
    make_current(folders[-KEPT])
    assert builds(small.kernels, "uml")[0] == folders[-KEPT]
    (small.kernels / "uml-mutants-0123456789ab").mkdir()
    assert len(builds(small.kernels, "uml")) == KEPT


def test_leftovers_of_killed_builders_are_removed(tmp_path: Path) -> None:
    for name in (".building-x", ".fetching-y", ".building-now", "trees", "uml-0123456789ab"):
        (tmp_path / name).mkdir()
        if not name.endswith("now"):
            os.utime(tmp_path / name, (0, 0))
    remove_leftovers(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".building-now", "trees", "uml-0123456789ab"]


def test_sizes_are_those_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 100_000)
    assert 100_000 <= size_bytes(tmp_path) < 200_000
    assert size_bytes(tmp_path / "none") == 0


def test_keys_differ_by_everything_that_goes_in() -> None:
    flavour = CATALOGUE["uml"]
    keys = {
        build_digest(flavour, "a 1", "k", "gcc 12"),
        build_digest(CATALOGUE["lean"], "a 1", "k", "gcc 12"),
        build_digest(flavour, "a 2", "k", "gcc 12"),
        build_digest(flavour, "a 1", "l", "gcc 12"),
        build_digest(flavour, "a 1", "k", "gcc 13"),
        build_digest(flavour._replace(variables=()), "a 1", "k", "gcc 12"),
    }
    assert len(keys) == 6
    assert build_digest(flavour, "a 1", "k", "gcc 12") in keys


def test_why_make_failed() -> None:
    assert telling(["  CC a.o\n", "a.c:1:2: error: x\n", "make: *** [b] Error 1\n"], 2) == (
        "a.c:1:2: error: x\n    make: *** [b] Error 1"
    )
    assert telling(["as: No space left on device\n"], 2).startswith("No space left on device: free")
    assert telling([], 2) == "exit code 2"


def test_what_is_missing_is_told_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = (Need("no-such-program", "a"), Need("no/such.h", "b-dev"), Need("sh", "dash"))
    assert [need.package for need in missing(needs)] == ["a", "b-dev"]
    line = "lacks no-such-program, no/such.h: apt-get install --no-install-recommends a b-dev"
    with pytest.raises(KernelError, match=line):
        provide(needs, False, lambda _: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    log = tmp_path / "log"
    put_programs(tmp_path, monkeypatch, {"apt-get": f'echo "$@" >> {log}'})
    with pytest.raises(KernelError, match="still lacks no-such-program"):
        provide(needs, True, lambda _: None)
    assert "install a b-dev" in log.read_text()
    put_programs(tmp_path, monkeypatch, {"apt-get": "echo 'E: no network' >&2; exit 100"})
    with pytest.raises(KernelError, match="E: no network"):
        provide(needs, True, lambda _: None)
