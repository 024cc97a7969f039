"""What must be on the machine to build a kernel, and the Debian packages that have it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ci.kernels.commands import KernelError, run

INSTALL_SECONDS_MAX: Final = 900
COMPILER: Final = "gcc"


class Need(NamedTuple):
    """A program on the path, or a header that the compiler finds (its name ends in .h)."""

    name: str
    package: str


TO_UNPACK: Final = (
    Need("apt-get", "apt"),
    Need("dpkg-deb", "dpkg"),
)
TO_FETCH: Final = (
    *TO_UNPACK,
    Need("tar", "tar"),
    Need("xz", "xz-utils"),
)
TO_BUILD: Final = (
    Need(COMPILER, "gcc"),
    Need("make", "make"),
    Need("ld", "binutils"),
    Need("flex", "flex"),
    Need("bison", "bison"),
    Need("bc", "bc"),
    Need("perl", "perl"),
    Need("gzip", "gzip"),
    Need("ccache", "ccache"),
    Need("stdlib.h", "libc6-dev"),
    Need("gelf.h", "libelf-dev"),  # objtool, of x86-64 kernels
    Need("pahole", "dwarves"),  # the kernel's types, for BPF
)


def missing(needs: Sequence[Need]) -> tuple[Need, ...]:
    """Those that this machine has not. A header counts as missing without a compiler."""
    return tuple(need for need in needs if not _is_there(need))


def provide(needs: Sequence[Need], install: bool, say: Callable[[str], None]) -> None:
    """See to it that everything is there; install: with apt-get, which takes root.

    Raises KernelError with the one line that installs what is missing, or with what apt-get
    complained of.
    """
    lacking = missing(needs)
    if not lacking:
        return
    names = ", ".join(need.name for need in lacking)
    packages = sorted({need.package for need in lacking})
    line = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if not install or os.geteuid() != 0:
        how = "; or, as root, --install does it" if not install else ""
        raise KernelError(f"to build a kernel, this machine lacks {names}: {line}{how}")
    say(f"installing {' '.join(packages)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run(
        ["apt-get", "-qq", "update"], "update the lists of packages", INSTALL_SECONDS_MAX, env=quiet
    )
    command = ["apt-get", "-qq", "-y", "--no-remove", "--no-install-recommends", "install"]
    run([*command, *packages], f"install {' '.join(packages)}", INSTALL_SECONDS_MAX, env=quiet)
    still = missing(needs)
    if still:
        raise KernelError(
            f"after {line}, this machine still lacks {', '.join(need.name for need in still)}"
        )


def _is_there(need: Need) -> bool:
    if not need.name.endswith(".h"):
        return shutil.which(need.name) is not None
    if shutil.which(COMPILER) is None:
        return False
    done = subprocess.run(
        [COMPILER, "-E", "-xc", "-"], input=f"#include <{need.name}>\n".encode(),
        capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode == 0
