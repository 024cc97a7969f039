"""python -m ci.compiled [--if-possible]: build native code of the hot modules into the cache."""

from __future__ import annotations

import sys
import time

from ci.compiled.build import BuildError, build


def main(arguments: list[str]) -> int:
    """0 when native code is there; 3 when it is not, or 0 with --if-possible, which says so."""
    optional = arguments == ["--if-possible"]
    if arguments and not optional:
        print("usage: python -m ci.compiled [--if-possible]", file=sys.stderr)
        return 2
    started = time.monotonic()
    try:
        folder, fresh = build()
    except BuildError as error:
        print(f"madvet: no native code, plain Python is used: {error}", file=sys.stderr)
        return 0 if optional else 3
    what = f"built in {time.monotonic() - started:.0f} s" if fresh else "up to date"
    print(f"madvet: native code {what} ({len(list(folder.glob('*.so')))} files)", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
