"""Debian's own kernels: the newest of a release, signed and whole, or an error that says why."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ci.cli import exit_codes
from ci.cli.main import run
from ci.kernels import stock
from ci.kernels.commands import KernelError
from ci.kernels.stock import fetch_stock
from ci.tests.fake_archive import BZIMAGE, MISSING, FakeArchive
from ci.tests.fake_programs import put_programs
from conformance.target.guest_images import find_stock, stock_releases
from conformance.target.registry import open_target
from conformance.target.target import TargetError

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"this machine lacks {', '.join(MISSING)}")
OLD_PLACE = "boot/vmlinuz-6.1.0-50-cloud-amd64"
NEW_PLACE = "usr/lib/modules/7.3.10-cloud-amd64/vmlinuz"


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeArchive]:
    """A suite with two kernels of 7.3 and what must not be taken for one, and one with 6.1."""
    made = FakeArchive(tmp_path / "fake")
    for version in ("7.3.9", "7.3.10"):  # which of them is newer, letters would get wrong
        files = {NEW_PLACE: BZIMAGE + version.encode()}
        made.add("new", f"linux-binary-{version}+deb13-cloud-amd64", f"{version}-1", files)
        made.add("new", f"linux-image-{version}+deb13-cloud-amd64", f"{version}-1", {})
    made.add("new", "linux-binary-7.30.1-cloud-amd64", "7.30.1-1", {"boot/vmlinuz-x": BZIMAGE})
    made.add("new", "linux-image-7.3.11-cloud-amd64-unsigned", "7.3.11-1", {})
    made.add("new", "linux-image-7.3.12-amd64", "7.3.12-1", {})
    config = "boot/config-6.1.0-50-cloud-amd64"
    files = {OLD_PLACE: BZIMAGE + b"6.1", config: b"CONFIG_A=y\n"}
    made.add("old", "linux-image-6.1.0-50-cloud-amd64", "6.1.176-1", files)
    made.sign()
    monkeypatch.setenv("MADVET_KERNELS", str(tmp_path / "kernels"))
    monkeypatch.setattr(stock, "machine_archives", lambda: [made.archive])
    monkeypatch.setattr(stock, "SUITES", ("new", "old"))
    yield made
    made.close()


def fetch(*releases: str) -> list[str]:
    """The packages that came, in words."""
    images = fetch_stock(releases, False, lambda _: None)
    return [image.manifest.source for image in images]


def test_the_newest_of_a_release_comes_and_stays(archive: FakeArchive, tmp_path: Path) -> None:
    assert stock_releases() == []
    assert fetch("7.3", "6.1") == [
        "linux-binary-7.3.10+deb13-cloud-amd64 7.3.10-1",
        "linux-image-6.1.0-50-cloud-amd64 6.1.176-1",
    ]
    assert stock_releases() == ["6.1", "7.3"]
    new, old = find_stock("7.3"), find_stock("6.1")
    assert new.kernel.read_bytes() == BZIMAGE + b"7.3.10"
    assert (new.manifest.release, old.manifest.release) == (
        "7.3.10-cloud-amd64",
        "6.1.0-50-cloud-amd64",
    )
    assert old.config.read_text() == "CONFIG_A=y\n"
    left = {path.name for path in (tmp_path / "kernels").iterdir()}
    assert not [name for name in left if name.startswith(".")]
    inode = new.kernel.stat().st_ino
    assert fetch("7.3") == [new.manifest.source]
    assert find_stock("7.3").kernel.stat().st_ino == inode  # not fetched a second time


def test_a_newer_one_becomes_the_target(archive: FakeArchive) -> None:
    fetch("6.1")
    files = {OLD_PLACE.replace("50", "51"): BZIMAGE + b"newer"}
    archive.add("old", "linux-image-6.1.0-51-cloud-amd64", "6.1.180-1", files)
    archive.sign()
    assert fetch("6.1") == ["linux-image-6.1.0-51-cloud-amd64 6.1.180-1"]
    assert find_stock("6.1").kernel.read_bytes() == BZIMAGE + b"newer"


def test_a_release_that_nobody_has_is_told_by_suite(archive: FakeArchive) -> None:
    with pytest.raises(KernelError, match=r"no cloud kernel of Linux 5\.4.*none in new; none in o"):
        fetch("5.4")


def test_a_package_that_is_not_what_was_signed(archive: FakeArchive, tmp_path: Path) -> None:
    deb = next(archive.top.glob("pool/linux-image-6.1*.deb"))
    deb.write_bytes(deb.read_bytes()[:-1] + b"\xff")
    with pytest.raises(KernelError, match=r"cannot download linux-image-6\.1\.0-50.*Hash Sum"):
        fetch("7.3", "6.1")
    assert stock_releases() == ["7.3"]  # what came before it stays
    assert not list((tmp_path / "kernels").glob(".fetching-*"))


def test_lists_that_were_changed_after_signing(archive: FakeArchive) -> None:
    signed = archive.top / "dists" / "old" / "InRelease"
    signed.write_text(signed.read_text().replace("Codename: old", "Codename: odd"))
    with pytest.raises(KernelError, match=r"old: cannot read the lists of old.*is not signed"):
        fetch("6.1")


def test_a_package_without_a_kernel(archive: FakeArchive) -> None:
    archive.add("new", "linux-image-7.4.1-cloud-amd64", "7.4.1-1", {NEW_PLACE: b"text"})
    archive.sign()
    with pytest.raises(KernelError, match=r"linux-image-7\.4\.1.*kernels that can be booted"):
        fetch("7.4")
    assert stock_releases() == []


def test_a_disk_that_is_full_is_told_before_and_while(
    archive: FakeArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_programs(
        tmp_path, monkeypatch, {"dpkg-deb": "echo 'x: No space left on device' >&2; exit 2"}
    )
    with pytest.raises(KernelError, match=r"No space left on device; free some"):
        fetch("6.1")

    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1000))
    with pytest.raises(KernelError, match=r"0\.0 GB free.*MADVET_KERNELS"):
        fetch("6.1")
    assert stock_releases() == []


def test_a_kernel_that_changed_in_the_cache_is_not_booted(archive: FakeArchive) -> None:
    with pytest.raises(TargetError, match=r"madvet kernels fetch debian:6\.1"):
        open_target("debian:6.1")
    fetch("6.1")
    with find_stock("6.1").kernel.open("ab") as file:
        file.write(b"more")
    with pytest.raises(TargetError, match=r"is damaged.*madvet kernels fetch debian:6\.1"):
        open_target("debian:6.1")


def test_the_command(archive: FakeArchive, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["kernels", "list"]) == exit_codes.CONFORMANT
    assert "debian:REL     not fetched: madvet kernels fetch debian:7.3" in capsys.readouterr().out
    assert run(["kernels", "fetch", "debian:6.1"]) == exit_codes.CONFORMANT
    assert "debian:6.1: Linux 6.1.0-50-cloud-amd64: " in capsys.readouterr().out
    run(["kernels", "list"])
    told = "debian:6.1     Linux 6.1.0-50-cloud-amd64, 0.0 MB, linux-image-6.1.0-50-cloud-amd64 6.1"
    assert told in capsys.readouterr().out
    for name in ("6.1", "debian:", "debian:6", "debian:6.1.0", "host"):
        assert run(["kernels", "fetch", name]) == exit_codes.BAD_INPUT
        assert "is no kernel of Debian's: debian:6.12 is one" in capsys.readouterr().err
    assert run(["kernels", "fetch", "debian:5.4"]) == exit_codes.HARNESS_FAILED
