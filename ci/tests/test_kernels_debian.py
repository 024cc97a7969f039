"""Where sources come from: apt's own sources read, and every failure of a download told."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ci.kernels.commands import KernelError
from ci.kernels.debian import AptRoom, Archive, Package, machine_archives, package_name
from ci.tests.fake_programs import put_programs

KEY = "/usr/share/keyrings/debian.gpg"
DEB822 = f"""\
Types: deb deb-src
# a comment inside
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: {KEY}

Types: deb
URIs: http://mirror.invalid/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.invalid/debian
Suites: bookworm
Components: main
"""
EMBEDDED = """\
Types: deb
URIs: https://third.invalid/packages
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
"""
ONE_LINE = (
    "# deb http://old.invalid/debian bookworm main\n"
    f"deb [arch=amd64 signed-by={KEY}] http://line.invalid/debian bookworm main # us\n"
    "deb http://line.invalid/debian bookworm contrib\n"
    "deb-src http://line.invalid/debian bookworm main\n"
)
PACKAGE = Package("linux-source-7.3", "7.3.4-1", "sid", 9)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    (tmp_path / "etc" / "sources.list.d").mkdir(parents=True)
    (tmp_path / "os-release").write_text('NAME="Debian"\nID=debian\nVERSION_CODENAME=bookworm\n')
    return tmp_path


def archives(machine: Path) -> list[Archive]:
    return machine_archives(machine / "etc", machine / "os-release")


def test_mirrors_are_those_of_the_machine(machine: Path) -> None:
    parts = machine / "etc" / "sources.list.d"
    (parts / "debian.sources").write_text(DEB822)
    (parts / "third.sources").write_text(EMBEDDED)
    (machine / "etc" / "sources.list").write_text(ONE_LINE)
    found = archives(machine)
    assert found[:2] == [
        Archive("http://line.invalid/debian", KEY),
        Archive("http://mirror.invalid/debian", KEY),
    ]
    assert found[2].uri == "https://third.invalid/packages"  # the last one to be asked
    assert found[2].signed_by.splitlines()[0] == "-----BEGIN PGP PUBLIC KEY BLOCK-----"
    assert len(found) == 3


def test_no_mirror_and_no_debian_are_told(machine: Path) -> None:
    with pytest.raises(KernelError, match="no mirror of Debian"):
        archives(machine)
    (machine / "os-release").write_text("ID=fedora\n")
    with pytest.raises(KernelError, match="--tree"):
        archives(machine)


@pytest.mark.parametrize("release", ["7", "7.3; rm", "", "7.3.4", "../7.3"])
def test_a_release_is_two_numbers(release: str) -> None:
    with pytest.raises(KernelError, match=r"no release of Linux: 7\.3 is one"):
        package_name(release)
    assert package_name("6.12") == "linux-source-6.12"


def room(tmp_path: Path) -> AptRoom:
    return AptRoom(tmp_path / "apt", [Archive("http://mirror.invalid/debian", KEY)])


def test_no_network_is_told_for_each_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_programs(
        tmp_path, monkeypatch,
        {
            "apt-config": "echo 'Acquire::http::Proxy \"p\";'; echo 'APT::Update::Post-Invoke x;'",
            "apt-get": "echo 'E: Could not resolve mirror.invalid' >&2; exit 100",
        },
    )  # fmt: skip
    told: list[str] = []
    with pytest.raises(KernelError, match=r"one: cannot read the lists.*Could not resolve.*two:"):
        room(tmp_path).find("linux-source-7.3", ["one", "two"], told.append)
    assert told == ["no linux-source-7.3 in one", "no linux-source-7.3 in two"]
    config = (tmp_path / "apt" / "apt.conf").read_text()
    assert 'Acquire::http::Proxy "p";' in config
    assert "Post-Invoke" not in config
    assert f"Signed-By: {KEY}" in (tmp_path / "apt" / "debian.sources").read_text()


def test_the_first_suite_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_programs(
        tmp_path, monkeypatch,
        {
            "apt-config": "true",
            "apt-get": "true",
            "apt-cache": """
                case "$1" in
                pkgnames) grep -q two "$(dirname "$APT_CONFIG")/debian.sources" &&
                    echo linux-source-7.3; echo linux-source-6.12;;
                show) printf 'Package: x\\nVersion: 7.3.4-1\\nSize: 9\\n';;
                esac""",
        },
    )  # fmt: skip
    found = room(tmp_path).find("linux-source-7.3", ["one", "two", "three"], lambda _: None)
    assert found == Package("linux-source-7.3", "7.3.4-1", "two", 9)
    with pytest.raises(KernelError, match=r"one has no linux-source-9.9, but linux-source-6.12"):
        room(tmp_path).find("linux-source-9.9", ["one"], lambda _: None)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("printf 1234 > linux-source-7.3.deb", r"wanted 9 bytes, got \[4\]"),
        ("true", r"wanted 9 bytes, got \[\]"),
        ("echo 'E: Hash Sum mismatch' >&2; exit 100", "E: Hash Sum mismatch"),
        ("echo 'write: No space left on device' >&2; exit 100", "No space left on device; free"),
    ],
)
def test_a_download_is_whole_or_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    put_programs(tmp_path, monkeypatch, {"apt-get": program})
    with pytest.raises(
        KernelError, match=r"cannot download linux-source-7\.3 7\.3\.4-1: .*" + words
    ):
        room(tmp_path).download(PACKAGE, tmp_path)


@pytest.mark.skipif(not shutil.which("apt-get"), reason="no apt-get on this machine")
def test_the_real_apt_refuses_an_unsigned_archive(tmp_path: Path) -> None:
    suite = tmp_path / "archive" / "dists" / "one"
    (suite / "main" / "binary-amd64").mkdir(parents=True)
    (suite / "main" / "binary-amd64" / "Packages").write_text(
        "Package: linux-source-7.3\nVersion: 7.3.4-1\nArchitecture: all\nSize: 9\n"
        "Filename: pool/x.deb\n"
    )
    (suite / "Release").write_text("Suite: one\nArchitectures: amd64\nComponents: main\n")
    os.chmod(tmp_path, 0o755)
    apt = AptRoom(tmp_path / "apt", [Archive(f"file:{tmp_path}/archive", "")])
    with pytest.raises(KernelError, match="not signed"):
        apt.find("linux-source-7.3", ["one"], lambda _: None)
