"""madvet kernels: names, exit codes, and what it prints."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ci.cli import exit_codes
from ci.cli import kernels as kernels_cli
from ci.cli.main import run
from ci.kernels.build import Built, Wanted
from ci.kernels.catalogue import CATALOGUE, Flavour
from ci.kernels.commands import KernelError
from conformance.target.guest_images import FLAVOURS, Image, Manifest, kernel_digest

SOURCE = "linux-source-7.3 7.3.4-1"


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MADVET_KERNELS", str(tmp_path))
    return tmp_path


def put(kernels: Path, flavour: str, digest: str) -> Image:
    folder = kernels / f"{flavour}-0123456789ab"
    folder.mkdir()
    manifest = Manifest(1, flavour, "um", "7.3.4", SOURCE, digest, ("CONFIG_LOST",), 61.0)
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    (folder / "image").write_bytes(b"\0" * 1_500_000)
    (kernels / f"current-{flavour}").write_text(folder.name)
    return Image(folder, manifest)


def test_the_list_says_how_each_stands(
    kernels: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(kernels, "uml", kernel_digest())
    put(kernels, "lean", "0" * 64)
    (put(kernels, "debug", "0" * 64).folder / "image").unlink()
    assert run(["kernels", "list"]) == exit_codes.CONFORMANT
    lines = capsys.readouterr().out.splitlines()
    told = {name: next(line for line in lines if line.startswith(f"{name} ")) for name in FLAVOURS}
    assert "fresh, Linux 7.3.4, 1.5 MB" in told["uml"]
    assert "without CONFIG_LOST" in told["uml"]
    assert "stale, of other sources: madvet kernels build lean" in told["lean"]
    assert "damaged" in told["debug"]
    assert "not built: madvet kernels build uml-mutants" in told["uml-mutants"]
    assert lines[-1] == f"in {kernels}"
    monkeypatch.setattr(kernels_cli, "size_bytes", lambda path: 2e8 * (path.name == "trees"))
    run(["kernels", "list"])
    assert capsys.readouterr().out.endswith(f"in {kernels}: trees 0.2 GB\n")


def test_builds_in_the_order_asked_for(
    kernels: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(flavour: Flavour, wanted: Wanted, say: object) -> Built:
        assert wanted == Wanted(install=True, jobs=3)
        return Built(put(kernels, flavour.name, ""), fresh=flavour.name == "uml")

    monkeypatch.setattr(kernels_cli, "build", build)
    assert run(["kernels", "build", "--install", "--jobs", "3", "uml", "lean"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"uml: Linux 7.3.4 built in 61 s: {kernels}/uml-0123456789ab/image",
        "uml: without CONFIG_LOST",
        f"lean: Linux 7.3.4 taken from the cache: {kernels}/lean-0123456789ab/image",
        "lean: without CONFIG_LOST",
    ]


@pytest.mark.parametrize(
    "arguments", [["build"], ["build", "tiny"], ["build", "uml", "tiny"], ["x"]]
)
def test_an_unknown_kernel_is_bad_usage(
    kernels: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(["kernels", *arguments]) == exit_codes.BAD_INPUT
    told = capsys.readouterr().err
    assert arguments == ["x"] or all(name in told for name in CATALOGUE)
    assert not list(kernels.iterdir())


def test_a_failure_is_the_harness(
    kernels: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> Built:
        raise KernelError("no network")

    monkeypatch.setattr(kernels_cli, "build", fail)
    monkeypatch.setattr(kernels_cli, "fetch", fail)
    assert run(["kernels", "build", "uml"]) == exit_codes.HARNESS_FAILED
    assert run(["kernels", "fetch"]) == exit_codes.HARNESS_FAILED
    assert capsys.readouterr().err == "madvet: no network\n" * 2
