"""Configures and compiles a kernel in a folder of its own, outside its sources."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Final, NamedTuple

from ci.kernels.catalogue import Flavour
from ci.kernels.commands import NO_SPACE, KernelError, environment, run
from ci.kernels.configuration import Missed, Wish, missed, with_wishes
from ci.kernels.provision import COMPILER

CONFIGURE_SECONDS_MAX: Final = 300  # takes 5 s
COMPILE_SECONDS_MAX: Final = 5400  # debug takes 11 minutes on two slow cores
NICENESS: Final = 5
TOLD_SECONDS: Final = 20.0  # between two lines of progress
TAIL_LINES: Final = 400  # kept for telling why it failed
TELLING_LINES_MAX: Final = 8
CCACHE_BYTES: Final = "2G"  # a flavour takes 30 to 100 MB
# The same sources give the same image, and warm builds hit the cache.
REPRODUCIBLE: Final = {
    "KBUILD_BUILD_TIMESTAMP": "2026-01-01 00:00:00 +0000",
    "KBUILD_BUILD_USER": "madvet",
    "KBUILD_BUILD_HOST": "madvet",
    "KBUILD_BUILD_VERSION": "1",
}
_TELLING: Final = re.compile(r"\berror\b|\*\*\*|undefined reference|cannot find|Killed", re.I)
_COMPILED: Final = re.compile(r"\s*(?:CC|AS|HOSTCC)\s")


class Workshop(NamedTuple):
    """Where one flavour is built. objects: make's O=. log: all that make says."""

    tree: Path
    objects: Path
    ccache: Path
    log: Path
    jobs: int


def compiler_version() -> str:
    """The first line of what the compiler says of itself. Raises KernelError."""
    return run([COMPILER, "--version"], "ask for the compiler's version", 60).partition("\n")[0]


def configure(flavour: Flavour, shop: Workshop, wishes: Mapping[str, Wish]) -> tuple[Missed, ...]:
    """Write the .config; the wishes that it does not meet.

    Raises KernelError, naming them, when essential ones are among them.
    """
    shop.objects.mkdir(parents=True, exist_ok=True)
    what = f"configure {flavour.name}"
    env = {**REPRODUCIBLE, "CCACHE_DIR": str(shop.ccache)}
    run([*_make(flavour, shop), "-s", "tinyconfig"], what, CONFIGURE_SECONDS_MAX, env=env)
    config = shop.objects / ".config"
    config.write_text(with_wishes(config.read_text(encoding="utf-8"), wishes), encoding="utf-8")
    run([*_make(flavour, shop), "-s", "olddefconfig"], what, CONFIGURE_SECONDS_MAX, env=env)
    unmet = missed(wishes, config.read_text(encoding="utf-8"))
    essential = [one.words for one in unmet if one.essential]
    if essential:
        raise KernelError(
            f"a kernel {flavour.name} is of no use without {', '.join(essential)}: look in "
            f"{config} what they depend on, and put it into ci/kernels/configs"
        )
    return unmet


def compile_kernel(flavour: Flavour, shop: Workshop, say: Callable[[str], None]) -> Path:
    """The image. Raises KernelError with the telling lines of what make said."""
    env = environment({**REPRODUCIBLE, "CCACHE_DIR": str(shop.ccache)})
    env["CCACHE_MAXSIZE"] = CCACHE_BYTES
    command = ["nice", "-n", str(NICENESS), *_make(flavour, shop), f"-j{shop.jobs}", flavour.target]
    try:
        with shop.log.open("w", encoding="utf-8", buffering=1) as log:
            code, tail = _watched(command, env, log, say)
    except OSError as error:
        raise KernelError(f"cannot build {flavour.name}: {error}") from error
    image = shop.objects / flavour.image
    if code or not image.is_file():
        raise KernelError(f"cannot build {flavour.name}: {telling(tail, code)} (all: {shop.log})")
    return image


def kernel_release(shop: Workshop) -> str:
    """As uname -r will say it in the guest."""
    try:
        path = shop.objects / "include" / "config" / "kernel.release"
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise KernelError(f"the build left no {error.filename}: {error.strerror}") from error


def telling(lines: list[str], code: int) -> str:
    """Why make failed, from the end of what it said."""
    if any(NO_SPACE in line for line in lines):
        return f"{NO_SPACE}: free some, and run it again"
    found = [line.strip() for line in lines if _TELLING.search(line)][:TELLING_LINES_MAX]
    return "\n    ".join(found or [line.strip() for line in lines[-3:]] or [f"exit code {code}"])


def _make(flavour: Flavour, shop: Workshop) -> list[str]:
    cached = f"ccache {COMPILER}" if shutil.which("ccache") else COMPILER
    return [
        "make", "-C", str(shop.tree), f"O={shop.objects}", f"ARCH={flavour.arch}",
        f"CC={cached}", f"HOSTCC={cached}", *flavour.variables,
    ]  # fmt: skip


def _watched(
    command: list[str], env: Mapping[str, str], log: IO[str], say: Callable[[str], None]
) -> tuple[int, list[str]]:
    """Run make, log what it says, and tell how far it is; its exit code and its last lines.

    It ends with this call, however that ends, and takes its compilers along: make passes a
    signal on. It stays in our process group, where Ctrl-C and timeout(1) reach it.
    """
    began = told = time.monotonic()
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    files = 0
    process = subprocess.Popen(
        command, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    deadline = threading.Timer(COMPILE_SECONDS_MAX, process.terminate)
    deadline.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            tail.append(line)
            files += _COMPILED.match(line) is not None
            now = time.monotonic()
            if now - told >= TOLD_SECONDS:
                told = now
                say(f"{files} files compiled after {now - began:.0f} s")
        return process.wait(), list(tail)
    finally:
        deadline.cancel()
        process.terminate()
        process.communicate()
