"""Build the executor on first use, once for each state of its sources, into a cache folder."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).parent / "executor"
GUEST_SOURCES: Final = SOURCES / "guest"
ABI_HEADERS: Final = Path(__file__).parents[1] / "abi" / "generated"  # included by the shim

# Arena and zones lie below the executor: no PIE, and its place given. The arena is at a
# constant address; a compiler may conclude that reading it does nothing (gcc 12 did).
FLAGS: Final = (
    "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-Werror",
    "-fno-delete-null-pointer-checks", "-fno-strict-aliasing", "-fno-tree-vectorize", "-fno-pie",
    "-static", "-no-pie", "-Wl,-Ttext-segment=0x40000000",
)  # fmt: skip
MUTANTS_FLAG: Final = "-DMADVET_MUTANTS"  # faults that can be switched on in the shim
COMPILERS: Final = ("cc", "gcc", "clang")  # tried in this order when $CC is not set
KEPT_SECONDS: Final = 30 * 86400  # a build that old is removed when another one is made
BUILD_SECONDS_MAX: Final = 300.0  # takes 3 s; a loaded machine is given a hundred times that


class ExecutorUnavailable(Exception):
    """The executor cannot be built here. The message is one line for a person."""


def build_executor(*, mutants: bool = False) -> Path:
    """The executable, built now if these sources were never built with this compiler.

    mutants: the build that has the shim's planted faults. Safe against other processes that
    build the same. Raises ExecutorUnavailable.
    """
    flags = [*FLAGS, MUTANTS_FLAG] if mutants else list(FLAGS)
    return _built("executor", sorted(SOURCES.glob("*.c")), flags)


def build_guest_init() -> Path:
    """/init of a guest, as build_executor()."""
    return _built("init", sorted(GUEST_SOURCES.glob("*.c")), list(FLAGS))


def _built(what: str, sources: Sequence[Path], flags: list[str]) -> Path:
    if not sources:
        raise ExecutorUnavailable(f"the sources of the executor are missing from {SOURCES}")
    compiler = find_compiler()
    name = f"{what}-{_digest(compiler, flags, sources)}"
    folder = _cache_folder()
    target = folder / name
    if target.is_file():
        return target
    with _lock(folder / "lock"):
        if not target.is_file():  # another process may have built it meanwhile
            _compile(compiler, flags, sources, target)
            _remove_old(folder)
    return target


def find_compiler() -> list[str]:
    """$CC, or the first compiler on the path, as the start of a command. Raises
    ExecutorUnavailable when there is none."""
    chosen = shlex.split(os.environ.get("CC", ""))
    for name in [chosen[0]] if chosen else COMPILERS:
        path = shutil.which(name)
        if path:
            return [path, *chosen[1:]]
    wanted = f"$CC is {chosen[0]}, which is not" if chosen else "no C compiler (cc, gcc, clang) is"
    raise ExecutorUnavailable(
        f"{wanted} on this machine; the executor is built on first use: install gcc"
    )


def _digest(compiler: list[str], flags: list[str], sources: Sequence[Path]) -> str:
    """A name for what will come out: sources, compiler, flags."""
    version = subprocess.run(
        [*compiler, "--version"], capture_output=True, check=False, stdin=subprocess.DEVNULL
    )
    digest = hashlib.sha256(repr((compiler, version.stdout, flags)).encode())
    headers = [*SOURCES.glob("generated/*.h"), *ABI_HEADERS.glob("*.h")]
    for path in sorted([*sources, *SOURCES.glob("*.h"), *headers]):
        digest.update(f"\n{path.parent.name}/{path.name}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:24]


def _cache_folder() -> Path:
    """Where builds are kept: the user's cache, or a folder for this user beside temp files.

    Only a folder that this user owns and nobody else can write is trusted: what lies there is
    executed.
    """
    wanted = []
    if base := os.environ.get("XDG_CACHE_HOME") or "":
        wanted.append(Path(base) / "madvet")
    with contextlib.suppress(RuntimeError):  # a user without a home
        wanted.append(Path.home() / ".cache" / "madvet")
    wanted.append(Path(tempfile.gettempdir()) / f"madvet-cache-{os.geteuid()}")
    for folder in wanted:
        if folder.is_absolute() and _is_private(folder):
            return folder
    try:
        return Path(tempfile.mkdtemp(prefix="madvet-cache-"))
    except OSError as error:
        raise ExecutorUnavailable(
            f"no folder can be written to build the executor in ({error.strerror}): "
            "set XDG_CACHE_HOME or TMPDIR"
        ) from error


def _is_private(folder: Path) -> bool:
    """Make the folder if need be; can this user, and only this user, write there?"""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.lstat()
    except OSError:
        return False
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    mine = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not others_write
    return mine and os.access(folder, os.W_OK | os.X_OK)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One builder at a time; the lock ends with the process that holds it."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _compile(compiler: list[str], flags: list[str], sources: Sequence[Path], target: Path) -> None:
    handle, unfinished = tempfile.mkstemp(dir=target.parent, prefix=".building-")
    os.close(handle)
    command = [*compiler, *flags, f"-I{SOURCES}", "-o", unfinished, *map(str, sources)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False,
            stdin=subprocess.DEVNULL, timeout=BUILD_SECONDS_MAX,
        )  # fmt: skip
        if done.returncode:
            raise ExecutorUnavailable(_why(compiler, done.stderr, target.with_suffix(".log")))
        Path(unfinished).chmod(0o755)
        Path(unfinished).rename(target)
    except subprocess.TimeoutExpired as error:
        raise ExecutorUnavailable(
            f"{compiler[0]} did not build the executor within {BUILD_SECONDS_MAX:.0f} s"
        ) from error
    except OSError as error:
        raise ExecutorUnavailable(
            f"cannot build the executor in {target.parent}: {error.strerror}"
        ) from error
    finally:
        Path(unfinished).unlink(missing_ok=True)


def _remove_old(folder: Path) -> None:
    """Whoever still wants one of them builds it again."""
    oldest = time.time() - KEPT_SECONDS
    for path in [*folder.glob("executor-*"), *folder.glob("init-*")]:
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def _why(compiler: list[str], said: str, log: Path) -> str:
    """One line out of a compiler's output, which goes whole to the log."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line or "cannot find" in line]
    first = (telling or lines or ["it gave no reason"])[0]
    hint = "; install the static C library (libc6-dev)" if "cannot find -lc" in said else ""
    log.write_text(said, encoding="utf-8")
    return f"{compiler[0]} cannot build the executor: {first}{hint} (all it said: {log})"
