"""Runs mypyc in the current folder: python -m ci.compiled.extension."""

from __future__ import annotations

import os
from pathlib import Path

from mypyc.build import mypycify
from setuptools import Distribution

from ci.compiled.sources import hot_files


def compile_here() -> None:
    """Build the libraries, and a thin module for each file, into the folder `built`.

    -O2, no debug information; as many C compilers at a time as there are processors.
    """
    groups: list[tuple[list[str], str | None]] = [
        ([str(path) for path in paths], name) for name, paths in hot_files(Path()).items()
    ]
    files = [file for group, _ in groups for file in group]
    modules = mypycify(
        ["--ignore-missing-imports", *files], opt_level="2", debug_level="0", separate=groups
    )
    distribution = Distribution({"name": "madvet-native", "ext_modules": modules})
    command = distribution.get_command_obj("build_ext")
    command.build_lib = "built"
    command.build_temp = "objects"
    command.parallel = os.cpu_count()
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    compile_here()
