"""Runs mypyc in the current folder: python -m ci.compiled.extension FILE..."""

from __future__ import annotations

import sys

from mypyc.build import mypycify
from setuptools import Distribution


def compile_here(files: list[str]) -> None:
    """Build one shared library and a thin module per file into build/lib*; -O2, no debug info."""
    modules = mypycify(["--ignore-missing-imports", *files], opt_level="2", debug_level="0")
    distribution = Distribution({"name": "madvet-native", "ext_modules": modules})
    command = distribution.get_command_obj("build_ext")
    command.build_lib = "built"
    command.build_temp = "objects"
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    compile_here(sys.argv[1:])
