"""Debian's linux-source packages of any suite, fetched by apt and verified by its signatures,
without touching what apt knows of this machine."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ci.kernels.commands import KernelError, run

APT_FOLDER: Final = Path("/etc/apt")
OS_RELEASE: Final = Path("/etc/os-release")
# Where the package is looked for, in this order: back-ports are the newest that stable's own
# tools build, and the lists of sid are the largest.
SUITES: Final = ("trixie-backports", "sid", "trixie")
UPDATE_SECONDS_MAX: Final = 300  # lists of sid: 10 MB
DOWNLOAD_SECONDS_MAX: Final = 1200  # 150 MB; a slow line is given 128 kB/s
_RELEASE: Final = re.compile(r"[1-9][0-9]*\.[0-9]+")

# apt in a room of its own. The machine's Acquire options (proxies, time limits) are kept, its
# hooks are not: they belong to updates of the machine.
APT_OPTIONS: Final = """\
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{room}/debian.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{room}/state";
Dir::State::lists "{room}/lists";
Dir::State::status "{room}/status";
Dir::Cache "{room}/cache";
Dir::Log "{room}/log";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Languages "none";
Acquire::PDiffs "false";
Acquire::Retries "3";
APT::Get::AllowUnauthenticated "false";
APT::Update::Error-Mode "any";
APT::Sandbox::User "{user}";
"""


class Archive(NamedTuple):
    """A Debian mirror that this machine trusts. signed_by: as its source has it, "" for the
    machine's own keys; it may be a whole key, of several lines."""

    uri: str
    signed_by: str


class Package(NamedTuple):
    """A package at hand. bytes: of the download."""

    name: str
    version: str
    suite: str
    bytes: int

    @property
    def words(self) -> str:
        """As manifests call it."""
        return f"{self.name} {self.version}"


def package_name(release: str) -> str:
    """linux-source-7.3. Raises KernelError for what is no release."""
    if not _RELEASE.fullmatch(release):
        raise KernelError(f"{release!r} is no release of Linux: 7.3 is one")
    return f"linux-source-{release}"


def machine_archives(apt_folder: Path = APT_FOLDER, os_release: Path = OS_RELEASE) -> list[Archive]:
    """The mirrors of Debian's main component that apt uses here, likeliest first.

    Raises KernelError when this is no Debian, or has none.
    """
    about = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', _text(os_release), re.MULTILINE))
    if about.get("ID") != "debian":
        raise KernelError(
            "sources are fetched from Debian's archive, and this machine does not run Debian: "
            "name an unpacked source tree with --tree"
        )
    suites = {about.get("VERSION_CODENAME", ""), "stable", "testing", "unstable", "sid"}
    found: dict[Archive, None] = {}
    for suite, archive in _sources(apt_folder):
        if suite in suites:
            found[archive] = None
    if not found:
        raise KernelError(f"no mirror of Debian in the sources of apt ({apt_folder}); add one")
    return sorted(found, key=lambda archive: "/debian" not in archive.uri)


def _sources(folder: Path) -> Iterator[tuple[str, Archive]]:
    """Suite and archive of each enabled binary source with component main."""
    parts = folder / "sources.list.d"
    for path in [folder / "sources.list", *sorted(parts.glob("*.list"))]:
        if path.is_file():
            yield from _one_line_sources(_text(path))
    for path in sorted(parts.glob("*.sources")):
        yield from _deb822_sources(_text(path))


def _one_line_sources(text: str) -> Iterator[tuple[str, Archive]]:
    for line in text.splitlines():
        found = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]*)", line)
        if found and "main" in found[4].split():
            options = dict(re.findall(r"(\S+?)=(\S+)", found[1] or ""))
            yield found[3], Archive(found[2], options.get("signed-by", ""))


def _deb822_sources(text: str) -> Iterator[tuple[str, Archive]]:
    text = "".join(f"{line}\n" for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", text):
        fields = {
            name.lower(): value.strip()
            for name, value in re.findall(r"^([\w-]+):((?:.*)(?:\n[ \t].*)*)", stanza, re.MULTILINE)
        }
        enabled = fields.get("enabled", "yes").lower() not in ("no", "false", "0", "off")
        lists = {name: fields.get(name, "").split() for name in ("types", "components", "suites")}
        if not enabled or "deb" not in lists["types"] or "main" not in lists["components"]:
            continue
        for uri in fields.get("uris", "").split():
            for suite in lists["suites"]:
                yield suite, Archive(uri, fields.get("signed-by", ""))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise KernelError(f"cannot read {path}: {error.strerror}") from error


def _by_version(one: Package, other: Package) -> int:
    """Debian's order of versions, which is nobody else's: below 0 if the first is older."""
    if one.version == other.version:
        return 0
    question = 'dpkg --compare-versions "$0" lt "$1"; echo $?'
    what = f"compare {one.words} with {other.words}"
    said = run(["sh", "-c", question, one.version, other.version], what, 60).strip()
    if said not in ("0", "1"):
        raise KernelError(f"cannot {what}: dpkg ended with {said}")
    return -1 if said == "0" else 1


class AptRoom:
    """apt with lists, cache and sources of its own in a folder. It installs nothing."""

    def __init__(self, folder: Path, archives: Sequence[Archive]) -> None:
        self.folder = folder
        self.archives = archives
        self._config = folder / "apt.conf"
        self._read: tuple[str, Archive] | None = None  # what its lists are of

    def find(self, name: str, suites: Sequence[str], say: Callable[[str], None]) -> Package:
        """The package in the first suite that has it. Raises KernelError, telling of each
        suite why it was not there."""
        reasons: dict[str, None] = {}
        for suite in suites:
            for archive in self.archives:
                try:
                    self._update(suite, archive)
                    found = self._candidate(name, suite)
                except KernelError as error:
                    reasons[f"{suite}: {error}"] = None
                    continue
                if found is not None:
                    return found
                reasons[f"{suite} has no {name}{self._instead()}"] = None
            say(f"no {name} in {suite}")
        raise KernelError(f"no {name} to be had: {'; '.join(reasons)}")

    def newest(self, suite: str, prefix: str, name: re.Pattern[str]) -> Package | None:
        """Of the packages whose names match, the newest in a suite; of two that are equally new,
        the one whose name comes first. None if there is none. Raises KernelError."""
        reasons = []
        for archive in self.archives:
            try:
                self._update(suite, archive)
            except KernelError as error:
                reasons.append(str(error))
                continue
            names = [one for one in self._names(prefix) if name.fullmatch(one)]
            found = [self._shown(one, suite) for one in names]
            if found:
                return max(found, key=functools.cmp_to_key(_by_version))
        if reasons:
            raise KernelError("; ".join(reasons))
        return None

    def download(self, package: Package, into: Path) -> Path:
        """The .deb, whole and as the signed lists say it is. Raises KernelError."""
        what = f"download {package.words}"
        wanted = f"{package.name}={package.version}"
        self._apt(["apt-get", "-q", "download", wanted], what, DOWNLOAD_SECONDS_MAX, into)
        files = list(into.glob("*.deb"))
        if len(files) != 1 or files[0].stat().st_size != package.bytes:
            sizes = [file.stat().st_size for file in files]
            raise KernelError(f"cannot {what}: wanted {package.bytes} bytes, got {sizes}")
        return files[0]

    def _update(self, suite: str, archive: Archive) -> None:
        """Read the lists of a suite, unless they are what was read last."""
        if self._read == (suite, archive):
            return
        self._read = None
        self._furnish()
        signed = f"Signed-By: {archive.signed_by}\n" if archive.signed_by else ""
        (self.folder / "debian.sources").write_text(
            f"Types: deb\nURIs: {archive.uri}\nSuites: {suite}\nComponents: main\n{signed}",
            encoding="utf-8",
        )
        what = f"read the lists of {suite} at {archive.uri}"
        self._apt(["apt-get", "-q", "update"], what, UPDATE_SECONDS_MAX)
        self._read = suite, archive

    def _candidate(self, name: str, suite: str) -> Package | None:
        return self._shown(name, suite) if name in self._sources() else None

    def _shown(self, name: str, suite: str) -> Package:
        said = self._apt(["apt-cache", "show", "--no-all-versions", name], f"look up {name}", 60)
        fields = dict(re.findall(r"^(Version|Size): (\S+)$", said, re.MULTILINE))
        try:
            return Package(name, fields["Version"], suite, int(fields["Size"]))
        except (KeyError, ValueError) as error:
            raise KernelError(f"apt-cache knows {name}, but not its version and size") from error

    def _sources(self) -> list[str]:
        return [name for name in self._names("linux-source-") if _RELEASE.search(name)]

    def _names(self, prefix: str) -> list[str]:
        return sorted(self._apt(["apt-cache", "pkgnames", prefix], "list packages", 60).split())

    def _instead(self) -> str:
        names = self._sources()
        return f", but {', '.join(names)}" if names else ""

    def _furnish(self) -> None:
        for name in ("state", "lists/partial", "cache/archives/partial", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        machine = run(["apt-config", "dump"], "read the configuration of apt", 60)
        kept = [line for line in machine.splitlines() if line.startswith("Acquire::")]
        user = "root" if os.geteuid() == 0 else "_apt"
        ours = APT_OPTIONS.format(room=self.folder, user=user)
        self._config.write_text("\n".join([*kept, ours]), encoding="utf-8")

    def _apt(
        self, command: Sequence[str], what: str, seconds_max: float, cwd: Path | None = None
    ) -> str:
        return run(command, what, seconds_max, cwd, {"APT_CONFIG": str(self._config)})
