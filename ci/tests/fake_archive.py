"""A Debian archive in small, signed by a key of its own, for apt to read by a file: address."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from ci.kernels.debian import Archive

TOOLS = ("apt-get", "dpkg-deb", "gpg", "gpgv")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
BZIMAGE = b"\0" * 0x202 + b"HdrS"


class FakeArchive:
    """Suites of packages. Nothing is served before sign()."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.top = folder / "archive"
        self._home = folder / "gnupg"
        self._home.mkdir(mode=0o700, parents=True)
        self._suites: dict[str, list[str]] = {}
        self.key = folder / "key.gpg"
        self._gpg("--quick-gen-key", "--passphrase", "", "archive@example.invalid", "ed25519")
        self._gpg("--output", str(self.key), "--export")
        folder.chmod(0o755)

    @property
    def archive(self) -> Archive:
        """As machine_archives() would tell of it."""
        return Archive(f"file:{self.top}", str(self.key))

    def add(self, suite: str, name: str, version: str, files: dict[str, bytes]) -> Path:
        """A package; its .deb."""
        tree = self.folder / f"{name}-{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
        about = "Maintainer: nobody <nobody@example.invalid>\nDescription: none\n"
        (tree / "DEBIAN" / "control").write_text(control + about)
        for path, data in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(data)
        deb = self.top / "pool" / f"{name}_{version}_all.deb"
        deb.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg-deb", "-b", tree, deb], check=True, capture_output=True)
        data = deb.read_bytes()
        self._suites.setdefault(suite, []).append(
            f"{control}{about}Filename: pool/{deb.name}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n"
        )
        return deb

    def sign(self) -> None:
        """Write the lists of every suite, and sign them."""
        for suite, packages in self._suites.items():
            folder = self.top / "dists" / suite
            lists = folder / "main" / "binary-amd64" / "Packages"
            lists.parent.mkdir(parents=True, exist_ok=True)
            lists.write_text("\n".join(packages))
            data = lists.read_bytes()
            (folder / "Release").write_text(
                f"Suite: {suite}\nCodename: {suite}\nArchitectures: amd64 all\nComponents: main\n"
                f"Date: Wed, 01 Jan 2025 00:00:00 UTC\nSHA256:\n"
                f" {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-amd64/Packages\n"
            )
            signed = folder / "InRelease"
            signed.unlink(missing_ok=True)
            self._gpg("--output", str(signed), "--clearsign", str(folder / "Release"))

    def close(self) -> None:
        """End the agent that gpg started for this key alone."""
        subprocess.run(
            ["gpgconf", "--homedir", self._home, "--kill", "all"], check=False, capture_output=True
        )

    def _gpg(self, *arguments: str) -> None:
        command = ["gpg", "--homedir", str(self._home), "--batch", "--yes", *arguments]
        subprocess.run(command, check=True, capture_output=True)
