"""Images of guests: found, and refused when absent, damaged, foreign or stale."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from conformance.target import guest_images
from conformance.target.guest_images import (
    Manifest,
    current_image,
    find_image,
    kernel_digest,
    kernels_folder,
)
from conformance.target.target import TargetError


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "kernels"
    folder.mkdir(mode=0o755)
    monkeypatch.setenv("MADVET_KERNELS", str(folder))
    return folder


def put(kernels: Path, digest: str = "", flavour: str = "uml", name: str = "0123456789ab") -> Path:
    """A build as ci/kernels leaves it; of this checkout's sources unless told otherwise."""
    folder = kernels / f"{flavour}-{name}"
    folder.mkdir()
    manifest = Manifest(
        1, flavour, "um", "7.3.4", "linux-source-7.3 7.3.4-1", digest or kernel_digest(), (), 1.5
    )
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    (folder / "image").write_bytes(b"\x7fELF")
    (folder / "config").write_text("CONFIG_64BIT=y\n")
    (kernels / f"current-{flavour}").write_text(folder.name + "\n")
    return folder


def test_a_build_is_found(kernels: Path) -> None:
    folder = put(kernels)
    image = find_image("uml")
    assert image.kernel == folder / "image"
    assert image.config.read_text() == "CONFIG_64BIT=y\n"
    assert image.manifest.release == "7.3.4"


def test_none_built_names_the_command(kernels: Path) -> None:
    assert current_image("lean") is None
    with pytest.raises(TargetError, match="madvet kernels build lean"):
        find_image("lean")


def test_other_sources_are_refused(kernels: Path) -> None:
    put(kernels, digest="0" * 64)
    assert current_image("uml") is not None
    with pytest.raises(TargetError, match=r"other sources.*madvet kernels build uml"):
        find_image("uml")


def test_one_that_was_kept_is_found_behind_a_newer_one(kernels: Path) -> None:
    kept = put(kernels)
    put(kernels, digest="0" * 64, name="1" * 12)
    assert find_image("uml").folder == kept
    (kept / "image").unlink()
    with pytest.raises(TargetError, match="other sources"):
        find_image("uml")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("manifest.json", b'{"format": 1, "flav'),
        ("manifest.json", b'{"format": 1}'),
        ("image", b""),
    ],
)
def test_a_damaged_build_is_named(kernels: Path, name: str, data: bytes) -> None:
    folder = put(kernels)
    (folder / name).write_bytes(data)
    with pytest.raises(TargetError, match=r"uml-0123456789ab is damaged.*build uml"):
        current_image("uml")


def test_a_newer_format_is_refused(kernels: Path) -> None:
    manifest = put(kernels) / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"format":1', b'"format":2'))
    with pytest.raises(TargetError, match="format 2"):
        current_image("uml")


@pytest.mark.parametrize("name", ["", "../uml-1", "lean-0123456789ab"])
def test_a_pointer_leads_to_builds_of_its_flavour_only(kernels: Path, name: str) -> None:
    put(kernels)
    (kernels / "current-uml").write_text(name)
    with pytest.raises(TargetError, match="names no build of uml"):
        current_image("uml")


def test_a_folder_that_others_can_write_is_refused(kernels: Path) -> None:
    put(kernels)
    kernels.chmod(0o777)
    with pytest.raises(TargetError, match="written by others"):
        current_image("uml")


def test_the_folder_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.delenv("MADVET_KERNELS", raising=False)
    assert kernels_folder() == Path("/x/madvet/kernels")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/h")
    assert kernels_folder() == Path("/h/.cache/madvet/kernels")
    monkeypatch.setenv("MADVET_KERNELS", "/k")
    assert kernels_folder() == Path("/k")


def test_the_digest_covers_every_byte_and_name(tmp_path: Path) -> None:
    header = tmp_path / guest_images.ABI_HEADER
    header.parent.mkdir(parents=True)
    header.write_text("a")
    (tmp_path / "kernel").mkdir()
    source = tmp_path / "kernel" / "call.c"
    source.write_text("b")
    seen = {kernel_digest(tmp_path)}
    source.write_text("c")
    seen.add(kernel_digest(tmp_path))
    source.rename(source.with_name("calls.c"))
    seen.add(kernel_digest(tmp_path))
    header.write_text("d")
    seen.add(kernel_digest(tmp_path))
    (tmp_path / "kernel" / "README.md").write_text("not built in")
    seen.add(kernel_digest(tmp_path))
    assert len(seen) == 4
