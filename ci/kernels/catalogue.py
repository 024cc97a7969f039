"""The flavours of guest kernels: what goes into each."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from conformance.target.guest_images import FLAVOURS

CONFIGS: Final = Path(__file__).parent / "configs"

# Traced by KCOV, by file: what an advice runs through. Tracing all of the kernel gives thousands
# of places for one call, most of them interrupts and bookkeeping that come and go; these files
# give 50 to 450, nearly the same ones each time, at a tenth of the cost.
KCOV_FILES: Final = (
    "madvise", "vma", "mmap", "mprotect", "mremap", "mlock", "mseal", "pagewalk", "ksm",
    "khugepaged",
)  # fmt: skip
# An emulated processor pays for each traced block of code even while nobody looks.
KCOV_FILES_LEAN: Final = ("madvise",)


def _traced(files: tuple[str, ...], flags: str = "-g1") -> tuple[str, ...]:
    """Variables of make: these files are traced, and say which line each instruction is of, which
    makes an image 1 % larger. None of them has flags of its own in the kernel's makefiles."""
    traced = [f"KCOV_INSTRUMENT_{name}.o=y" for name in files]
    return (*traced, *(f"CFLAGS_{name}.o={flags}" for name in files))


# User mode Linux takes the address of every function from a register, since its modules lie far
# away. These files are never modules; with plain calls it can be read off the image where they tell
# KCOV that they run (see ci/report/coverage_sites.py).
UML_FLAGS: Final = "-g1 -mcmodel=small"


class Flavour(NamedTuple):
    """A kernel to build. arch: ARCH of make. image: the file that it makes, which is also its
    target's name at the end. fragments: of the configuration, in configs/, later ones win.
    variables: for make, besides those that every build has."""

    name: str
    arch: str
    what: str
    target: str
    image: str
    fragments: tuple[str, ...]
    variables: tuple[str, ...] = _traced(KCOV_FILES)

    @property
    def fragment_paths(self) -> tuple[Path, ...]:
        """The files of the fragments."""
        return tuple(CONFIGS / f"{name}.config" for name in self.fragments)


def _uml(name: str, what: str, *more: str) -> Flavour:
    fragments = ("guest", "uml", "kcov_mm", "sanitizers", *more)
    variables = _traced(KCOV_FILES, UML_FLAGS)
    return Flavour(name, "um", what, "linux", "linux", fragments, variables)


def _qemu(name: str, what: str, *more: str, files: tuple[str, ...] = KCOV_FILES) -> Flavour:
    image = "arch/x86/boot/bzImage"
    fragments = ("guest", "qemu", "kcov_mm", *more)
    return Flavour(name, "x86_64", what, "bzImage", image, fragments, _traced(files))


_ALL: Final = (
    _uml("uml", "user mode, with KASAN, KCOV and lockdep"),
    _qemu("lean", "for QEMU, fast: KCOV of madvise, and BPF", "lean", files=KCOV_FILES_LEAN),
    _qemu("debug", "for QEMU: uml's checks, UBSAN, DEBUG_VM, more", "sanitizers", "debug"),
    _uml("uml-mutants", "uml, with faults planted in madvise_ranges()", "mutants"),
    _qemu(
        "debug-mutants",
        "debug, with faults planted in madvise_ranges()",
        "sanitizers", "debug", "mutants",
    ),
)  # fmt: skip

CATALOGUE: Final[dict[str, Flavour]] = {flavour.name: flavour for flavour in _ALL}
assert tuple(CATALOGUE) == FLAVOURS
