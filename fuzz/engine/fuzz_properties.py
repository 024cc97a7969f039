"""A property test of madvet's own as a libFuzzer target:

    python -m fuzz.engine.fuzz_properties conformance.tests.test_codec_properties:NAME CORPUS

Any test under Hypothesis' @given will do. Hypothesis makes its values from the bytes that libFuzzer
mutates (fuzz_one_input); madvet's Python is instrumented, so that its branches lead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from fuzz.engine.engines import NEEDS

PACKAGES: Final = ("conformance", "fuzz", "ci")


class NoProperty(Exception):
    """str() says what was named that is none."""


def one_input(name: str) -> Callable[[bytes], object]:
    """fuzz_one_input of the test that "module:function" names. Raises NoProperty."""
    module, _, function = name.partition(":")
    try:
        test: Any = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise NoProperty(f"{name}: {error}; write module:function") from error
    handle = getattr(test, "hypothesis", None)
    if handle is None:
        raise NoProperty(f"{name} is no test under Hypothesis' @given")
    found: Callable[[bytes], object] = handle.fuzz_one_input
    return found


def main(arguments: list[str]) -> int:
    """An exit code: that of libFuzzer, or 2 and 3 as for any command."""
    missing = NEEDS["atheris"].missing() or NEEDS["hypothesis"].missing()
    if missing:
        return _told(missing, 3)
    if not arguments:
        return _told("name a property, as module:function", 2)
    try:
        test = one_input(arguments[0])
    except NoProperty as error:
        return _told(str(error), 2)
    from fuzz.guidance.atheris_loop import fuzz_property

    return fuzz_property(test, arguments[1:], PACKAGES)


def _told(words: str, code: int) -> int:
    sys.stderr.write(f"fuzz_properties: {words}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
